"""The login at a PostgreSQL server: every way in which it proves itself, and each failure."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import scramp  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from connvault_jupyter.errors import (
    HandleInvalid,
    SecretInvalid,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login as RelayLogin
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.authentication import end_point
from connvault_jupyter.relays.postgresql.login import Session, log_in
from connvault_jupyter.relays.postgresql.messages import message, query
from connvault_jupyter.relays.postgresql.relay import Relay
from connvault_jupyter.relays.upstream import shut
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.relays.postgres_relay import fields_of
from tests.support.servers.postgres import encrypted_postgres
from tests.support.servers.postgres_upstream import exactly, login_to, read_message, read_packet
from tests.support.servers.scripted_upstream import upstream
from tests.support.servers.tls import ServerCertificate, loopback_certificate


def relay_login(login: Login, **changed: Any) -> RelayLogin:
    return RelayLogin(fields_of(login, **changed), {"password": login.password}, 1, "r1")


def asked(session: Session, statement: str) -> bytes:
    """The first column of the first row."""
    session.stream.settimeout(10)
    session.stream.sendall(query(statement))
    found = b""
    while True:
        kind, body = read_message(session.stream)
        if kind == b"D":
            found = body[6:]
        if kind == b"Z":
            return found


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return loopback_certificate()


@pytest.fixture(scope="module")
def server(
    certificate: ServerCertificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """With TLS, and a user for each way to log in."""
    prepare = (
        "set password_encryption = 'md5'; create role old login password 'old-secret';"
        "create role plain login password 'plain-secret'; create role nobody login password 'x'"
    )
    rules = [
        "host all old 127.0.0.1/32 md5",
        "host all plain 127.0.0.1/32 password",
        "host all nobody 127.0.0.1/32 reject",
        "host all all 127.0.0.1/32 scram-sha-256\n",
    ]
    log_file = tmp_path_factory.mktemp("tls") / "postgres.log"
    with encrypted_postgres(certificate, log_file, rules="\n".join(rules), prepare=prepare) as found:
        yield found


def user(server: PostgresServer, name: str, password: str) -> Login:
    return Login(server.admin.host, server.admin.port, name, "postgres", password)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_scram_lets_in_with_each_mode(
    server: PostgresServer, certificate: ServerCertificate, mode: str
) -> None:
    """Encrypted wherever the server can and the person wants it."""
    authority = {"ca_certificate": certificate.authority} if mode.startswith("verify") else {}
    session = log_in(relay_login(server.admin, sslmode=mode, **authority), (), limits=Limits())
    encrypted = asked(session, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    shut(session.stream)
    assert session.encrypted == (encrypted == b"t") == (mode != "disable")
    assert session.pid > 0
    assert len(session.key) == 4


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_md5_lets_in(server: PostgresServer, mode: str) -> None:
    """What old servers ask for."""
    session = log_in(relay_login(user(server, "old", "old-secret"), sslmode=mode), (), limits=Limits())
    assert asked(session, "select current_user") == b"old"
    shut(session.stream)


@contextmanager
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever is connected to is on another machine, as far as the login can see."""
    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "getpeername", lambda _stream: ("192.0.2.7", 5432))
        yield


# What a server says that wants md5, with its salt.
MD5_ASKED = message(b"R", struct.pack(">I", 5) + b"salt")


@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_an_md5_answer_goes_to_no_server_that_nobody_verified(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Whoever asks for it in the server's place hears nothing: passwords can be tried on it by the thousand million."""
    heard: list[bytes] = []

    def behave(stream: socket.socket) -> None:
        if mode == "prefer":
            exactly(stream, 8)
            stream.sendall(b"N")
        read_packet(stream)
        stream.sendall(MD5_ASKED)
        heard.append(stream.recv(4096))

    with far(monkeypatch), upstream(behave) as port:
        with pytest.raises(
            UpstreamTlsFailed, match="verifies the server, or configure the server to use scram-sha-256"
        ) as caught:
            log_in(login_to(port, sslmode=mode), (), limits=Limits())
        wait_until(lambda: heard, deadline_s=10, what="the end of the connection")
    assert heard == [b""]
    assert "canary" not in repr((caught.value.args, caught.value.details))


@pytest.mark.parametrize("mode", ["require", "prefer", "verify-ca", "verify-full"])
def test_an_md5_answer_crosses_to_a_far_server_that_has_shown_its_certificate_only(
    server: PostgresServer, certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Encryption alone says nothing of who is at its other end: as for the password itself."""
    for name, password in (("old", "old-secret"), ("plain", "plain-secret")):
        login = relay_login(user(server, name, password), sslmode=mode, ca_certificate=certificate.authority)
        with far(monkeypatch):
            if mode.startswith("verify"):
                shut(log_in(login, (), limits=Limits()).stream)
                continue
            with pytest.raises(UpstreamTlsFailed, match="identity has not been verified"):
                log_in(login, (), limits=Limits())


def test_the_test_of_a_connection_says_what_to_do_about_md5(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words as a cell gets."""
    with (
        far(monkeypatch),
        pytest.raises(UpstreamTlsFailed, match="configure the server to use scram-sha-256"),
    ):
        Relay(limits=Limits()).log_in(relay_login(user(server, "old", "old-secret"), sslmode="require"))


def test_a_plain_password_goes_through_tls_only(server: PostgresServer) -> None:
    """A server that asks for it otherwise does not get it."""
    login = user(server, "plain", "plain-secret")
    session = log_in(relay_login(login, sslmode="require"), (), limits=Limits())
    assert asked(session, "select current_user") == b"plain"
    shut(session.stream)
    with pytest.raises(UpstreamTlsFailed, match="plain text"):
        log_in(relay_login(login), (), limits=Limits())


def test_the_channel_is_bound(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """SCRAM-SHA-256-PLUS over TLS: whoever sits in between with another certificate fails."""
    used = []
    made = scramp.ScramClient

    def spy(*arguments: Any, **named: Any) -> Any:
        used.append(made(*arguments, **named))
        return used[-1]

    monkeypatch.setattr(scramp, "ScramClient", spy)
    for mode in ("require", "disable"):
        shut(log_in(relay_login(server.admin, sslmode=mode), (), limits=Limits()).stream)
    assert [one.mechanism_name for one in used] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]


@pytest.mark.parametrize(
    ("key", "signed_by", "bound_by"),
    [
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA384(), "sha384"),
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256(), "sha256"),
        (ed25519.Ed25519PrivateKey.generate(), None, None),
    ],
    ids=["SHA-384", "SHA-256", "Ed25519"],
)
def test_a_certificate_binds_by_the_hash_of_its_signature(
    key: Any, signed_by: Any, bound_by: str | None
) -> None:
    """RFC 5929 4.1; one whose signature names no hash does not bind."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=1))
    certificate = builder.sign(key, signed_by).public_bytes(serialization.Encoding.DER)
    expected = None if bound_by is None else hashlib.new(bound_by, certificate).digest()
    assert end_point(certificate) == expected
    assert end_point(b"no certificate") is None


@pytest.mark.parametrize(
    ("name", "password", "changed", "kind", "text"),
    [
        ("postgres", "wrong", {}, UpstreamAuthFailed, "replace the secret"),
        ("old", "wrong", {}, UpstreamAuthFailed, "replace the secret"),
        ("plain", "wrong", {"sslmode": "require"}, UpstreamAuthFailed, "replace the secret"),
        ("no_such_user", "x", {}, UpstreamAuthFailed, "replace the secret"),
        ("nobody", "x", {}, UpstreamRefused, "does not accept this user"),
        ("postgres", None, {"database": "no_such_database"}, UpstreamRefused, "Check the database"),
        ("postgres", None, {"sslmode": "verify-full"}, UpstreamTlsFailed, "CA certificate"),
        ("postgres", None, {"sslmode": "verify-ca", "ca_certificate": "x"}, UpstreamTlsFailed, "CA certificate"),
        ("postgres", None, {"port": 1}, UpstreamUnreachable, "Check host"),
        ("postgres", "a\0b", {}, SecretInvalid, "can't be sent"),
        ("postgres", "", {}, SecretMissing, "no secret"),
    ],
)  # fmt: skip
def test_each_failure_has_its_own_error(
    server: PostgresServer, name: str, password: str | None, changed: dict[str, Any], kind: Any, text: str
) -> None:
    """Advice, and nothing of what the server says or of the secret."""
    login = user(server, name, server.admin.password if password is None else password)
    with pytest.raises(kind, match=text) as caught:
        log_in(relay_login(login, **changed), (), limits=Limits())
    assert name not in caught.value.message
    assert not password or password not in repr((caught.value, caught.value.details))


def test_no_free_connection_is_said(server: PostgresServer) -> None:
    """Not the password's fault."""
    server.execute("create role single login password 'single-secret' connection limit 0")
    with pytest.raises(UpstreamRefused, match="no free connection"):
        log_in(relay_login(user(server, "single", "single-secret")), (), limits=Limits())


@pytest.mark.parametrize("password", ["pässwörd ✓", "with space", "\u00a0x", "x" * 500])
def test_passwords_of_any_letters_let_in(server: PostgresServer, password: str) -> None:
    """As RFC 4013 prepares them, on both sides."""
    server.execute(f"drop role if exists odd; create role odd login password '{password}'")
    shut(log_in(relay_login(user(server, "odd", password)), (), limits=Limits()).stream)


def test_the_test_of_a_connection_names_the_version(server: PostgresServer) -> None:
    """Numbers only."""
    name, version = Relay(limits=Limits()).log_in(relay_login(server.admin)).split(" ")
    assert name == "PostgreSQL"
    assert version.replace(".", "").isdigit()


def test_a_cut_ends_a_login_under_way() -> None:
    """The socket is the client's from its first moment."""
    arrived = threading.Event()
    sockets: list[socket.socket] = []

    def silent(stream: socket.socket) -> None:
        read_packet(stream)
        arrived.set()
        stream.recv(1)

    def cut() -> None:
        arrived.wait(10)
        sockets[0].shutdown(socket.SHUT_RDWR)

    with upstream(silent) as port:
        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(UpstreamError):
            log_in(login_to(port), (), limits=Limits(), connected=sockets.append)
        thread.join()


def test_what_was_cut_before_is_not_logged_in() -> None:
    """Nothing is sent then."""
    heard: list[bytes] = []

    def refuse(stream: socket.socket) -> None:
        raise HandleInvalid(reason="revoked")

    with upstream(lambda stream: heard.append(stream.recv(100))) as port, pytest.raises(HandleInvalid):
        log_in(login_to(port), (), limits=Limits(), connected=refuse)
    assert b"".join(heard) == b""
