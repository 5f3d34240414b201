"""Option files for programs for which the machine's files take precedence over variables. They contain no secret of a
service.

MariaDB's and MySQL's programs read `/etc/mysql/my.cnf`, then `$MARIADB_HOME/my.cnf` or `$MYSQL_HOME/my.cnf`, then
`~/.my.cnf`; the last one takes precedence. Debian's names the socket of the machine's own server. So a handle's file
stays until its run ends, even after the handle: without it the next command would go to that server.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from ..contracts.providers import RelayProtocol
from ..contracts.relay_wire import OPTIONS_OVER_TCP, OPTIONS_SUFFIX
from ..services.relay_ports import RelayEndpoint

_PROTOCOLS = frozenset({"mysql"})


class OptionFiles:
    """Keeps a folder beside the directory of each handle that needs one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[Path, str] = {}
        self._runs: dict[Path, str] = {}

    def write(self, protocol: RelayProtocol, endpoint: RelayEndpoint, *, run: str) -> None:
        """Writes the files for an endpoint, for the requester's run. Existing ones are left alone.

        Raises: OSError: they can't be written.
        """
        if protocol not in _PROTOCOLS:
            return
        folder = Path(endpoint.directory + OPTIONS_SUFFIX)
        with self._lock:
            if folder not in self._runs:
                _make_anew(folder)
            self._runs[folder] = run
            self._put(folder / "my.cnf", _local(endpoint))
            if endpoint.port is not None:
                self._put(folder / OPTIONS_OVER_TCP / "my.cnf", _over_tcp(endpoint.port, endpoint.token))

    def tidy(self, alive: Callable[[str], bool]) -> None:
        """Removes those whose run has ended."""
        with self._lock:
            over = {run for run in set(self._runs.values()) if not alive(run)}
            for folder in [folder for folder, run in self._runs.items() if run in over]:
                shutil.rmtree(folder, ignore_errors=True)
                del self._runs[folder]
                self._written = {
                    path: text for path, text in self._written.items() if not path.is_relative_to(folder)
                }

    def _put(self, path: Path, text: str) -> None:
        if self._written.get(path) == text:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(text)
        # Atomically: a program may be reading it.
        beside.replace(path)
        self._written[path] = text


def _make_anew(folder: Path) -> None:
    """Never writes through a link."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


def _local(endpoint: RelayEndpoint) -> str:
    return _client(protocol="socket", host="localhost", socket=endpoint.socket)


def _over_tcp(port: int, token: str) -> str:
    return _client(protocol="tcp", host="127.0.0.1", port=str(port), password=token)


def _client(**options: str) -> str:
    """The group that all client programs read. `loose`: MySQL 8 has no `skip-ssl` and ignores it."""
    lines = [f'{name}="{_escaped(value)}"' for name, value in options.items()]
    return "\n".join(["[client]", *lines, "loose-skip-ssl", ""])


def _escaped(value: str) -> str:
    # MySQL, "Using Option Files".
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
