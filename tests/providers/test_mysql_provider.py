"""The provider `mysql`: the shipped suite, and what its variables say to programs."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.services.catalogue import PEM, definition, provider, said

FIELDS = {"host": "db.internal", "port": 3306, "database": "sales", "user": "app", "sslmode": "require"}


class TestMysql(ProviderConformance):
    example: ClassVar = FIELDS

    def definition(self) -> Any:
        return definition("mysql")


class TestMysqlWithCertificate(TestMysql):
    example: ClassVar = {**FIELDS, "sslmode": "verify-ca", "ca_certificate": PEM}


def test_mysql_is_brokered_and_nothing_else() -> None:
    """The password is for the broker; plain text is the separate question."""
    found = provider("mysql")
    assert [(one.kind, one.mode, one.protocol) for one in found.deliveries] == [
        ("relay", "brokered", "mysql")
    ]
    assert found.destination_fields == {"host", "port", "sslmode", "ca_certificate"}
    assert found.secret_fields == {"password"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"sslmode": "verify-ca"}, "fields.ca_certificate"),
        ({"host": "db:3306/x"}, "fields.host"),
        ({"port": 0}, "fields.port"),
        ({"database": "mysql://db/x"}, "fields.database"),
        ({"user": ""}, "fields.user"),
        ({"user": "app\0root"}, "fields.user"),
        ({"database": "sales\0"}, "fields.database"),
    ],
)
def test_a_field_of_mysql_that_does_not_fit_is_refused(fields: dict[str, Any], path: str) -> None:
    """A NUL would end the text in the protocol's packets."""
    assert path in said("mysql", {**FIELDS, **fields})
