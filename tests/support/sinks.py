"""Every place where a secret could come to lie, as named bytes: what a page sent and got, stored files, processes.

It only collects and searches. What may be where is the test's business.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from .canary import found_in

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response, WebSocket

# What the page asks the server for, its own program and styles left out.
_DATA = ("/api/", "/connvault/", "/files/")

_LARGEST_REQUEST_BYTES = 64 * 1024 * 1024

_BROWSER_STORAGE = """
async () => {
  const plain = value => value instanceof ArrayBuffer || ArrayBuffer.isView(value)
    ? Array.from(new Uint8Array(value.buffer ?? value)).map(byte => String.fromCharCode(byte)).join('')
    : value instanceof Map || value instanceof Set ? [...value] : value;
  const all = request => new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  const databases = {};
  for (const { name } of await indexedDB.databases()) {
    const database = await all(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const reader = database.transaction(store).objectStore(store);
      const rows = [await all(reader.getAllKeys()), await all(reader.getAll())];
      databases[`${name}/${store}`] = JSON.stringify(rows, (_, value) => plain(value));
    }
    database.close();
  }
  const caches_ = {};
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) caches_[`${name} ${request.url}`] = '';
  }
  return {
    localStorage: {...localStorage}, sessionStorage: {...sessionStorage}, indexedDB: databases, caches: caches_,
    cookie: document.cookie, history: history.state, name: window.name,
    addresses: [location.href, document.referrer, ...performance.getEntries().map(entry => entry.name)],
  };
}
"""

_DOCUMENT = """
() => {
  const roots = [document], seen = [document.documentElement.outerHTML];
  while (roots.length) {
    for (const node of roots.pop().querySelectorAll('*')) {
      if (node.shadowRoot) { roots.push(node.shadowRoot); seen.push(node.shadowRoot.innerHTML); }
      for (const name of ['value', 'defaultValue', 'title', 'placeholder']) {
        if (typeof node[name] === 'string') seen.push(node[name]);
      }
    }
  }
  return seen;
}
"""


class Sink(NamedTuple):
    """A place by name, and what lies there."""

    name: str
    content: bytes


class SentRequest(NamedTuple):
    method: str
    path: str
    content: bytes


@dataclass
class PageSinks:
    """Records from the moment it is made: make it before the page goes anywhere."""

    page: Page
    frames: list[Sink] = field(default_factory=list)
    console: list[Sink] = field(default_factory=list)
    _sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _responses: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("websocket", self._watch)
        # Playwright leaves out what is sent as a blob, and a notebook that is saved is: the browser is asked itself.
        self._network = self.page.context.new_cdp_session(self.page)
        self._network.on("Network.requestWillBeSent", self._note)
        self._network.send("Network.enable", {"maxPostDataSize": _LARGEST_REQUEST_BYTES})
        self.page.on("response", self._keep)
        self.page.on(
            "console", lambda said: self.console.append(Sink(f"console {said.type}", _raw(said.text)))
        )

    def addresses(self) -> list[Sink]:
        """The URLs and headers of all requests."""
        return [
            Sink(f"{kind} of {answer.request.method} {_path(answer.url)}", _raw(text))
            for answer in self._responses
            for kind, text in (
                ("address", answer.url),
                ("sent headers", json.dumps(answer.request.headers)),
                ("headers", json.dumps(answer.headers)),
            )
        ]

    def requests(self) -> list[SentRequest]:
        """All that were sent with a body. A body that can't be had is an error."""
        return [
            SentRequest(
                request["method"],
                _path(request["url"]),
                _raw(
                    request.get("postData")
                    or self._network.send("Network.getRequestPostData", {"requestId": number})["postData"]
                ),
            )
            for number, request in self._sent
        ]

    def bodies(self) -> list[Sink]:
        """What the server's REST routes answered. A body that can't be had any more is an error."""
        return [
            Sink(f"body of {answer.request.method} {_path(answer.url)}", answer.body())
            for answer in self._responses
            # A redirect, a 204 and a 304 have none.
            if any(part in answer.url for part in _DATA)
            and not 300 <= answer.status < 400
            and answer.status != 204
        ]

    def storage(self) -> list[Sink]:
        """localStorage, sessionStorage, IndexedDB, cookies and the history of addresses."""
        found: dict[str, Any] = self.page.evaluate(_BROWSER_STORAGE)
        return [Sink(f"browser's {name}", _raw(_unquoted(content))) for name, content in found.items()]

    def document(self) -> list[Sink]:
        """The whole document with what is typed into its inputs."""
        return [
            Sink(f"document, part {n}", _raw(part)) for n, part in enumerate(self.page.evaluate(_DOCUMENT))
        ]

    def kernel_frames(self, direction: str | None = None) -> list[Sink]:
        """Of the kernels' channels, `direction` `sent` or `received`."""
        return [
            frame
            for frame in self.frames
            if "/channels" in frame.name and frame.name.startswith(direction or "")
        ]

    def _watch(self, socket: WebSocket) -> None:
        where = _path(socket.url)
        socket.on("framesent", lambda payload: self.frames.append(Sink(f"sent on {where}", _raw(payload))))
        socket.on(
            "framereceived", lambda payload: self.frames.append(Sink(f"received on {where}", _raw(payload)))
        )

    def _keep(self, response: Response) -> None:
        self._responses.append(response)

    def _note(self, event: dict[str, Any]) -> None:
        if event["request"].get("hasPostData"):
            self._sent.append((event["requestId"], event["request"]))


def files_below(folder: Path) -> Iterator[Sink]:
    """Every file: databases with their journals, notebooks, checkpoints, logs, temporary files."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield Sink(f"file {path.relative_to(folder)}", path.read_bytes())


def of_processes(root: int) -> Iterator[Sink]:
    """Arguments and environment of a process and all below it, as far as they are open to this user."""
    above = psutil.Process(root)
    for process in (above, *above.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            arguments = process.cmdline()
            name = " ".join(arguments[:3])
            yield Sink(f"arguments of {name}", _raw("\n".join(arguments)))
            with contextlib.suppress(psutil.AccessDenied):
                variables = process.environ()
                yield Sink(f"environment of {name}", _raw("\n".join(variables.values())))


def hits(sinks: Iterable[Sink], secret: str) -> list[str]:
    """The names of the sinks that have it, each with its disguises. The content itself is not told."""
    return [f"{sink.name}: {', '.join(found)}" for sink in sinks if (found := found_in(sink.content, secret))]


def _raw(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")


def _unquoted(content: Any) -> str:
    """As text in which nothing is escaped twice: a value that is JSON itself is searched as it is, too."""
    values = list(content.values()) if isinstance(content, dict) else [content]
    return "\n".join([json.dumps(content), *(value for value in values if isinstance(value, str))])


def _path(url: str) -> str:
    return urlsplit(url).path
