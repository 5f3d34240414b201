"""From path, query, header and body to one contract: what fits, and what is refused without being quoted."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.contracts.operation import Operation
from connvault_jupyter.contracts.operations import BY_DOOR
from connvault_jupyter.errors import InvalidRequest, RevisionRequired
from connvault_jupyter.server.requests import arguments_of, body_of, parsed

OPERATOR = BY_DOOR["operator"]


def body(
    name: str,
    content: bytes = b"",
    *,
    path: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    if_match: str | None = None,
) -> dict[str, Any]:
    operation: Operation = OPERATOR[name]
    assert operation.http is not None
    return body_of(
        operation, operation.http, path=path or {}, query=query or {}, if_match=if_match, content=content
    )


def test_path_body_and_header_are_one_request() -> None:
    """Nothing is filled in: what was left out stays left out."""
    found = body("connections.update", b'{"display_name":"X"}', path={"id": "c1"}, if_match='"3"')
    assert found == {"display_name": "X", "id": "c1", "revision": 3}


@pytest.mark.parametrize("header", ['"3"', "3", ' "3" '])
def test_a_revision_may_be_quoted(header: str) -> None:
    """An ETag is quoted (RFC 9110 8.8.3); a plain number means the same here."""
    assert body("connections.delete", path={"id": "c1"}, if_match=header)["revision"] == 3


def test_a_missing_revision_is_asked_for() -> None:
    """428, not 400: the client forgot to say what it saw."""
    with pytest.raises(RevisionRequired):
        body("connections.delete", path={"id": "c1"})


@pytest.mark.parametrize("header", ["", "*", "x", '"x"', "1.5", "-1", 'W/"3"', '"3", "4"', "9" * 40, "0"])
def test_a_revision_of_another_form_is_refused(header: str) -> None:
    """Also `*`: it would mean "whatever it is"."""
    with pytest.raises(InvalidRequest):
        body("connections.delete", path={"id": "c1"}, if_match=header)


@pytest.mark.parametrize("twice", ["id", "revision"])
def test_a_field_from_two_places_is_refused(twice: str) -> None:
    """Which one counts would be a guess."""
    with pytest.raises(InvalidRequest) as found:
        body("connections.update", f'{{"{twice}":1}}'.encode(), path={"id": "c1"}, if_match="1")
    assert found.value.details["errors"] == [{"path": twice, "message": "does not belong here"}]


def test_a_query_s_numbers_are_read_as_numbers() -> None:
    """Only where the contract wants one."""
    query = {"limit": ["5"], "before": ["9"], "connection_id": ["12"]}
    assert body("audit.list", query=query) == {"limit": 5, "before": 9, "connection_id": "12"}


@pytest.mark.parametrize("value", ["", "x", "1.0", "1e3", " 1", "9" * 30, "0", "501"])
def test_a_query_s_wrong_number_is_refused(value: str) -> None:
    """The contract's own bounds count here too."""
    with pytest.raises(InvalidRequest):
        body("audit.list", query={"limit": [value]})


def test_an_argument_given_twice_is_refused() -> None:
    """Servers differ in which one they take."""
    with pytest.raises(InvalidRequest):
        body("audit.list", query={"limit": ["5", "6"]})


def test_an_unknown_argument_is_refused() -> None:
    """A misspelt filter must not show everything."""
    with pytest.raises(InvalidRequest):
        body("audit.list", query={"conection_id": ["c1"]})
    with pytest.raises(InvalidRequest):
        body("connections.create", b"{}", query={"name": ["x"]})


def test_jupyter_s_own_arguments_are_none_of_ours() -> None:
    """The token, and the number that keeps an answer out of caches."""
    assert arguments_of({"token": ["t"], "1700000000000": [""], "_xsrf": ["x"]}) == {}


NOT_JSON = {
    "text": b"hello",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "half": b'{"a":',
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":Infinity}',
    "twice": b'{"a":1,"a":2}',
    "twice inside": b'{"a":{"b":1,"b":2}}',
    "no utf-8": b'{"a":"\xff"}',
    "deep": b"[" * 100_000,
    "a long number": b'{"a":' + b"9" * 10_000 + b"}",
    "form": b"a=1&b=2",
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """One fixed text, whatever was sent."""
    with pytest.raises(InvalidRequest) as found:
        parsed(content)
    assert found.value.message == "The body is not a JSON object. Send one as described in openapi.json."


def test_a_get_with_a_body_is_refused() -> None:
    """Proxies drop it, so it can't mean anything."""
    with pytest.raises(InvalidRequest):
        body("connections.list", b"{}")


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_content_is_an_object_or_a_typed_error(content: bytes) -> None:
    """No other exception reaches the handler."""
    for name in ("connections.create", "vault.unlock"):
        with contextlib.suppress(InvalidRequest):
            body(name, content)


def test_a_refusal_quotes_nothing() -> None:
    """Not the value, not a key that nobody knows."""
    with pytest.raises(InvalidRequest) as found:
        body("vault.unlock", b'{"passphrase":"swordfish","sword-fish":{"x":1}}')
    assert "swordfish" not in str(found.value.details)
    assert "sword-fish" not in str(found.value.details)
