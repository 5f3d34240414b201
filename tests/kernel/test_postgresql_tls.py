"""The TLS modes of a brokered handle against a real PostgreSQL with a certificate that the system does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connvault_jupyter import connection
from connvault_jupyter.errors import UpstreamTlsFailed
from setup_hooks.postgresql import PostgresServer
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.relays.postgres_relay import fields_of
from tests.support.relays.relayed_handles import Stage
from tests.support.servers.postgres import encrypted_postgres
from tests.support.servers.tls import ServerCertificate, loopback_certificate


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return loopback_certificate()


@pytest.fixture(scope="module")
def tls_postgres(
    certificate: ServerCertificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """A server that offers TLS."""
    log_file = tmp_path_factory.mktemp("tls") / "postgres.log"
    with encrypted_postgres(certificate, log_file) as server:
        yield server


@pytest.fixture
def put(scripted_broker: ScriptedBroker, postgres_stage: Stage, tls_postgres: PostgresServer) -> Any:
    """Sets the connection's other fields."""
    admin = tls_postgres.admin

    def put(**fields: Any) -> None:
        postgres_stage.put(scripted_broker, fields_of(admin, **fields), {"password": admin.password})

    return put


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require", "prefer"])
def test_a_known_authority_is_accepted(put: Any, certificate: ServerCertificate, mode: str) -> None:
    """The stored PEM text is the authority that counts; a cancel goes through TLS too."""
    put(sslmode=mode, ca_certificate=certificate.authority)
    for _ in range(2):
        with connection("warehouse", kind="postgresql").connect() as found:
            row = found.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
            assert row == (True,)
            found.cancel_safe()


@pytest.mark.parametrize("mode", ["verify-full", None])
def test_an_unknown_authority_is_refused(put: Any, mode: str | None) -> None:
    """Without a stored authority the system's count; without a stored mode the strictest."""
    put(sslmode=mode)
    with pytest.raises(UpstreamTlsFailed, match="CA certificate"):
        connection("warehouse", kind="postgresql").connect()


def test_another_name_is_refused(put: Any, certificate: ServerCertificate) -> None:
    """The right authority, for somebody else."""
    put(host="localhost", sslmode="verify-full", ca_certificate=certificate.authority)
    with pytest.raises(UpstreamTlsFailed):
        connection("warehouse", kind="postgresql").connect()


def test_an_encrypted_session_is_used_again(put: Any) -> None:
    """Reset through its TLS, and handed to the next client; a cut has nothing to do with the last one's."""
    put(sslmode="require")
    handle, pids = connection("warehouse", kind="postgresql"), list[int]()
    # Which spare is given out depends on which one is ready first.
    while len(set(pids)) == len(pids) and len(pids) < 50:
        with handle.connect() as found:
            row = found.execute("select pg_backend_pid(), current_setting('work_mem')").fetchone()
            assert row == (found.info.backend_pid, "4MB")
            found.execute("set work_mem = '9MB'")
            pids.append(found.info.backend_pid)
    assert len(set(pids)) < len(pids)
