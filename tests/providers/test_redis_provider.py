"""The form of a Redis connection: the shipped suite, and what it says."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.services.catalogue import CATALOGUE, PEM, definition, provider, said

REDIS = {"host": "cache.internal", "port": 6379, "database": 2, "user": "app", "sslmode": "require"}


class TestRedis(ProviderConformance):
    example: ClassVar = REDIS

    def definition(self) -> Any:
        return definition("redis")


class TestRedisWithCertificate(TestRedis):
    example: ClassVar = {**REDIS, "sslmode": "verify-ca", "ca_certificate": PEM}


def test_redis_is_brokered_and_nothing_else() -> None:
    """No login in the notebook's process is offered."""
    assert {(one.kind, one.mode, one.protocol) for one in provider("redis").deliveries} == {
        ("relay", "brokered", "redis")
    }


def test_what_is_secret_and_what_is_bound() -> None:
    """Who and which number is shown, not bound."""
    assert provider("redis").secret_fields == {"password"}
    assert provider("redis").destination_fields == {"host", "port", "sslmode", "ca_certificate"}


def test_no_password_is_needed() -> None:
    """Many servers of a private network have none."""
    assert CATALOGUE.missing_secrets(provider("redis"), {"host": "cache"}, frozenset()) == frozenset()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (REDIS, "cache.internal:6379/2"),
        ({"host": "cache"}, "cache:6379/0"),
        ({"host": "2001:db8::1", "port": 1}, "[2001:db8::1]:1/0"),
    ],
)
def test_the_line_that_people_see(fields: dict[str, Any], line: str) -> None:
    """With its defaults."""
    assert CATALOGUE.destination(provider("redis"), fields) == line


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({**REDIS, "host": "redis://cache"}, "host"),
        ({**REDIS, "database": -1}, "database"),
        ({**REDIS, "database": "2"}, "database"),
        ({**REDIS, "user": "a b"}, "user"),
        ({**REDIS, "sslmode": "prefer"}, "sslmode"),
        ({**REDIS, "sslmode": "verify-ca"}, "ca_certificate"),
    ],
)
def test_a_field_of_redis_that_does_not_fit_is_refused(fields: dict[str, Any], path: str) -> None:
    """Beside the field. `prefer` is no choice: a Redis server does not say whether it could encrypt."""
    assert f"fields.{path}" in said("redis", fields)


def test_without_a_choice_the_login_is_encrypted() -> None:
    """Plain text is chosen, never fallen into."""
    assert CATALOGUE.complete(provider("redis"), {})["sslmode"] == "verify-full"


def test_the_variables_have_no_place_for_the_password() -> None:
    """A URL that redis-cli and celery read, those of the socket, and for the command lines the handle's own token."""
    (delivery,) = provider("redis").deliveries
    assert delivery.variables == {
        "REDIS_URL": "redis://:{token}@127.0.0.1:{port}/{database}",
        "REDIS_SOCKET_URL": "unix://{socket}",
        "REDIS_SOCKET": "{socket}",
        "REDISCLI_AUTH": "{token}",
        "VALKEYCLI_AUTH": "{token}",
    }
