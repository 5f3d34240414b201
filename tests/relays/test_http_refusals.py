"""What the relay itself answers: in the type that the client accepts, where its SDK shows it, with an honest status."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from connvault_jupyter.errors import (
    BrokerUnavailable,
    ConnvaultError,
    HandleInvalid,
    NotAllowed,
    SecretMissing,
    StorageBusy,
    StorageFull,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
    VaultLocked,
    every_error,
)
from connvault_jupyter.kernel.relay_errors import answered
from connvault_jupyter.relays.http.heads import END, response_head
from connvault_jupyter.relays.http.problem_responses import form_of, problem_answer
from tests.support.relays.http_relay import Answer

REVOKED = HandleInvalid(reason="revoked")

# Statuses that one of openai, elasticsearch, botocore, urllib3, google-api-core and azure-core tries again by itself.
TRIED_AGAIN = {408, 409, 413, 425, 429, 500, 502, 503, 504, 507}


def told(error: ConnvaultError = REVOKED, accept: str = "", **recipe: Any) -> Answer:
    """The answer to a GET."""
    data = problem_answer(error, form=form_of(recipe), accepts=[accept], body=True, close=False)
    head, _, body = data.partition(END)
    answer = Answer(response_head(head + END), body)
    assert answer.header("content-length") == str(len(body))
    return answer


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        ("", "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/json"),
        ("application/problem+json", "application/problem+json"),
        (
            "application/vnd.elasticsearch+json; compatible-with=9",
            "application/vnd.elasticsearch+json;compatible-with=9",
        ),
        ("application/vnd.github.v3.raw+json", "application/vnd.github.v3.raw+json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/plain;charset=utf-8"),
        ("text/plain", "text/plain;charset=utf-8"),
        ("application/xml", "application/xml"),
        ("text/xml;q=0.5, application/json;q=0.1", "text/xml"),
        ("application/json;q=0, text/xml", "text/xml"),
        ("image/png", "application/problem+json"),
        ("text/event-stream, application/json;q=0.5", "application/json"),
        ("no type, application/json;q=much, text/xml", "text/xml"),
        ('application/json;a="b\r\n', "application/problem+json"),
        (f"application/{'x' * 500}+json", "application/problem+json"),
    ],
)
def test_the_type_is_one_that_the_client_accepts(accept: str, type_: str) -> None:
    """The first by its weights that can be written; a Problem if there is none."""
    answer = told(accept=accept)
    assert answer.header("content-type") == type_
    if "json" in type_:
        assert json.loads(answer.body)["detail"] == REVOKED.message
    elif "xml" in type_:
        assert ET.fromstring(answer.body).findtext("Message") == REVOKED.message  # noqa: S314 -- ours
    else:
        assert answer.body.decode() == f"connvault handle_invalid: {REVOKED.message}\n"


def test_the_text_is_where_a_kinds_own_library_shows_it() -> None:
    """By the constants of its definition."""
    shown = json.loads(
        told(
            refusal_message="/error/reason /error/root_cause/0/reason /message",
            refusal_code="/error/type /error/root_cause/0/type",
        ).body
    )
    cause = {"reason": REVOKED.message, "type": "handle_invalid"}
    assert shown["error"] == {**cause, "root_cause": [cause]}
    assert shown["message"] == REVOKED.message
    assert (shown["code"], shown["details"], shown["status"]) == (
        "handle_invalid",
        {"reason": "revoked"},
        403,
    )


def test_a_kinds_type_and_header_are_its_definitions() -> None:
    """What the client says counts more."""
    recipe: dict[str, Any] = {
        "refusal_type": "application/xml",
        "refusal_header": "X-Elastic-Product: Elasticsearch",
    }
    answer = told(**recipe)
    assert (answer.header("content-type"), answer.header("x-elastic-product")) == (
        "application/xml",
        "Elasticsearch",
    )
    assert told(accept="application/json", **recipe).header("content-type") == "application/json"


@pytest.mark.parametrize(
    "recipe",
    [
        {"refusal_type": "a/b\r\nX: 1"},
        {"refusal_header": "X: 1\r\nY: 2"},
        {"refusal_header": "nothing"},
        {"refusal_message": "error / /0/x /a/0 /a//b", "refusal_code": 7},
    ],
)
def test_what_a_definition_can_not_mean_counts_as_not_said(recipe: dict[str, Any]) -> None:
    """Nobody is left without an answer by it."""
    assert (told(**recipe).head, told(**recipe).body) == (told().head, told().body)


@pytest.mark.parametrize("kind", [{}, {"refusal_type": "application/xml"}], ids=["JSON", "XML"])
@pytest.mark.parametrize("accept", ["", "text/plain", "application/xml"])
def test_our_own_clients_read_all_of_it_in_any_type(kind: dict[str, Any], accept: str) -> None:
    """Code, text and reason."""
    answer = told(accept=accept, **kind)
    error = answered(httpx.Headers(answer.head.headers), answer.body, connection="warehouse")
    assert isinstance(error, HandleInvalid)
    assert (error.message, error.details) == (
        REVOKED.message,
        {"reason": "revoked", "connection": "warehouse"},
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (REVOKED, 403),
        (NotAllowed(), 403),
        (VaultLocked(), 423),
        (SecretMissing(), 424),
        (StorageFull(), 424),
        (UpstreamAuthFailed(), 424),
        (UpstreamTlsFailed(), 424),
        (UpstreamRefused(), 424),
    ],
)
def test_where_another_try_is_of_no_use_no_library_makes_one(error: ConnvaultError, status: int) -> None:
    """Neither by the status, nor by what some ask first."""
    answer = told(error)
    assert answer.status == status
    assert status not in TRIED_AGAIN
    assert (answer.header("x-should-retry"), answer.header("retry-after")) == ("false", "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamUnreachable(), 502),
        (UpstreamTimeout(), 504),
        (BrokerUnavailable(), 503),
        (StorageBusy(), 503),
    ],
)
def test_what_passes_by_itself_may_be_tried_again(error: ConnvaultError, status: int) -> None:
    """In a moment."""
    answer = told(error)
    assert answer.status == status
    assert (answer.header("x-should-retry"), answer.header("retry-after")) == ("true", "1")


@pytest.mark.parametrize("kind", every_error().values())
def test_every_error_can_be_told(kind: type[ConnvaultError]) -> None:
    """With a status that there is."""
    for accept in ("", "text/xml", "text/plain"):
        assert told(kind(), accept).header("x-connvault-error") == kind.code
