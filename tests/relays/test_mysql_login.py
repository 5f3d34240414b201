"""How the MySQL relay logs in: MariaDB's plugins and TLS at a real server, MySQL 8's at a scripted one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.mysql.relay import Relay
from tests.support.servers.mariadb import Account, MariaDbServer
from tests.support.servers.mariadb import account as account
from tests.support.servers.mariadb import mariadb as mariadb
from tests.support.servers.mysql_server import CACHING_SHA2, NATIVE, MySql8, serving
from tests.support.servers.tls import ServerCertificate, loopback_certificate

PASSWORD = "pass wörd-0815"
ED25519 = "VIA ed25519 USING PASSWORD('%s')"


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return loopback_certificate()


@pytest.fixture
def ed25519_account(mariadb: MariaDbServer) -> Iterator[Account]:
    made = mariadb.create(how=ED25519)
    yield made
    mariadb.drop(made)


def log_in(fields: dict[str, Any], password: str) -> str:
    return Relay(limits=LIMITS).log_in(Login(fields, {"password": password}, 1, "r"))


def scripted(port: int, **others: Any) -> dict[str, Any]:
    plain = {"host": "127.0.0.1", "port": port, "user": "ann", "database": "shop"}
    return {**plain, "sslmode": "disable", **others}


def outcome(fields: dict[str, Any], password: str) -> str:
    """What it is called, or the code."""
    try:
        return log_in(fields, password)
    except ConnvaultError as refused:
        return refused.code


# -- MariaDB


def test_a_mysql_check_names_the_server(account: Account) -> None:
    """A name of ours and its number: what a connection test shows."""
    assert log_in(account.fields(), account.password).startswith("MariaDB 10.")


def test_a_user_with_ed25519_is_let_in(ed25519_account: Account) -> None:
    """Through a switch from the server's default."""
    assert log_in(ed25519_account.fields(), ed25519_account.password).startswith("MariaDB ")


def test_a_wrong_ed25519_password_is_refused(ed25519_account: Account) -> None:
    """So the signature does mean something."""
    with pytest.raises(UpstreamAuthFailed):
        log_in(ed25519_account.fields(), "wrong")


def test_a_missing_pynacl_is_told(ed25519_account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to install."""
    monkeypatch.setitem(sys.modules, "nacl", None)
    with pytest.raises(UpstreamAuthFailed, match="needs PyNaCl"):
        log_in(ed25519_account.fields(), ed25519_account.password)


def test_a_password_that_is_not_ascii_goes_as_utf_8(mariadb: MariaDbServer) -> None:
    """As the server hashed it."""
    made = mariadb.create(password=PASSWORD)
    assert log_in(made.fields(), PASSWORD).startswith("MariaDB ")
    mariadb.drop(made)


def test_a_user_who_needs_tls_is_let_in_with_it(mariadb: MariaDbServer, account: Account) -> None:
    """`REQUIRE SSL`: the proof that there is TLS."""
    mariadb.execute(f"ALTER USER {account.user}@'127.0.0.1' REQUIRE SSL")
    assert log_in(account.fields(sslmode="require"), account.password).startswith("MariaDB ")
    with pytest.raises(UpstreamAuthFailed):
        log_in(account.fields(), account.password)


@pytest.mark.parametrize(
    ("mode", "host", "authority", "expected"),
    [
        ("prefer", "127.0.0.1", "", "MariaDB"),
        ("require", "127.0.0.1", "", "MariaDB"),
        ("require", "localhost", "", "MariaDB"),
        ("verify-ca", "127.0.0.1", "the server's", "MariaDB"),
        ("verify-ca", "localhost", "the server's", "MariaDB"),
        ("verify-ca", "127.0.0.1", "another", "upstream_tls_failed"),
        ("verify-full", "127.0.0.1", "the server's", "MariaDB"),
        ("verify-full", "localhost", "the server's", "upstream_tls_failed"),
        ("verify-full", "127.0.0.1", "another", "upstream_tls_failed"),
        ("verify-full", "127.0.0.1", "", "upstream_tls_failed"),
    ],
)
def test_each_tls_mode_verifies_what_it_says(
    mariadb: MariaDbServer, account: Account, certificate: ServerCertificate,
    mode: str, host: str, authority: str, expected: str,
) -> None:  # fmt: skip
    """The certificate is for 127.0.0.1 alone, and the user must have TLS."""
    mariadb.execute(f"ALTER USER {account.user}@'127.0.0.1' REQUIRE SSL")
    authorities = {"the server's": mariadb.certificate.authority, "another": certificate.authority, "": ""}
    fields = account.fields(sslmode=mode, host=host, ca_certificate=authorities[authority])
    assert outcome(fields, account.password).partition(" ")[0] == expected


# -- MySQL 8, scripted


@pytest.mark.parametrize("cached", [True, False])
def test_the_scripted_server_takes_what_another_client_says(
    certificate: ServerCertificate, cached: bool
) -> None:
    """PyMySQL knows nothing of us: what it takes, it would take from MySQL's own client."""
    server = MySql8(b"pass word", certificate, cached=cached)
    with serving(server) as port:
        found = pymysql.connect(host="127.0.0.1", port=port, user="ann", password="pass word")
        found.close()
        with pytest.raises(pymysql.OperationalError):
            pymysql.connect(host="127.0.0.1", port=port, user="ann", password="wrong")
    assert server.seen[0] == ("fast" if cached else "full")


@pytest.mark.parametrize(
    ("cached", "tls", "sslmode", "password", "expected", "seen"),
    [
        (True, False, "disable", PASSWORD, "MySQL 8.0.36", ["fast"]),
        (True, True, "require", PASSWORD, "MySQL 8.0.36", ["fast"]),
        (True, False, "disable", "wrong", "upstream_auth_failed", []),
        (False, True, "require", PASSWORD, "MySQL 8.0.36", ["full"]),
        (False, True, "prefer", PASSWORD, "MySQL 8.0.36", ["full"]),
        (False, True, "require", "wrong", "upstream_auth_failed", ["full"]),
        (False, False, "disable", PASSWORD, "upstream_tls_failed", []),
        (False, False, "prefer", PASSWORD, "upstream_tls_failed", []),
        (False, False, "require", PASSWORD, "upstream_tls_failed", []),
        (False, True, "verify-full", PASSWORD, "upstream_tls_failed", []),
    ],
)
@pytest.mark.parametrize("switched", [False, True])
def test_when_the_user_has_caching_sha2_the_password_crosses_in_tls_only(
    certificate: ServerCertificate, cached: bool, tls: bool, sslmode: str, password: str, expected: str,
    seen: list[str], switched: bool,
) -> None:  # fmt: skip
    """Fast where the server remembers, whole in TLS where it does not, and no key of the server's is asked for."""
    default = NATIVE if switched else CACHING_SHA2
    server = MySql8(
        PASSWORD.encode(), certificate if tls else None, cached=cached, default=default, switch=CACHING_SHA2
    )
    with serving(server) as port:
        assert outcome(scripted(port, sslmode=sslmode), password) == expected
    assert server.seen == seen


def test_when_sha2_has_to_see_the_password_without_tls_the_advice_is_tls() -> None:
    """What to change, in the form's words."""
    with serving(MySql8(b"x")) as port, pytest.raises(UpstreamTlsFailed, match="verified server"):
        log_in(scripted(port), PASSWORD)


@pytest.mark.parametrize("mode", ["disable", "require", "verify-ca", "verify-full"])
def test_when_the_server_wants_the_password_in_the_clear_only_a_verified_one_gets_it(
    certificate: ServerCertificate, mode: str
) -> None:
    """A server in the middle would ask just so."""
    server = MySql8(PASSWORD.encode(), certificate, switch=b"mysql_clear_password")
    verified = mode.startswith("verify")
    authority = certificate.authority if verified else ""
    with serving(server) as port:
        found = outcome(scripted(port, sslmode=mode, ca_certificate=authority), PASSWORD)
    assert found == ("MySQL 8.0.36" if verified else "upstream_tls_failed")
    assert server.seen == (["clear"] if verified else [])


@pytest.mark.parametrize("plugin", [b"parsec", b"dialog", b"sha256_password", b"auth_gssapi_client"])
def test_a_server_that_wants_an_unknown_way_to_log_in_is_told(plugin: bytes) -> None:
    """And which are known."""
    server = MySql8(PASSWORD.encode(), switch=plugin)
    with (
        serving(server) as port,
        pytest.raises(UpstreamAuthFailed, match="Change the user's to mysql_native_password"),
    ):
        log_in(scripted(port), PASSWORD)


def test_a_mysql_server_where_nobody_listens_is_unreachable() -> None:
    """Not a time-out."""
    with serving(MySql8(b"")) as port:
        pass
    with pytest.raises(UpstreamUnreachable):
        log_in(scripted(port), PASSWORD)


def test_when_the_database_is_not_there_the_error_is_not_about_the_password(account: Account) -> None:
    """The person would replace the wrong thing."""
    with pytest.raises(UpstreamRefused):
        log_in(account.fields(database="nowhere"), account.password)
