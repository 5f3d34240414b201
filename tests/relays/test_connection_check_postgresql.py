"""The connection test at a real PostgreSQL: every way in which a login can end, and what never gets out."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.providers.registry import ProviderCatalogue
from setup_hooks.postgresql import Login, PostgresServer, free_port
from tests.support.relays.relay_process import tried
from tests.support.servers.scripted_upstream import upstream
from tests.support.servers.tls import ServerCertificate, loopback_certificate
from tests.support.servers.tls_front import tls_front

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=timezone.utc)
CATALOGUE = ProviderCatalogue(packages=False)


def attempt(login: Login, *, timeout_s: float = 10.0, **changed: Any) -> TestOutcome:
    provider = CATALOGUE.get("postgresql")
    assert provider is not None
    fields = {
        "host": login.host,
        "port": login.port,
        "database": login.database,
        "user": login.user,
        "sslmode": "disable",
        **changed,
    }
    return tried(provider, fields, {"password": login.password}, at=NOW, timeout_s=timeout_s)


def test_a_postgresql_check_says_that_all_is_right(postgres_login: Login) -> None:
    """In a moment, with the server's version and nothing more of its words."""
    outcome = attempt(postgres_login)
    assert (outcome.ok, outcome.code, outcome.detail, outcome.at) == (True, None, "Connected.", NOW)
    name, version = outcome.server.split(" ")
    assert name == "PostgreSQL"
    assert all(part.isdigit() for part in version.split("."))
    assert outcome.elapsed_ms > 0


def test_when_the_password_is_wrong_the_login_failed(postgres_login: Login) -> None:
    """The password, and nothing else."""
    outcome = attempt(dataclasses.replace(postgres_login, password="canary-5b1e"))
    assert (outcome.ok, outcome.code) == (False, "upstream_auth_failed")
    assert "canary" not in outcome.model_dump_json()


def test_when_the_user_is_unknown_the_login_failed(postgres_login: Login) -> None:
    """The server does not tell the difference either."""
    outcome = attempt(postgres_login, user="nobody_here")
    assert outcome.code == "upstream_auth_failed"
    assert "nobody_here" not in outcome.detail


def test_a_postgresql_check_of_an_unknown_database_is_refused(postgres_login: Login) -> None:
    """The login was right; the message points at the database."""
    outcome = attempt(postgres_login, database="no_such_database")
    assert outcome.code == "upstream_refused"
    assert "no_such_database" not in outcome.detail
    assert "database" in outcome.detail


def test_a_postgresql_check_where_nobody_listens_is_unreachable(postgres_login: Login) -> None:
    """A wrong port, a server that is down."""
    assert attempt(postgres_login, port=free_port()).code == "upstream_unreachable"


def test_a_postgresql_check_of_a_host_without_address_is_unreachable(postgres_login: Login) -> None:
    """A typing error in the host (RFC 6761: .invalid never resolves)."""
    assert attempt(postgres_login, host="db.invalid").code == "upstream_unreachable"


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_when_the_server_has_no_tls_the_mode_is_blamed(postgres_login: Login, mode: str) -> None:
    """A server in plain text, asked for encryption: never a silent fallback."""
    outcome = attempt(postgres_login, sslmode=mode)
    assert outcome.code == "upstream_tls_failed"
    assert "does not offer encryption" in outcome.detail


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_a_postgresql_check_of_a_silent_server_times_out(
    postgres_login: Login, silent_port: int, mode: str
) -> None:
    """Bounded, whatever the other side does."""
    outcome = attempt(postgres_login, port=silent_port, sslmode=mode, timeout_s=2)
    assert outcome.code == "upstream_timeout"
    assert outcome.elapsed_ms < 30_000


def test_a_postgresql_check_that_something_else_answers_is_no_login(postgres_login: Login) -> None:
    """A web server on that port, say: some failure, none of its words."""

    def answer(client: socket.socket) -> None:
        client.recv(1024)
        client.sendall(b"HTTP/1.1 400 canary\r\n\r\n")

    with upstream(answer) as port:
        outcome = attempt(postgres_login, port=port)
    assert not outcome.ok
    assert "canary" not in outcome.model_dump_json()


def test_a_postgresql_check_does_not_follow_the_environment(
    postgres_login: Login, silent_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PGHOSTADDR would send the password to another host."""
    (tmp_path / "service.conf").write_text("[other]\nhost=other.invalid\n")
    for name, value in {
        "PGHOSTADDR": "127.0.0.2",
        "PGPORT": str(silent_port),
        "PGSSLMODE": "verify-full",
        "PGSERVICE": "other",
        "PGSERVICEFILE": str(tmp_path / "service.conf"),
        "PGOPTIONS": "-c nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    assert attempt(postgres_login).ok


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return loopback_certificate()


@pytest.fixture
def tls_port(postgres: PostgresServer, certificate: ServerCertificate, tmp_path: Path) -> Iterator[int]:
    with tls_front(postgres.admin.port, certificate, tmp_path) as port:
        yield port


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_when_the_authority_is_given_the_server_is_verified(
    postgres_login: Login, tls_port: int, certificate: ServerCertificate, mode: str
) -> None:
    """A CA of one's own, as text in a field."""
    outcome = attempt(postgres_login, port=tls_port, sslmode=mode, ca_certificate=certificate.authority)
    assert outcome.ok, outcome


def test_when_encryption_is_all_that_is_asked_no_authority_is_needed(
    postgres_login: Login, tls_port: int
) -> None:
    """The default: encrypted, not verified."""
    assert attempt(postgres_login, port=tls_port, sslmode="require").ok


@pytest.mark.parametrize(
    ("mode", "host", "authority"),
    [
        ("verify-ca", "127.0.0.1", "other"),
        ("verify-full", "127.0.0.1", "other"),
        ("verify-full", "127.0.0.1", "system"),
        ("verify-full", "localhost", "right"),
        ("verify-ca", "127.0.0.1", "garbage"),
    ],
)
def test_when_the_certificate_does_not_fit_tls_failed(
    postgres_login: Login, tls_port: int, certificate: ServerCertificate, mode: str, host: str, authority: str
) -> None:
    """Another authority, the system's own, another name, no certificate at all: no password is sent."""
    authorities = {
        "other": loopback_certificate().authority,
        "right": certificate.authority,
        "garbage": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    outcome = attempt(
        postgres_login,
        port=tls_port,
        host=host,
        sslmode=mode,
        ca_certificate=authorities.get(authority),
    )
    assert outcome.code == "upstream_tls_failed"
