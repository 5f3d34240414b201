"""Identifies requesters. Nothing that a peer says about itself is used; what may be granted is decided elsewhere.

A kernel can run code in another kernel of the same user, and a process can change its own command line: this is
attribution, good enough to show a person who asks, but not isolation.

    peer's pid -> its parents, one by one -> a kernel that the server reported: notebook or console
                                          -> none: script (it runs a file), detached (it does not)
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..contracts.access import Requester
from ..errors import BrokerUnavailable, NotAllowed
from ..services.visible_names import visible
from .kernels import Kernels, KnownKernel
from .os_processes import Peer, PidNamespace, Processes, Running
from .script_identity import Started, script_of

# The session is saved after the kernel has started; a first cell may run before it is reported here.
_PATIENCE_S = 2.0

# Deeper trees are deliberate.
_MAX_ANCESTORS = 64

_MAX_PATH = 4096

# Three of them fit a label.
_MAX_SHARED = 1000

_UNPRINTED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

# Set by Jupyter's launchers in each kernel: only a hint that its row is still to come.
_KERNEL_MARK = "JPY_PARENT_PID"

_GONE = "The process that asked has ended."
_HIDDEN = (
    "The broker can't see the process that asked: /proc hides it (hidepid), as it hides every process that "
    "has closed itself to other programs. Ask from an ordinary process, or have /proc mounted without "
    "hidepid."
)

# Marks of folders with installed programs: of virtual environments, of conda's, and where pip installs for a user. All
# may be below a root that is the home directory.
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
_USER_PROGRAMS = (".local", "bin")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = re.compile(r"/lib(64)?/(python|pypy)[0-9.]+/")
# For a root that is the whole file system.
_SYSTEM = ("/bin", "/lib", "/opt", "/sbin", "/snap", "/usr", "/nix", "/Library", "/System")


class Peers:
    """`owner_pid` is the server's (kernels and terminals are its children), `server_root` an absolute path.

    `namespace` is this process's own; `somebody_at`: whether another one still has an owner.
    """

    def __init__(
        self,
        *,
        processes: Processes,
        kernels: Kernels,
        server_root: str,
        owner_pid: int,
        namespace: PidNamespace,
        somebody_at: Callable[[PidNamespace], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._kernels = kernels
        self._root = server_root
        self._owner_pid = owner_pid
        self._monotonic = monotonic
        self._somebody_at = somebody_at
        self._namespace = namespace
        self._current: WeakKeyDictionary[KnownKernel, tuple[Requester, Requester]] = WeakKeyDictionary()

    def identify(self, peer: Peer, *, patience_s: float = _PATIENCE_S) -> Requester:
        """The requester behind a new connection. Waits up to this long for a kernel that the server has just started.

        Raises:
            NotAllowed: another user's process.
            BrokerUnavailable: the process has ended, is hidden, or belongs to a kernel on another machine.
        """
        if peer.uid != os.geteuid():
            raise NotAllowed("Only processes of the user who runs the server may ask.")
        process = self._processes.running(peer.pid)
        if process is None and peer.exists():
            raise BrokerUnavailable(_HIDDEN)
        if process is None or peer.still_there() is False:
            raise BrokerUnavailable(_GONE)
        deadline = self._monotonic() + patience_s
        while True:
            line = self._ancestors(process)
            known = next((found for found in map(self._kernels.at, line) if found), None)
            if known is not None:
                deadline = min(deadline, known.seen_at + patience_s)
            now = self._monotonic()
            settled = known.row.documents if known else not self._looks_like_kernel(line)
            if settled or now >= deadline:
                break
            self._kernels.wait_for_change(deadline - now)
        requester = self._from_kernel(known, peer) if known else self._from_process(process, line)
        # Pids are reused: what was read must be about the process that holds the socket.
        again = self._processes.running(peer.pid)
        if again is None or again.started != process.started or peer.still_there() is False:
            raise BrokerUnavailable(_GONE)
        return requester

    def is_run_of(self, peer: Peer, requester: Requester) -> bool:
        """Whether a new connection comes from the very process of this requester's run, which was identified before.

        Reads only that process: `identify` also reads its parents and its program, which takes three times as long.
        """
        process = self._processes.running(peer.pid) if peer.uid == os.geteuid() else None
        return (
            process is not None
            and requester.instance.endswith(f":{self._run(process)}")
            and peer.still_there() is not False
        )

    def current(self, requester: Requester) -> Requester:
        """The requester with its kernel's present documents (a notebook may have been renamed)."""
        run = _run_of(requester.instance)
        known = (
            self._kernels.at(Running(run.pid, 0, run.started))
            if run is not None and requester.instance.startswith("kernel:")
            else None
        )
        if known is None:
            return requester
        asked, found = self._current.get(known, (None, requester))
        if asked is not requester:
            # Each connect of a handle asks for the same requester.
            found = requester
            if self.instance_of(known) == requester.instance:
                found = self._of_kernel(known, requester.pid, requester.evidence)
            self._current[known] = requester, found
        return found

    def instance_alive(self, instance: str) -> bool:
        """Whether this run still exists, or may exist: one that is not visible from here has ended only if its
        namespace has no owner left.

        That is unknown for another machine, so such a run counts as alive.
        """
        run = _run_of(instance)
        if run is None:
            return False
        if run.namespace == self._namespace:
            return self._is_here(run)
        if run.namespace.boot != self._namespace.boot and run.namespace.machine != self._namespace.machine:
            return True
        return self._somebody_at(run.namespace)

    def process_of(self, instance: str) -> int:
        """The pid of this run in our PID namespace, 0 if there is none."""
        run = _run_of(instance)
        return run.pid if run is not None and run.namespace == self._namespace and self._is_here(run) else 0

    def key_of_document(self, path: str) -> str:
        """The key of a requester whose one notebook is at `path` below the root."""
        return _key("notebook", os.path.normpath(os.path.join(self._root, path)))

    def folder_of(self, requester: Requester) -> str | None:
        """See `RunningRequesters.folder_of`. A kernel's documents are what the server says now."""
        if requester.kind == "script":
            # With a character spelt out it is no path, and there is nothing at it.
            return os.path.dirname(requester.path)
        run = _run_of(requester.instance)
        known = None if run is None else self._kernels.at(Running(run.pid, 0, run.started))
        if known is None or self.instance_of(known) != requester.instance:
            return None
        folders = {
            os.path.dirname(os.path.normpath(os.path.join(self._root, document.path)))
            for document in known.row.documents
        }
        return folders.pop() if len(folders) == 1 else None

    def own_instance(self) -> str:
        """This process's own instance, by which others can tell whether it still runs. Raises: BrokerUnavailable."""
        process = self._processes.running(os.getpid())
        if process is None:
            raise BrokerUnavailable("The broker can't read its own start time. Is /proc mounted?")
        return f"process:{self._run(process)}"

    def instance_of(self, known: KnownKernel) -> str:
        """The instance of a kernel's run."""
        kernel_id = known.row.kernel_id
        if len(kernel_id) > 100 or ":" in kernel_id:
            kernel_id = _digest(kernel_id)
        return f"kernel:{kernel_id}:{self._run(known.process)}"

    def _run(self, process: Running) -> str:
        """With its PID namespace: the same pid exists in several containers."""
        return ":".join((str(process.pid), str(process.started), *self._namespace))

    def _is_here(self, run: _Run) -> bool:
        process = self._processes.running(run.pid)
        return process is not None and process.started == run.started

    def _ancestors(self, process: Running) -> list[Running]:
        """The process and its parents, as far as they can be trusted."""
        line = [process]
        while len(line) < _MAX_ANCESTORS and line[-1].parent > 0:
            parent = self._processes.running(line[-1].parent)
            # Younger than its child: the real parent has ended and its pid was reused.
            if parent is None or parent.started > line[-1].started:
                break
            line.append(parent)
        return line

    def _looks_like_kernel(self, line: list[Running]) -> bool:
        pids = [process.pid for process in line]
        if self._owner_pid not in pids or pids[0] == self._owner_pid:
            return False
        child_of_owner = pids[pids.index(self._owner_pid) - 1]
        return self._processes.has_variable(child_of_owner, _KERNEL_MARK)

    def _from_kernel(self, known: KnownKernel, peer: Peer) -> Requester:
        how = "SO_PEERPIDFD" if peer.pidfd >= 0 else "SO_PEERCRED"
        return self._of_kernel(
            known, peer.pid, f"pid {peer.pid} by {how}, below kernel pid {known.process.pid}"
        )

    def _of_kernel(self, known: KnownKernel, pid: int, evidence: str) -> Requester:
        row, instance = known.row, self.instance_of(known)
        kernel = visible(row.display_name, limit=200)
        documents = row.documents
        if len(documents) == 1 and documents[0].type == "notebook":
            path = documents[0].path
            return Requester(
                kind="notebook",
                key=self.key_of_document(path),
                instance=instance,
                label=visible(path, limit=_MAX_PATH),
                path=visible(path, limit=_MAX_PATH),
                kernel=kernel,
                pid=pid,
                durable=documents[0].saved,
                evidence=evidence,
            )
        shared = " and ".join(visible(document.path, limit=_MAX_SHARED) for document in documents[:3])
        return Requester(
            kind="console",
            key=_key("console", row.kernel_id),
            instance=instance,
            label=f"Kernel shared by {shared}" if len(documents) > 1 else f"Console ({kernel})",
            kernel=kernel,
            pid=pid,
            evidence=evidence,
        )

    def _is_left_alone(self, process: Running) -> bool:
        """Whether the process that started it is gone, so that nobody is watching it. If process 1 is the owner
        itself, its own children can't be told from orphans.
        """
        return process.parent == 0 or (process.parent == 1 and self._owner_pid != 1)

    def _from_process(self, process: Running, line: list[Running]) -> Requester:
        if self._kernels.some_are_remote and self._looks_like_kernel(line):
            raise BrokerUnavailable(
                "This kernel runs on another machine or was not started by this server, so connvault can't "
                "tell who is asking."
            )
        executable = self._processes.executable(process.pid) or ""
        directory = self._processes.directory(process.pid)
        script = None
        if self._processes.sees_our_files(process.pid):
            script = script_of(
                Started(
                    executable,
                    self._processes.arguments(process.pid),
                    directory,
                    self._processes.environment(process.pid),
                )
            )
        instance = f"process:{self._run(process)}"
        if script is None or self._is_left_alone(process):
            name = visible(Path(executable).name, limit=_MAX_SHARED) or "a process"
            return Requester(
                kind="detached",
                key=_key("detached", instance),
                instance=instance,
                label=f"{name} (pid {process.pid}, no script)"
                if script is None
                else visible(str(script.file), limit=_MAX_PATH),
                pid=process.pid,
                evidence=f"{visible(executable, limit=300)}, no kernel's child",
            )
        file = str(script.file)
        # Everything counts, but people read keys too: the path first, the rest as one digest.
        counted = [executable, file, script.sha256, directory or ""]
        if script.surroundings:
            counted.append(script.surroundings)
        rest = _digest("\0".join(counted))
        return Requester(
            kind="script",
            key=_key("script", f"{file}#{rest}"),
            instance=instance,
            label=visible(file, limit=_MAX_PATH),
            path=visible(file, limit=_MAX_PATH),
            pid=process.pid,
            durable=self._below_root(script.file),
            evidence=f"{visible(executable, limit=200)}, sha256 {script.sha256[:16]}, no kernel's child",
        )

    def _below_root(self, file: Path) -> bool:
        """Whether it is one of the person's own files: installed ones (`ipython`, `pdb.py`) run arbitrary code."""
        if not file.is_relative_to(self._root):
            return False
        if file.parent.parts[-2:] == _USER_PROGRAMS or not _INSTALLED.isdisjoint(file.parts):
            return False
        if _STANDARD_LIBRARY.search(str(file)):
            return False
        root = Path(self._root)
        if any(file.is_relative_to(folder) and not root.is_relative_to(folder) for folder in _SYSTEM):
            return False
        return not any((folder / name).exists() for folder in file.parents for name in _ENVIRONMENT_MARKS)


def _key(kind: str, name: str) -> str:
    """A key: the name itself if that is short plain text, else its digest. Never ambiguous."""
    key = f"{kind}:{name}"
    return key if len(key) <= _MAX_PATH and _is_plain(name) else f"{kind}:sha256:{_digest(name)}"


def _is_plain(name: str) -> bool:
    # Not `is_visible`: stored permissions depend on these keys, so the definition of plain must not change.
    return name.isprintable() or not any(unicodedata.category(char) in _UNPRINTED for char in name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class _Run(NamedTuple):
    pid: int
    started: int
    namespace: PidNamespace


# See `Peers._run`. Rows may have been edited by others, and a namespace becomes a file's name.
_RUN = re.compile(
    r"(?:process|kernel:[^:]+):(\d{1,10}):(\d{1,20}):([0-9a-f]{8}):([0-9a-f]{8}):(\d{1,20})", re.ASCII
)


def _run_of(instance: str) -> _Run | None:
    """The run that an instance names; `None` if it does not have our format."""
    match = _RUN.fullmatch(instance)
    if match is None:
        return None
    return _Run(int(match[1]), int(match[2]), PidNamespace(match[3], match[4], match[5]))
