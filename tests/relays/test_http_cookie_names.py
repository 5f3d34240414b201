"""Which cookies are a session of the login, by name, and how a `Cookie` header is read."""

from __future__ import annotations

from collections.abc import Container

import pytest

from connvault_jupyter.relays.http.cookie_names import NO_COOKIES, CookieNames, cookie_name, cookie_pairs


@pytest.mark.parametrize("name", ["JSESSIONID", "jsessionid", "JSESSIONID.a1b2", "grafana_session", "sid"])
def test_a_cookie_that_a_kind_names_is_a_session(name: str) -> None:
    """In any case, and by a pattern."""
    assert name in CookieNames("JSESSIONID* grafana_session\n sid")


@pytest.mark.parametrize(
    "name", ["xJSESSIONID", "sid2", "asid", "", "grafana-session", "grafana_session_expiry", "s"]
)
def test_a_cookie_of_another_name_is_no_session(name: str) -> None:
    """Nor is a part of one."""
    assert name not in CookieNames("JSESSIONID* grafana_session sid")


@pytest.mark.parametrize("patterns", ["", "  "])
def test_a_kind_that_names_no_cookies_has_none(patterns: str) -> None:
    """Not even the one without a name."""
    for names in (CookieNames(patterns), NO_COOKIES):
        assert "" not in names
        assert "sid" not in names


def test_a_cookies_name_is_a_text() -> None:
    """As a container it may be asked for anything."""
    names: Container[object] = CookieNames("*")
    assert b"sid" not in names
    assert None not in names
    assert "" in names


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("", []),
        ("a=1", ["a=1"]),
        ("a=1; b = 2 ;;c", ["a=1", "b = 2", "c"]),
        (" ; ", []),
        ('a="1 2";b=', ['a="1 2"', "b="]),
    ],
)
def test_a_cookie_header_is_read_pair_by_pair(header: str, pairs: list[str]) -> None:
    """RFC 6265 4.2.1, with what clients make of it."""
    assert cookie_pairs(header) == pairs


@pytest.mark.parametrize(
    ("pair", "name"), [("a=1", "a"), (" a = 1=2", "a"), ("a", "a"), ("=1", ""), ("", "")]
)
def test_a_cookies_name_ends_at_its_first_equals_sign(pair: str, name: str) -> None:
    """Without blanks around it."""
    assert cookie_name(pair) == name
