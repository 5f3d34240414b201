"""A real OpenSSH server on a free loopback port, with host keys and authorized keys of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil  # type: ignore[import-untyped]
import pytest

from setup_hooks.postgresql import free_port
from tests.support.broker.processes import clean_environment, end, wait_until

# sshd starts itself anew for each connection, and only by an absolute path.
_SSHD = shutil.which("sshd", path=f"/usr/sbin:/usr/local/sbin:{os.environ.get('PATH', '')}") or "sshd"

# As root it wants an empty folder to lock its unprivileged half into (sshd(8), FILES).
_PRIVILEGE_SEPARATION = Path("/run/sshd")

# ssh-keygen(1), -a.
_ROUNDS = 16

_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
MaxStartups 400
MaxSessions 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class UserKey:
    """A key pair: `private` as it is pasted into the form."""

    private: str
    public: str
    passphrase: str = ""

    @property
    def blob(self) -> bytes:
        """The public half as on the wire."""
        return base64.b64decode(self.public.split()[1])

    @property
    def secrets(self) -> dict[str, str]:
        found = {"private_key": self.private}
        return {**found, "passphrase": self.passphrase} if self.passphrase else found


def new_key(
    kind: str = "ssh-ed25519", *, form: str = "openssh", passphrase: str = "", bits: int = 2048
) -> UserKey:
    """A fresh one."""
    key = (
        asyncssh.generate_private_key(kind, key_size=bits)
        if kind == "ssh-rsa"
        else asyncssh.generate_private_key(kind)
    )
    # As many rounds as ssh-keygen takes at least without being told.
    rounds = _ROUNDS if passphrase and form == "openssh" else 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: bcrypt.kdf", UserWarning)
        private = (
            key.export_private_key(form, passphrase=passphrase, rounds=rounds)
            if rounds
            else key.export_private_key(form, passphrase=passphrase or None)
        )
    return UserKey(private.decode(), key.export_public_key().decode().strip(), passphrase)


class SshServer:
    """Started by `start`, ended by `stop`; as often as needed, on the same port with the same host key."""

    def __init__(self, folder: Path, *, host_key: UserKey | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        host_key = host_key or new_key()
        self.host_key = host_key.public
        (folder / "host_key").write_text(host_key.private)
        (folder / "host_key").chmod(0o600)
        (folder / "authorized_keys").touch()
        (folder / "sshd_config").write_text(_CONFIG.format(port=self.port, folder=folder))
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        self.log_file = folder / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def fields(self) -> dict[str, object]:
        """Of a connection to it, without a host key."""
        return {"host": "127.0.0.1", "port": self.port, "user": self.user}

    def let_in(self, *keys: UserKey) -> None:
        """These keys alone."""
        (self.folder / "authorized_keys").write_text("".join(f"{key.public}\n" for key in keys))

    def start(self) -> None:
        if os.getuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [_SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(self.folder),
            )
        wait_until(self._answers, deadline_s=20, what="sshd", process=self._process, log_file=self.log_file)

    def stop(self) -> None:
        """The listener and, as a restart of the machine would, all of its sessions."""
        if self._process is not None:
            sessions = psutil.Process(self._process.pid).children(recursive=True)
            end(self._process)
            for session in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    session.kill()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as stream:
                return stream.recv(4) == b"SSH-"
        except OSError:
            return False


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Runs for one module; a test that stops it starts it again."""
    server = SshServer(tmp_path_factory.mktemp("sshd"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
