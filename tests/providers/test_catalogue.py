"""The built-in providers: the shipped suite for each, and what their forms say."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.services.catalogue import CATALOGUE, PEM, definition, provider, said

HOST_CHARACTERS = "Host has characters that can't be used here, such as a line break."
HOSTS = "Enter host names or IP addresses, separated by commas, or a folder that begins with /."
NAME_ALONE = "Enter only the name of the database, not an address."
USERINFO = "An address must not contain a user or password. Enter them in their own fields."

PG = {"host": "db.internal", "port": 5432, "database": "sales", "user": "app", "sslmode": "require"}
HTTP = {"base_url": "https://api.example.com/v1", "auth": "bearer"}


class TestPostgresql(ProviderConformance):
    example: ClassVar = PG

    def definition(self) -> Any:
        return definition("postgresql")


class TestPostgresqlWithCertificate(ProviderConformance):
    example: ClassVar = {**PG, "sslmode": "verify-ca", "ca_certificate": PEM}

    def definition(self) -> Any:
        return definition("postgresql")


class TestHttpBearer(ProviderConformance):
    example: ClassVar = HTTP

    def definition(self) -> Any:
        return definition("http")


class TestHttpBasic(ProviderConformance):
    example: ClassVar = {
        "base_url": "http://127.0.0.1:8000",
        "allow_http": True,
        "auth": "basic",
        "username": "app",
    }

    def definition(self) -> Any:
        return definition("http")


class TestSecret(ProviderConformance):
    example: ClassVar = {"description": "Licence key of the solver"}

    def definition(self) -> Any:
        return definition("secret")


def test_all_that_is_there_is_used() -> None:
    """A file that breaks a rule would be missed by nobody but its users."""
    there = files("connvault_jupyter.providers").joinpath("catalogue").iterdir()
    assert {f"{found.id}.json" for found in CATALOGUE.all()} == {file.name for file in there}
    assert CATALOGUE.skipped() == ()


def test_where_there_is_a_relay_nothing_is_in_the_clear() -> None:
    """Nor is anything built in that only logs in inside the notebook's process."""
    modes = {found.id: {delivery.mode for delivery in found.deliveries} for found in CATALOGUE.all()}
    assert modes.pop("secret") == {"reveal"}
    assert all(found == {"brokered"} for found in modes.values())


@pytest.mark.parametrize(
    ("name", "secret", "destination", "reveal_only", "testable"),
    [
        ("postgresql", {"password"}, {"host", "port", "sslmode", "ca_certificate"}, False, True),
        (
            "http",
            {"token", "password", "client_secret"},
            {"base_url", "auth", "ca_certificate", "header", "query", "token_url"},
            False,
            True,
        ),
        ("secret", {"value"}, set(), True, False),
    ],
)
def test_what_is_secret_and_what_is_bound(
    name: str, secret: set[str], destination: set[str], reveal_only: bool, testable: bool
) -> None:
    """Secrets are sealed, destinations are what they are bound to: both behind conditions too."""
    found = provider(name)
    assert found.secret_fields == secret
    assert found.destination_fields == destination
    assert found.reveal_only is reveal_only
    assert found.testable is testable


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("postgresql", PG, "app@db.internal:5432/sales"),
        ("postgresql", {"host": "db", "database": "d", "user": "u"}, "u@db:5432/d"),
        ("postgresql", {**PG, "host": "2001:db8::1"}, "app@[2001:db8::1]:5432/sales"),
        ("postgresql", {"database": "sales"}, "…@…:5432/sales"),
        (
            "postgresql",
            {**PG, "host": "db1,db2:5433,::1,[::2]:1"},
            "app@db1:5432,db2:5433,[::1]:5432,[::2]:1/sales",
        ),
        ("postgresql", {**PG, "host": "/var/run/postgresql"}, "app@[/var/run/postgresql]:5432/sales"),
        ("postgresql", {**PG, "host": "/cloudsql/p:r:i,db"}, "app@[/cloudsql/p:r:i]:5432,db:5432/sales"),
        ("postgresql", {**PG, "any_database": True}, "app@db.internal:5432/sales and any other database"),
        ("postgresql", {**PG, "any_database": False}, "app@db.internal:5432/sales"),
        (
            "mysql",
            {**PG, "port": 3306, "host": "/run/mysqld/mysqld.sock"},
            "app@[/run/mysqld/mysqld.sock]:3306/sales",
        ),
        (
            "postgresql",
            {**PG, "user": "a\u202epp\x00\n"},
            "a[U+202E]pp[U+0000][U+000A]@db.internal:5432/sales",
        ),
        ("http", HTTP, "https://api.example.com/v1"),
        ("http", {}, ""),
        ("secret", {"description": "Licence key"}, "Licence key"),
        ("secret", {}, ""),
    ],
)
def test_the_line_that_people_see(name: str, fields: dict[str, Any], line: str) -> None:
    """Defaults are filled in, addresses are told apart from ports, what can't be seen is spelt out."""
    assert CATALOGUE.destination(provider(name), fields) == line


@pytest.mark.parametrize(
    ("name", "fields", "missing"),
    [
        ("postgresql", PG, {"password"}),
        ("postgresql", {**PG, "host": "/var/run/postgresql,db"}, {"password"}),
        ("postgresql", {**PG, "host": "/var/run/postgresql"}, set()),
        ("mysql", PG, {"password"}),
        ("mysql", {**PG, "host": "/run/mysqld/mysqld.sock"}, set()),
        ("http", HTTP, {"token"}),
        ("http", {"base_url": "https://api.example.com"}, {"token"}),
        ("http", {**HTTP, "auth": "basic", "username": "app"}, {"password"}),
        ("http", {**HTTP, "auth": "none"}, set()),
        ("http", {"auth": "basic"}, {"password"}),
        ("secret", {}, {"value"}),
    ],
)
def test_which_secrets_are_missing_depends_on_the_fields(
    name: str, fields: dict[str, Any], missing: set[str]
) -> None:
    """A bearer needs a token, basic a password, an open service nothing, nor does a server on a Unix socket, which may
    know who comes; a default counts as chosen."""
    assert CATALOGUE.missing_secrets(provider(name), fields, frozenset()) == missing
    assert CATALOGUE.missing_secrets(provider(name), fields, frozenset(missing)) == frozenset()


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({}, "host", "Enter the host to connect to."),
        ({**PG, "database": ""}, "database", "Enter the database to connect to."),
        ({**PG, "database": None}, "database", "Enter the database to connect to."),
        ({**PG, "host": "db.internal:5432x/"}, "host", HOSTS),
        ({**PG, "host": "a,,b"}, "host", HOSTS),
        ({**PG, "host": "a b"}, "host", HOSTS),
        ({**PG, "host": "var/run"}, "host", HOSTS),
        ({**PG, "host": "app@db"}, "host", HOSTS),
        ({**PG, "any_database": "yes"}, "any_database", "Any database of the server must be yes or no."),
        ({**PG, "host": "db.internal\n"}, "host", HOST_CHARACTERS),
        ({**PG, "host": "db\u202e.internal"}, "host", HOST_CHARACTERS),
        ({**PG, "port": 0}, "port", "Port must be between 1 and 65535."),
        ({**PG, "port": 65536}, "port", "Port must be between 1 and 65535."),
        ({**PG, "port": "5432"}, "port", "Port must be a whole number."),
        ({**PG, "port": 5432.5}, "port", "Port must be a whole number."),
        ({**PG, "sslmode": "allow"}, "sslmode", "Choose one of the listed values for the encryption."),
        ({**PG, "user": "u" * 64}, "user", "User must have at most 63 characters."),
        ({**PG, "database": "host=evil.example"}, "database", NAME_ALONE),
        ({**PG, "database": "postgresql://evil.example/x"}, "database", NAME_ALONE),
        (
            {**PG, "sslmode": "verify-ca"},
            "ca_certificate",
            "Enter the certificate of the authority that signed the server's certificate.",
        ),
        (
            {**PG, "sslmode": "verify-full", "ca_certificate": f"{PEM}-----BEGIN PRIVATE KEY-----"},
            "ca_certificate",
            "Enter certificates in PEM format, without a private key.",
        ),
    ],
)  # fmt: skip
def test_postgresql_says_what_to_enter(fields: dict[str, Any], path: str, message: str) -> None:
    """Beside the field, in a sentence, without the words of a schema."""
    assert said("postgresql", fields)[f"fields.{path}"] == message


def test_postgresql_asks_which_server_where_there_are_several() -> None:
    """The first that answers, unless something else is chosen."""
    assert "target_session_attrs" not in CATALOGUE.complete(provider("postgresql"), PG)
    several = {**PG, "host": "db1,db2"}
    assert CATALOGUE.complete(provider("postgresql"), several)["target_session_attrs"] == "any"
    assert said("postgresql", {**several, "target_session_attrs": "prefer-standby"}) == {}
    assert "fields.target_session_attrs" in said("postgresql", {**several, "target_session_attrs": "fastest"})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://api.example.com", "Enter an https:// address, or allow unencrypted HTTP below."),
        ("https://u:p@api.example.com", USERINFO),
        ("https://api.example.com\\@evil.example", USERINFO),
        ("HTTPS://u@api.example.com", USERINFO),
        *(
            (url, "Enter an address such as https://api.example.com, without user, query or fragment.")
            for url in (
                "ftp://api.example.com", "api.example.com", "https://", "https:///x", "https://a b/",
                "https://api.example.com?token=1", "https://api.example.com/#x", "https://api.example.com:99999/",
                "https://api.example.com\\evil.example", "javascript:alert(1)",
            )
        ),
    ],
)  # fmt: skip
def test_http_says_which_addresses_it_takes(url: str, message: str) -> None:
    """https, unless plain HTTP was allowed; no user, no query, no fragment, nothing that parsers disagree about."""
    assert said("http", {**HTTP, "base_url": url}) == {"fields.base_url": message}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost/x/", "https://api.example.com/@scope"]
)
def test_http_takes_plain_http_once_allowed(url: str) -> None:
    """The person has said so."""
    assert said("http", {**HTTP, "base_url": url, "allow_http": True}) == {}


@pytest.mark.parametrize(
    ("given", "port"), [({}, 5432), ({"port": None}, 5432), ({"port": 5433.0}, 5433), ({"port": 1}, 1)]
)
def test_a_whole_number_stays_one(given: dict[str, Any], port: int) -> None:
    """JSON has one kind of number; the envelope tells 5433.0 from 5433."""
    found = CATALOGUE.complete(provider("postgresql"), given)["port"]
    assert (found, type(found)) == (port, int)


def test_without_a_choice_the_login_is_encrypted() -> None:
    """`prefer` would fall back to plain text without a word."""
    assert CATALOGUE.complete(provider("postgresql"), {})["sslmode"] == "require"


def test_a_thousand_lines_are_quick() -> None:
    """Lists are made of them: no schema is compiled twice for one provider."""
    found = provider("postgresql")
    CATALOGUE.destination(found, PG)
    compiled = CATALOGUE._rules["postgresql"]
    for _ in range(1000):
        CATALOGUE.destination(found, PG)
    assert CATALOGUE._rules["postgresql"] is compiled
