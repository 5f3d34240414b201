"""The TLS modes against a real PostgreSQL with a certificate of an authority that the system does not know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter import connection
from connvault_jupyter.errors import UpstreamTlsFailed
from connvault_jupyter.kernel.authority_file import authority_file
from setup_hooks.postgresql import PostgresServer
from tests.support.scripted_broker import Handles, ScriptedBroker
from tests.support.tls import ServerCertificate, loopback_certificate


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return loopback_certificate()


@pytest.fixture(scope="module")
def tls_postgres(
    certificate: ServerCertificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """A server that offers TLS."""
    settings = {"log_statement": "none"}
    server = PostgresServer(log_file=tmp_path_factory.mktemp("tls") / "postgres.log", settings=settings)
    server.start()
    owner = server.data.stat()
    for name, text in (("server.crt", certificate.certificate), ("server.key", certificate.key)):
        file = server.data / name
        file.touch(mode=0o600)
        file.write_text(text)
        os.chown(file, owner.st_uid, owner.st_gid)
    settings["ssl"] = "on"
    server.restart()
    yield server
    server.close()


def _handles(broker: ScriptedBroker, server: PostgresServer, **fields: Any) -> Handles:
    admin = server.admin
    return Handles(
        fields={
            "host": admin.host,
            "port": admin.port,
            "database": admin.database,
            "user": admin.user,
            **fields,
        },
        secrets={"password": admin.password},
    ).install(broker)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require", "prefer"])
def test_a_known_authority_is_accepted(
    scripted_broker: ScriptedBroker, tls_postgres: PostgresServer, certificate: ServerCertificate, mode: str
) -> None:
    """The stored PEM text is the authority that counts."""
    _handles(scripted_broker, tls_postgres, sslmode=mode, ca_certificate=certificate.authority)
    with connection("warehouse").connect() as found:
        row = found.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        assert row == (True,)
        # libpq reads the authority again to cancel.
        found.cancel_safe()


@pytest.mark.parametrize("fields", [{"sslmode": "verify-full"}, {}])
def test_an_unknown_authority_is_refused(
    scripted_broker: ScriptedBroker, tls_postgres: PostgresServer, fields: dict[str, str]
) -> None:
    """Without a stored authority the system's count; without a stored mode the strictest."""
    _handles(scripted_broker, tls_postgres, **fields)
    with pytest.raises(UpstreamTlsFailed, match="CA certificate"):
        connection("warehouse").connect()


def test_without_a_stored_authority_the_systems_count(
    scripted_broker: ScriptedBroker,
    tls_postgres: PostgresServer,
    certificate: ServerCertificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where OpenSSL is told to look for them, whatever the wheel was built with."""
    bundle = tmp_path / "system.pem"
    bundle.write_text(certificate.authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    _handles(scripted_broker, tls_postgres, sslmode="verify-full")
    with connection("warehouse").connect() as found:
        assert found.execute("select 1").fetchone() == (1,)


def test_another_name_is_refused(
    scripted_broker: ScriptedBroker, tls_postgres: PostgresServer, certificate: ServerCertificate
) -> None:
    """The right authority, for somebody else."""
    fields = {"host": "localhost", "ca_certificate": certificate.authority}
    _handles(scripted_broker, tls_postgres, sslmode="verify-full", **fields)
    with pytest.raises(UpstreamTlsFailed):
        connection("warehouse").connect()


def test_the_authority_lies_in_a_private_folder(certificate: ServerCertificate) -> None:
    """Nobody else may put another one there."""
    path = Path(authority_file(certificate.authority))
    assert path.read_text() == certificate.authority
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert authority_file(certificate.authority) == str(path)
