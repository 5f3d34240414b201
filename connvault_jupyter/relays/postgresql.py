"""A trial login at a PostgreSQL server, with psycopg. Runs in the child of a connection test only."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .login_result import AUTH_FAILED, REFUSED, TIMEOUT, TLS_FAILED, UNREACHABLE, LoginResult

if TYPE_CHECKING:
    import psycopg

# Given explicitly, empty or fixed: libpq asks environment and service files only for what is not given.
_PINNED: Mapping[str, str] = {
    "hostaddr": "",
    "passfile": os.devnull,
    "requirepeer": "",
    "gssencmode": "disable",
    "application_name": "connvault connection test",
}

# libpq 16 knows the system's own CAs by this word.
_SYSTEM_AUTHORITIES_SINCE = 160000


def log_in(fields: Mapping[str, Any], secrets: Mapping[str, str], timeout_s: float) -> LoginResult:
    """Logs in, asks the server for its version and leaves. What it says in an error is looked at, never shown."""
    import psycopg

    with _authority(fields.get("ca_certificate")) as file:
        try:
            # A pooler takes a login by itself; only a question reaches the server behind it.
            with psycopg.connect(**_parameters(fields, secrets, timeout_s, file)) as connection:
                connection.execute("SELECT 1")
                version = re.match(
                    r"[0-9]+(\.[0-9]+)*", connection.info.parameter_status("server_version") or ""
                )
        except psycopg.Error as error:
            return _judged(error, psycopg)
    return LoginResult(server=f"PostgreSQL {version[0]}" if version else "")


def _parameters(
    fields: Mapping[str, Any], secrets: Mapping[str, str], timeout_s: float, authority: str
) -> dict[str, Any]:
    import psycopg

    mode = fields.get("sslmode") or "verify-full"
    if not authority and mode == "verify-full" and psycopg.pq.version() >= _SYSTEM_AUTHORITIES_SINCE:
        authority = "system"
        _point_at_system_authorities()
    return {
        **_PINNED,
        "host": fields["host"],
        "port": fields.get("port") or 5432,
        "dbname": fields["database"],
        "user": fields["user"],
        "password": secrets.get("password", ""),
        "sslmode": mode,
        "sslrootcert": authority,
        # libpq takes less than two seconds for two.
        "connect_timeout": max(2, int(timeout_s)),
    }


@contextmanager
def _authority(pem: Any) -> Iterator[str]:
    """The CA certificate as a file, for libpq takes a path only; empty without one."""
    if not pem:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem", encoding="utf-8") as file:
        file.write(str(pem))
        file.flush()
        yield file.name


def _point_at_system_authorities() -> None:
    """psycopg's wheel brings an OpenSSL of its own, which looks for the system's CAs in another system's place."""
    found = ssl.get_default_verify_paths()
    for variable, place in (("SSL_CERT_FILE", found.cafile), ("SSL_CERT_DIR", found.capath)):
        if place:
            os.environ.setdefault(variable, place)


def _judged(error: psycopg.Error, psycopg: Any) -> LoginResult:
    """libpq gives no SQLSTATE for a failed login, so its English words have to do; a server in another language is
    told apart by `FATAL` at best."""
    text = str(error)
    if isinstance(error, psycopg.errors.ConnectionTimeout) or "timeout expired" in text:
        return LoginResult(TIMEOUT)
    if "authentication failed" in text or "no password supplied" in text:
        return LoginResult(AUTH_FAILED)
    if "FATAL" in text or "pg_hba.conf" in text:
        return LoginResult(REFUSED)
    if "does not support SSL" in text:
        return LoginResult(TLS_FAILED, "tls_missing")
    if "SSL" in text or "certificate" in text:
        return LoginResult(TLS_FAILED)
    if isinstance(error, psycopg.OperationalError):
        return LoginResult(UNREACHABLE)
    return LoginResult(REFUSED)
