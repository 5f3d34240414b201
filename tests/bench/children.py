"""Fresh processes that measure, and kernels of a real server that do; their findings come back as JSON."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.support.broker.processes import clean_environment, wait_until
from tests.support.browser.jupyter_server import JupyterServer

ROOT = Path(__file__).resolve().parents[2]


def fresh(
    argv: Sequence[str],
    *,
    home: Path,
    env: Mapping[str, str] | None = None,
    orders: Any = None,
) -> Any:
    """Runs this Python with `argv` in a clean environment; what it prints as JSON. `orders` go in by stdin."""
    environment = {**clean_environment(home), **(env or {})}
    done = subprocess.run(
        [sys.executable, *argv],
        input=json.dumps(orders),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def contest(
    names: Sequence[str],
    *,
    rounds: int,
    options: Mapping[str, Any],
    home: Path,
    env: Mapping[str, str] | None = None,
) -> Any:
    """`contenders.compare` in a fresh process."""
    orders = {"names": names, "rounds": rounds, "options": options}
    return fresh(["-m", "tests.bench.contenders"], home=home, env=env, orders=orders)


class Kernel:
    """A kernel of a notebook, asked over its shell channel alone: nobody here reads what it prints."""

    def __init__(self, server: JupyterServer, notebook: str) -> None:
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        answer = server.request("POST", "api/sessions", json=body)
        assert answer.status_code == 201, answer.text
        self.id = str(answer.json()["kernel"]["id"])
        self._client = BlockingKernelClient()
        file = server.runtime_dir / f"kernel-{self.id}.json"
        wait_until(file.exists, deadline_s=20, what="the kernel's connection file")
        self._client.load_connection_file(str(file))
        self._client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)  # noqa: S604 -- a channel
        self.value("0", f"import json, sys; sys.path.insert(0, {str(ROOT)!r})")

    def begin(self, code: str, expression: str = "0") -> str:
        """Sends code and the expression whose value is wanted; a ticket for `answer`."""
        wanted = {"value": f"json.dumps({expression})"}
        return str(self._client.execute(code, silent=False, store_history=False, user_expressions=wanted))

    def answer(self, ticket: str) -> Any:
        """The value, when the code is done. Raises AssertionError with the kernel's own words if it failed."""
        while True:
            reply = self._client.get_shell_msg(timeout=120)
            if reply["parent_header"].get("msg_id") == ticket:
                break
        content = reply["content"]
        assert content["status"] == "ok", content.get("traceback", content)
        value = content["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return json.loads(ast.literal_eval(value["data"]["text/plain"]))

    def value(self, expression: str, code: str = "") -> Any:
        return self.answer(self.begin(code, expression))

    def close(self) -> None:
        self._client.stop_channels()


@contextmanager
def kernel_of(server: JupyterServer, notebook: str) -> Iterator[Kernel]:
    """A saved notebook's kernel; it ends with the server."""
    server.write_notebook(notebook, "")
    kernel = Kernel(server, notebook)
    try:
        yield kernel
    finally:
        kernel.close()
