"""How a request gets its credential, by each kind of login. No relay, no service."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from connvault_jupyter.errors import SecretInvalid, SecretMissing, UpstreamRefused
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http.authorization import (
    AUTHORIZATION,
    NOWHERE,
    Basic,
    Header,
    Nothing,
    Places,
    Query,
    authorization_of,
    parameter_name,
)
from connvault_jupyter.relays.http.oauth2 import ClientCredentials
from connvault_jupyter.relays.http.request import Request
from connvault_jupyter.relays.http.sigv4 import SigV4
from tests.support.canary import CANARY

REQUEST = Request("GET", "/v1/x?a=1", [("Host", "h"), ("X-Mine", "1")])
OAUTH2 = {"token_url": "https://login.example.com/token", "client_id": "c"}
SIGV4 = {"access_key_id": "AK", "region": "r", "service": "s3"}


def login(fields: dict[str, Any] | None = None, **secrets: str) -> Login:
    return Login(fields or {}, secrets, 1, "r1")


TOKEN = login(token=CANARY)


@pytest.mark.parametrize(
    ("fields", "kind", "places"),
    [
        ({}, Nothing, NOWHERE),
        ({"auth": None}, Nothing, NOWHERE),
        ({"auth": ""}, Nothing, NOWHERE),
        ({"auth": "none"}, Nothing, NOWHERE),
        ({"auth": "bearer"}, Header, AUTHORIZATION),
        ({"auth": "basic"}, Basic, AUTHORIZATION),
        ({"auth": "header", "header": "X-Key"}, Header, Places(frozenset({"x-key"}))),
        ({"auth": "header", "header": "X_Key.2"}, Header, Places(frozenset({"x-key-2"}))),
        ({"auth": "query", "query": "key"}, Query, Places(parameter="key")),
        ({"auth": "oauth2", "base_url": "https://api.example.com", **OAUTH2}, ClientCredentials, AUTHORIZATION),
    ],
)  # fmt: skip
def test_a_login_is_made_by_its_kind(fields: dict[str, Any], kind: type, places: Places) -> None:
    """With the places that are its own."""
    made = authorization_of(fields)
    assert type(made) is kind
    assert made.places == places


def test_a_login_that_signs_is_made_by_its_kind() -> None:
    """What it signs with has places too."""
    made = authorization_of({"auth": "sigv4", "base_url": "https://s3.example.com", **SIGV4})
    assert type(made) is SigV4
    assert "authorization" in made.places.headers


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"auth": "ntlm"}, "unknown"),
        ({"auth": 5}, "unknown"),
        ({"auth": "header"}, "header"),
        ({"auth": "header", "header": None}, "header"),
        ({"auth": "query"}, "parameter"),
        ({"auth": "query", "query": None}, "parameter"),
    ],
)
def test_a_login_that_nobody_knows_or_that_is_incomplete_is_refused(
    fields: dict[str, Any], said: str
) -> None:
    """Nothing is sent without one instead."""
    with pytest.raises(UpstreamRefused, match=said):
        authorization_of(fields)


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "content-length", "Expect", "HOST", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade", "", "X Key", "X-Key:", "X-Key\r\n", "X-K\u00e9y", "X-Key\n",
    ],
)  # fmt: skip
def test_a_header_that_frames_the_request_carries_no_credential(name: str) -> None:
    """It would change how the request is read; nor one that is no name."""
    with pytest.raises(UpstreamRefused, match="can't carry a credential"):
        Header(name)


@pytest.mark.parametrize("scheme", ["Two words", "a:", "Bearer\n", "\u00e9"])
def test_a_scheme_that_is_no_word_is_refused(scheme: str) -> None:
    """RFC 9110 11.1."""
    with pytest.raises(UpstreamRefused, match="can't carry a credential"):
        Header("Authorization", scheme)


def test_a_token_is_sent_in_its_header_instead_of_what_is_there() -> None:
    """After its scheme, or alone."""
    given = REQUEST.with_header("authorization", "mine")
    bearer = authorization_of({"auth": "bearer"}).apply(given, TOKEN)
    assert bearer.headers == [*REQUEST.headers, ("Authorization", f"Bearer {CANARY}")]
    assert Header("X-Key").apply(REQUEST, TOKEN).headers == [*REQUEST.headers, ("X-Key", CANARY)]
    assert (bearer.method, bearer.target) == ("GET", "/v1/x?a=1")


@pytest.mark.parametrize(("scheme", "sent"), [("Token", f"Token {CANARY}"), ("", CANARY), (None, CANARY)])
def test_a_scheme_of_the_connections_own_comes_before_the_token(scheme: str | None, sent: str) -> None:
    """If it has one."""
    made = authorization_of({"auth": "header", "header": "X-Key", "scheme": scheme})
    assert made.apply(REQUEST, TOKEN).header("x-key") == sent


@pytest.mark.parametrize("token", ["a\r\nX: 1", "a\nb", "t\u00f6ken", "a\0b", "a\tb"])
def test_a_token_that_would_begin_another_line_is_not_sent(token: str) -> None:
    """The person is asked to enter it again."""
    with pytest.raises(SecretInvalid, match="line break"):
        Header("X-Key").apply(REQUEST, login(token=token))


def test_a_cookie_of_the_login_is_sent_with_those_of_the_client() -> None:
    """In place of those of its names."""
    given = REQUEST.with_header("Cookie", "theme=dark; sid=mine")
    sent = Header("Cookie").apply(given, login(token="sid=s=1; other=o"))
    assert sent.header("cookie") == "theme=dark; sid=s=1; other=o"


@pytest.mark.parametrize(("scheme", "token", "sent"), [("", "t", "t"), ("Word", "sid=1", "Word sid=1")])
def test_a_cookie_header_without_a_cookie_is_sent_as_it_is(scheme: str, token: str, sent: str) -> None:
    """What is in it is none of ours."""
    given = REQUEST.with_header("Cookie", "theme=dark")
    assert Header("Cookie", scheme).apply(given, login(token=token)).header("cookie") == sent


def test_a_header_with_an_equals_sign_is_no_cookie() -> None:
    """Only `Cookie` has pairs."""
    assert Header("X-Key").apply(REQUEST, login(token="a=1; b=2")).header("x-key") == "a=1; b=2"


def test_each_cookie_of_the_login_is_masked_for_itself() -> None:
    """A service may send one of them back; of another header the whole is the credential."""
    cookies = login(token="sid=one=1; other=two")
    assert Header("Cookie").credentials(cookies) == {"sid=one=1; other=two", "one=1", "two"}
    assert Header("X-Key").credentials(cookies) == {"sid=one=1; other=two"}


def test_a_basic_login_sends_user_and_password_in_utf_8() -> None:
    """RFC 7617 2.1."""
    sent = Basic().apply(REQUEST, login({"username": "j\u00fcrgen"}, password="p\u00e4ss"))
    assert sent.headers[:-1] == REQUEST.headers
    name, value = sent.headers[-1]
    assert name == "Authorization"
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "j\u00fcrgen:p\u00e4ss"


@pytest.mark.parametrize("fields", [{}, {"username": None}])
def test_a_basic_login_without_a_user_has_the_password_alone(fields: dict[str, Any]) -> None:
    """As services with keys for passwords want it."""
    sent = Basic().apply(REQUEST, login(fields, password="p"))
    assert sent.header("authorization") == f"Basic {base64.b64encode(b':p').decode()}"


def test_a_basic_login_masks_its_pair_unless_it_can_be_guessed() -> None:
    """Whoever guesses the password can write the pair."""
    pair = base64.b64encode(f"u:{CANARY}".encode()).decode()
    assert Basic().credentials(login({"username": "u"}, password=CANARY)) == {CANARY, pair}
    assert Basic().credentials(login({"username": "u"}, password="hunter2")) == {"hunter2"}


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/x", "/x?api%20key=s%2F%26"),
        ("/x?", "/x?api%20key=s%2F%26"),
        ("/x?a=1&b", "/x?a=1&b&api%20key=s%2F%26"),
        ("/x?api+key=mine&a=1&api%20key&&", "/x?a=1&api%20key=s%2F%26"),
        ("/x?api=1&a=?api key", "/x?api=1&a=?api key&api%20key=s%2F%26"),
    ],
)
def test_a_parameter_of_the_login_replaces_the_clients_own(target: str, sent: str) -> None:
    """Under whatever spelling; others stay as they were written."""
    given = Request("PUT", target, REQUEST.headers)
    assert Query("api key").apply(given, login(token="s/&")) == Request("PUT", sent, REQUEST.headers)
    assert Query("api key").credentials(TOKEN) == {CANARY}


def test_a_slash_in_a_parameters_name_is_encoded() -> None:
    """It is no part of a path."""
    assert Query("a/b").apply(REQUEST, login(token="t")).target == "/v1/x?a=1&a%2Fb=t"


@pytest.mark.parametrize("name", ["", "k\u00e9y", "a\nb", "a\0"])
def test_a_parameter_that_is_no_name_is_refused(name: str) -> None:
    """Its name is written by people, in plain letters."""
    with pytest.raises(UpstreamRefused, match="parameter"):
        Query(name)


def test_a_service_without_a_login_gets_what_the_client_says() -> None:
    """There is nothing to mask."""
    assert Nothing().apply(REQUEST, TOKEN) is REQUEST
    assert Nothing().credentials(TOKEN) == set()


SIMPLE = (Header("X-Key"), Basic(), Query("key"), Nothing())


@pytest.mark.parametrize("made", SIMPLE, ids=lambda made: type(made).__name__)
def test_a_login_that_keeps_nothing_is_the_same_each_time(made: Any) -> None:
    """What was refused once is refused again."""
    assert made.steady
    assert made.refused(login(token="t", password="p")) is False


@pytest.mark.parametrize(
    ("made", "name"), [(Header("X-Key"), "token"), (Basic(), "password"), (Query("key"), "token")]
)
def test_a_secret_that_is_not_there_is_asked_for(made: Any, name: str) -> None:
    """One that is empty was entered wrongly, which is another error."""
    for use in (made.apply, lambda _request, login: made.credentials(login)):
        with pytest.raises(SecretMissing):
            use(REQUEST, login())
        with pytest.raises(SecretInvalid, match="empty"):
            use(REQUEST, login(None, **{name: ""}))


@pytest.mark.parametrize(
    ("part", "name"), [("a=1", "a"), ("a", "a"), ("", ""), ("a%5Fb+c=d=e", "a_b c"), ("=a", "")]
)
def test_a_parameters_name_is_read_decoded(part: str, name: str) -> None:
    """As a form is read."""
    assert parameter_name(part) == name
