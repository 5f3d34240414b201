"""Which user and database a startup packet names, and where the connection leads then. No relay, no server."""

from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

from connvault_jupyter.errors import NotAllowed
from connvault_jupyter.relays.postgresql import names
from connvault_jupyter.relays.postgresql.names import Named, database_for, named_in

FIELDS = {"user": "reader", "database": "shop"}


@pytest.fixture(autouse=True)
def os_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_os_user", lambda: "jo")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ([], Named("", "")),
        ([(b"user", b"reader")], Named("reader", "reader")),
        ([(b"user", b"reader"), (b"database", b"")], Named("reader", "reader")),
        ([(b"user", b"reader"), (b"database", b"shop")], Named("reader", "shop")),
        ([(b"database", b"shop"), (b"application_name", b"x")], Named("", "shop")),
        ([(b"user", b"a\xff")], Named("a\udcff", "a\udcff")),
    ],
)
def test_a_startup_packet_names_a_user_and_a_database(
    parameters: list[tuple[bytes, bytes]], named: Named
) -> None:
    """Without a database, the one of the user's name; bytes that are no text are not lost."""
    assert named_in(parameters) == named


@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, "any_database": True}, {**FIELDS, "user": "jo"}])
def test_a_client_that_names_nobody_gets_the_connections_database(fields: dict[str, Any]) -> None:
    """libpq then says the name at the operating system, for both."""
    assert database_for(fields, Named("jo", "jo")) == "shop"


def test_a_client_that_names_the_connections_own_gets_it() -> None:
    """Both of it."""
    assert database_for(FIELDS, Named("reader", "shop")) == "shop"


@pytest.mark.parametrize(
    "named", [Named("jo", "shop"), Named("reader2", "shop"), Named("", "shop"), Named("", "")]
)
@pytest.mark.parametrize("more", [{}, {"any_database": True}])
def test_a_client_that_names_another_user_is_refused(named: Named, more: dict[str, Any]) -> None:
    """With the server's own class of error, whatever the database is."""
    with pytest.raises(NotAllowed, match="logs in as reader") as caught:
        database_for({**FIELDS, **more}, named)
    assert caught.value.details["sqlstate"] == "28000"


@pytest.mark.parametrize(
    "more", [{}, {"any_database": False}, {"any_database": None}, {"any_database": "true"}]
)
def test_a_client_that_names_another_database_is_refused(more: dict[str, Any]) -> None:
    """Unless the connection says that it leads to all of them."""
    with pytest.raises(NotAllowed, match="for the database shop") as caught:
        database_for({**FIELDS, **more}, Named("reader", "reader"))
    assert caught.value.details["sqlstate"] == "3D000"
    assert database_for({**FIELDS, "any_database": True}, Named("reader", "reader")) == "reader"


@pytest.mark.parametrize("fields", [{}, {"user": None, "database": None}])
def test_a_connection_without_names_leads_to_what_has_none(fields: dict[str, Any]) -> None:
    """An old record may have neither."""
    assert database_for(fields, Named("jo", "jo")) == ""
    assert database_for(fields, Named("", "")) == ""
    with pytest.raises(NotAllowed):
        database_for(fields, Named("None", "None"))


def test_the_name_at_the_operating_system_is_the_effective_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with an arbitrary uid has none: nothing that a client names is taken for it."""
    monkeypatch.undo()
    names._os_user.cache_clear()
    assert names._os_user() == pwd.getpwuid(os.geteuid()).pw_name

    def nobody(_uid: int) -> Any:
        raise KeyError

    names._os_user.cache_clear()
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert names._os_user() is None
    with pytest.raises(NotAllowed):
        database_for(FIELDS, Named("", ""))
    names._os_user.cache_clear()
