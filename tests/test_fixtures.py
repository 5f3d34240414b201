"""The real parts that the other tests stand on: they are there, they are isolated, and they ask for credentials."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.browser.jupyter_server import JupyterServer
from tests.support.servers.secret_service import SecretService, secret_service_session

# The backend is named: keyring left to itself may chain several, and another one could answer for a locked one.
ROUND_TRIP = """
import sys
from keyring.backends.SecretService import Keyring
Keyring().set_password("connvault-test", "somebody", sys.argv[1])
print(Keyring().get_password("connvault-test", "somebody"))
"""
READ_BACK = """
from keyring.backends.SecretService import Keyring
print(Keyring().get_password("connvault-test", "somebody"))
"""


def test_a_login_is_answered(postgres_login: Login) -> None:
    """A fresh user logs in with the password and asks a question."""
    with psycopg.connect(**postgres_login.psycopg_kwargs()) as connection:
        assert connection.execute("SELECT 1, current_user").fetchone() == (1, postgres_login.user)


def test_a_wrong_password_is_refused(postgres_login: Login) -> None:
    """The server trusts nobody, the loopback interface included."""
    wrong = {**postgres_login.psycopg_kwargs(), "password": "wrong"}
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(**wrong)


def test_a_restart_keeps_port_and_a_changed_password(postgres: PostgresServer, postgres_login: Login) -> None:
    """After a change and a restart only the new password works."""
    changed = postgres.set_password(postgres_login)
    postgres.restart()
    with psycopg.connect(**changed.psycopg_kwargs()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**postgres_login.psycopg_kwargs())


def test_the_login_never_shows_its_password(postgres_login: Login) -> None:
    """A failed assertion prints reprs."""
    assert postgres_login.password not in repr(postgres_login)


def test_the_secret_service_keeps_a_secret_over_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one session stored, the next one on the same home reads."""
    home = tmp_path_factory.mktemp("kept")
    with secret_service_session(home) as first:
        done = first.run_python(ROUND_TRIP, "kept")
        assert done.stdout.strip() == "kept", done.stderr
    with secret_service_session(home) as second:
        assert second.run_python(READ_BACK).stdout.strip() == "kept"


def test_a_locked_secret_service_gives_nothing(locked_secret_service: SecretService) -> None:
    """Locked and nobody there: an error, in good time, and no secret."""
    done = locked_secret_service.run_python(ROUND_TRIP, "kept", timeout_s=30)
    assert "KeyringLocked" in done.stderr
    assert "kept" not in done.stdout


def test_a_secret_is_unreadable_after_lock(secret_service: SecretService) -> None:
    """Locking takes away what could be read a moment before."""
    secret_service.run_python(ROUND_TRIP, "kept")
    secret_service.lock()
    assert "kept" not in secret_service.run_python(READ_BACK, timeout_s=30).stdout


def test_the_server_answers_with_its_token(jupyter_server: JupyterServer) -> None:
    """The status is there for whoever has the token."""
    answer = jupyter_server.request("GET", "api/status")
    assert answer.status_code == 200
    assert "started" in answer.json()


@pytest.mark.parametrize("token", [False, "wrong"])
def test_the_server_refuses_without_its_token(jupyter_server: JupyterServer, token: bool | str) -> None:
    """No token and a wrong one are equally no good."""
    assert jupyter_server.request("GET", "api/status", token=token).status_code == 403


def test_the_server_keeps_to_its_own_folders(jupyter_server: JupyterServer) -> None:
    """Its files are below its own home: the person's settings are neither read nor changed."""
    assert list(jupyter_server.runtime_dir.glob("jpserver-*.json"))
    for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        assert Path(jupyter_server.env[name]).is_relative_to(jupyter_server.home)
        assert jupyter_server.env[name] != os.environ.get(name)
