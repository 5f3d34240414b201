"""A Redis server of one's own: its folder, its port, its passwords; gone when it is stopped."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from setup_hooks.postgresql import free_port
from tests.support.broker.processes import end, wait_until
from tests.support.servers.tls import ServerCertificate

START_DEADLINE_S = 20.0


class RedisServer:
    """`password` is the default user's (empty: none is asked for); `users` are further ones: (password, ACL rules).

    With `tls` it speaks nothing else. The configuration comes by standard input: no password in a file or in argv.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        users: Mapping[str, tuple[str, str]] | None = None,
        tls: ServerCertificate | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self.password = password
        self._users = dict(users or {})
        self.tls = tls
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        log = self.folder / "redis.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                ["redis-server", "-"], stdin=subprocess.PIPE, stdout=stream, stderr=stream, cwd=self.folder
            )
        self._process = process
        assert process.stdin is not None
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        wait_until(
            self._answers, deadline_s=START_DEADLINE_S, what="the Redis server", process=process, log_file=log
        )

    def stop(self) -> None:
        """Its data is lost; the port stays its own."""
        process, self._process = self._process, None
        if process is not None:
            end(process)

    def client(self, **arguments: Any) -> redis.Redis:
        """Directly, as the default user unless told otherwise."""
        secure: dict[str, Any] = {} if self.tls is None else {"ssl": True, "ssl_cert_reqs": "none"}
        login = {"password": self.password or None, **arguments}
        return redis.Redis(host=self.host, port=self.port, **secure, **login)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _configuration(self) -> str:
        lines = [f"bind {self.host}", f"dir {self.folder}", 'save ""', "appendonly no", "daemonize no"]
        if self.tls is None:
            lines.append(f"port {self.port}")
        else:
            for name, text in (("cert", self.tls.certificate), ("key", self.tls.key)):
                (self.folder / f"{name}.pem").write_text(text)
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            lines += [f"tls-cert-file {self.folder}/cert.pem", f"tls-key-file {self.folder}/key.pem"]
        if self.password:
            lines.append(f"requirepass {_quoted(self.password)}")
        lines += [
            f"user {name} on {_quoted('>' + password)} {rules}"
            for name, (password, rules) in self._users.items()
        ]
        lines += [f"{name} {value}" for name, value in self._settings.items()]
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def redis_server(**arguments: Any) -> Iterator[RedisServer]:
    """A running one; see `RedisServer`."""
    with tempfile.TemporaryDirectory(prefix="cv-redis-") as folder:
        server = RedisServer(Path(folder), **arguments)
        try:
            server.start()
            yield server
        finally:
            server.stop()
