"""A real Secret Service (gnome-keyring on a D-Bus session of its own) for code that needs an OS keyring.

The tests themselves never join that session: they run a child in it, so that a prompt, a lock or a crash stays there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ..broker.processes import clean_environment, running, wait_until

# Both daemons answer within 0.2 s.
READY_DEADLINE_S = 15.0
_STARTS = 3

# The password of the login keyring. It protects made-up secrets in a temporary folder.
_KEYRING_PASSWORD = b"login keyring of a test"

_COLLECTION = "/org/freedesktop/secrets/collection/login"
_LOCK = f"""
import secretstorage
collection = secretstorage.Collection(secretstorage.dbus_init(), {_COLLECTION!r})
collection.lock()
assert collection.is_locked()
"""


@dataclass(frozen=True)
class SecretService:
    """A running session with its keyring. `env` is all a child needs to find it."""

    env: Mapping[str, str] = field(repr=False)
    home: Path
    log_file: Path

    def run(self, argv: Sequence[str], *, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a command inside the session; the caller looks at its return code."""
        return subprocess.run(
            list(argv),
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def run_python(self, code: str, *args: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs Python code inside the session, with this interpreter; `args` are its `sys.argv[1:]`."""
        return self.run([sys.executable, "-c", code, *args], timeout_s=timeout_s)

    def lock(self) -> None:
        """Locks the keyring as a person would: what is in it stays, reading it now needs them."""
        done = self.run_python(_LOCK)
        assert done.returncode == 0, done.stderr


@contextmanager
def secret_service_session(home: Path, *, locked: bool = False) -> Iterator[SecretService]:
    """A D-Bus session with an unlocked (or `locked`) gnome-keyring below `home`, for the length of the block.

    Locked, with nobody there to answer the prompt, is what a headless machine looks like.
    """
    for program in ("dbus-daemon", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is not installed: run 'make test', or install Debian's 'dbus' and 'gnome-keyring'"
            )
    home.mkdir(parents=True, exist_ok=True)
    log_file = home / "secret-service.log"
    bus = f"unix:path={_socket_path(home)}"
    env = clean_environment(home, {"DBUS_SESSION_BUS_ADDRESS": bus})
    _socket_path(home).unlink(missing_ok=True)  # an earlier session on this home may have left it
    with ExitStack() as stack:
        daemon = stack.enter_context(
            running(
                ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={bus}"],
                log_file=log_file,
                env=env,
            )
        )
        service = SecretService(env, home, log_file)
        wait_until(
            _socket_path(home).exists,
            deadline_s=READY_DEADLINE_S,
            what="the session bus",
            process=daemon,
            log_file=log_file,
        )
        _start_keyring(stack, bus, env, log_file)
        if locked:
            service.lock()
        yield service


def _socket_path(home: Path) -> Path:
    return home / ".run" / "bus"


def _start_keyring(stack: ExitStack, bus: str, env: Mapping[str, str], log_file: Path) -> None:
    """Starts gnome-keyring, unlocked. On a busy machine one in some hundreds comes up without its login keyring, and
    stays so: it is ended, and started again."""
    command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    for attempt in range(_STARTS):
        with ExitStack() as trying:
            process = trying.enter_context(
                running(command, log_file=log_file, env=env, stdin=_KEYRING_PASSWORD)
            )
            try:
                wait_until(
                    lambda: _is_unlocked(bus),
                    deadline_s=READY_DEADLINE_S,
                    what="gnome-keyring, unlocked",
                    process=process,
                    log_file=log_file,
                )
            except AssertionError:
                if attempt == _STARTS - 1:
                    raise
            else:
                stack.push(trying.pop_all())
                return


def _is_unlocked(bus: str) -> bool:
    """Whether what is stored without naming a collection would be stored."""
    from jeepney import DBusAddress, MessageFlag, MessageType, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    secrets = DBusAddress(
        "/org/freedesktop/secrets", "org.freedesktop.secrets", "org.freedesktop.Secret.Service"
    )
    with contextlib.suppress(OSError), contextlib.closing(open_dbus_connection(bus=bus)) as connection:

        def asked(address: DBusAddress, method: str, signature: str, *arguments: str) -> Any:
            message = new_method_call(address, method, signature, arguments)
            # Without this the bus would start a second keyring, which nobody would end.
            message.header.flags = MessageFlag.no_auto_start
            reply = connection.send_and_get_reply(message, timeout=5)
            return reply.body[0] if reply.header.message_type == MessageType.method_return else None

        if asked(secrets, "ReadAlias", "s", "default") != _COLLECTION:
            return False
        collection = DBusAddress(_COLLECTION, "org.freedesktop.secrets", "org.freedesktop.DBus.Properties")
        # A variant: its signature and its value.
        locked = asked(collection, "Get", "ss", "org.freedesktop.Secret.Collection", "Locked")
        return locked is not None and locked[1] is False
    return False


StartSecretService: TypeAlias = Callable[..., SecretService]


@pytest.fixture
def start_secret_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartSecretService]:
    """Starts a session: `start_secret_service(locked=False, home=None)`. With an earlier `home`: its secrets again."""
    with ExitStack() as started:

        def start(*, home: Path | None = None, locked: bool = False) -> SecretService:
            folder = home or tmp_path_factory.mktemp("keyring")
            return started.enter_context(secret_service_session(folder, locked=locked))

        yield start


@pytest.fixture
def secret_service(start_secret_service: StartSecretService) -> SecretService:
    """An unlocked Secret Service with an empty keyring."""
    return start_secret_service()


@pytest.fixture
def locked_secret_service(start_secret_service: StartSecretService) -> SecretService:
    """A Secret Service whose keyring is locked, with nobody to unlock it."""
    return start_secret_service(locked=True)
