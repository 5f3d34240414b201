"""A handle against real loopback servers, through real relays: where the credential goes, and where it must not."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import socket
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from connvault_jupyter import connection
from connvault_jupyter.errors import (
    ConnvaultError,
    HandleInvalid,
    NotAllowed,
    SecretInvalid,
    SecretMissing,
    StorageFull,
    UpstreamUnreachable,
    VaultLocked,
)
from connvault_jupyter.kernel.clients.http.addresses import covers
from connvault_jupyter.kernel.clients.http.requests_session import ApiSession
from tests.support.canary import CANARY, found_in
from tests.support.relays.http_sessions import BEARER
from tests.support.relays.http_sessions import elsewhere as elsewhere
from tests.support.relays.http_sessions import handles as handles
from tests.support.relays.http_sessions import here as here
from tests.support.relays.http_sessions import http_stage as http_stage
from tests.support.relays.http_sessions import session as session
from tests.support.relays.relayed_handles import RelayedHandles
from tests.support.servers.echo_api import EchoApi
from tests.support.verbose import verbose_traceback


@pytest.mark.parametrize("url", ["/users/me", "users/me", " /users/me"])
def test_a_relative_address_is_joined_and_has_the_token(session: ApiSession, here: EchoApi, url: str) -> None:
    """Below the stored address, path and all."""
    assert session.get(url).json() == {"path": "/v1/users/me"}
    assert here.headers_of("/v1/users/me")["Authorization"] == BEARER


def test_an_absolute_address_below_the_stored_one_is_fine(session: ApiSession, here: EchoApi) -> None:
    """A paging API answers with whole addresses."""
    assert session.get(f"{here.origin}/v1/page?n=2").ok
    assert here.headers_of("/v1/page?n=2")["Authorization"] == BEARER


def test_the_base_itself_and_a_query_alone(session: ApiSession, here: EchoApi) -> None:
    """Both are addresses of APIs."""
    session.get("")
    session.get("?q=1")
    assert [path for path, _ in here.requests] == ["/v1", "/v1?q=1"]


def test_a_basic_login_is_sent_in_utf_8(handles: RelayedHandles, here: EchoApi) -> None:
    """RFC 7617, in UTF-8."""
    handles.fields |= {"auth": "basic", "username": "jürgen"}
    handles.secrets = {"password": CANARY}
    with connection("warehouse", kind="http").session() as session:
        session.get("/x")
    sent = here.headers_of("/v1/x")["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"jürgen:{CANARY}"


def test_an_open_api_gets_no_login(handles: RelayedHandles, here: EchoApi) -> None:
    """An open API: nothing is added, the use is still asked for."""
    handles.fields["auth"] = "none"
    handles.secrets = {}
    with connection("warehouse", kind="http").session() as session:
        session.get("/x")
    assert "Authorization" not in here.headers_of("/v1/x")


@pytest.mark.parametrize(
    "url",
    [
        "{elsewhere}/v1/x",
        "{here}/v2",
        "{here}/v10/x",
        "{here}/",
        "{here}/v1/../admin",
        "{here}/v1/%2e%2e/admin",
        "{here}/v1/%252e%252e/admin",
        "{here}/v1/..%2fadmin",
        "{here}/v1/..\\admin",
        "{here}@evil.test/v1/x",
        "https://{bare}/v1/x",
        "HTTP://evil.test/v1/x",
        "file:///etc/passwd",
        "ftp://{bare}/v1/x",
        "http://[::1",
        "{here}:80/v1/x",
        "/../admin",
        "../admin",
    ],
)
def test_other_addresses_are_refused(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi, handles: RelayedHandles, url: str
) -> None:
    """Another scheme, host, port or path, however it is dressed. Nothing is sent."""
    target = url.format(
        here=here.origin, elsewhere=elsewhere.origin, bare=here.origin.removeprefix("http://")
    )
    with pytest.raises(NotAllowed, match="only"):
        session.get(target)
    assert here.requests == elsewhere.requests == []


@pytest.mark.parametrize(
    "url",
    ["//evil.test/x", "http:evil.test", "javascript:x", "\\\\evil.test\\x", "///evil.test", "/ /evil.test"],
)
def test_what_looks_absolute_to_others_stays_here(session: ApiSession, here: EchoApi, url: str) -> None:
    """Without a scheme and two slashes it is a path."""
    session.get(url)
    assert here.requests[-1][0].startswith("/v1/")


@pytest.mark.parametrize("url", ["/\t/evil.test", "/a%00b", "/a%0d%0ab"])
def test_a_control_character_in_a_path_is_refused(session: ApiSession, here: EchoApi, url: str) -> None:
    """By the relay, with its typed error: servers differ in what they make of it."""
    with pytest.raises(NotAllowed, match="control character"):
        session.get(url)
    assert here.requests == []


@given(st.text(alphabet="/.\\%2eEfF:@?#[]ab\t ", max_size=24))
def test_no_address_escapes(url: str) -> None:
    """The session's own rule and requests' parser agree about where an address leads."""
    base = "http://api.test/v1"
    joined = f"{base}/{url.lstrip('/')}"
    if not covers(base, joined):
        return
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(joined, None)
    except requests.RequestException:
        return
    assert prepared.url is not None
    assert prepared.url.startswith("http://api.test/v1")
    assert covers(base, prepared.url)


def test_nothing_that_is_kept_has_the_token(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi, caplog: pytest.LogCaptureFixture
) -> None:
    """The response, its request and history, the session, and the logs at DEBUG."""
    caplog.set_level(logging.DEBUG)
    here.redirects["/v1/go"] = f"{elsewhere.origin}/x"
    responses = [session.get("/x"), session.get("/go")]
    kept = [repr(vars(session)), caplog.text]
    for response in [*responses, *responses[1].history]:
        kept += [repr(vars(response)), repr(vars(response.request)), repr(dict(response.request.headers))]
        kept.append(repr(pickle.dumps(response)))
    assert "Authorization" not in responses[0].request.headers
    assert found_in("\n".join(kept)) == []


def test_no_error_shows_the_token(handles: RelayedHandles, session: ApiSession, here: EchoApi) -> None:
    """Not its text, not a Verbose traceback through the libraries, not what it remembers."""
    here.server.shutdown()
    here.server.server_close()
    with pytest.raises(UpstreamUnreachable) as caught:
        session.get("/x")
    error = caught.value
    assert error.details["connection"] == "warehouse"
    assert found_in(verbose_traceback(error) + str(error) + repr(error.args)) == []


def test_the_positive_control_requests_alone_shows_the_secret() -> None:
    """The same search finds the token in the traceback of a plain requests call."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(f"http://127.0.0.1:{port}/", headers={"Authorization": BEARER}, timeout=5)
    assert found_in(verbose_traceback(caught.value))


@pytest.mark.parametrize("token", ["line\nbreak", "naïve", "€uro"])
def test_a_token_that_no_header_can_carry_is_not_quoted(handles: RelayedHandles, token: str) -> None:
    """A line break would be another header."""
    handles.secrets = {"token": token}
    with connection("warehouse", kind="http").session() as session, pytest.raises(SecretInvalid) as caught:
        session.get("/x")
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [(VaultLocked(), VaultLocked), (SecretMissing(), SecretMissing), (StorageFull(), StorageFull)],
)
def test_what_the_broker_refuses_to_the_relay_is_a_typed_error_here(
    handles: RelayedHandles, session: ApiSession, refusal: ConnvaultError, kind: type[ConnvaultError]
) -> None:
    """With the connection's name, for the button; HEAD too, whose answer has no body."""
    handles.refusal = refusal
    with pytest.raises(kind) as caught:
        session.get("/x")
    assert caught.value.details["connection"] == "warehouse"
    with pytest.raises(kind):
        session.head("/x")


def test_a_missing_secret_is_a_typed_error(handles: RelayedHandles) -> None:
    """With the connection's name, for the button."""
    handles.secrets = {}
    with connection("warehouse", kind="http").session() as session, pytest.raises(SecretMissing) as caught:
        session.get("/x")
    assert caught.value.details["connection"] == "warehouse"


def test_revoking_bites_at_the_next_request(
    handles: RelayedHandles, session: ApiSession, here: EchoApi
) -> None:
    """Although the session lives on."""
    session.get("/x")
    handles.revoke(HandleInvalid(reason="revoked"))
    with pytest.raises(HandleInvalid):
        session.get("/x")
    assert len(here.requests) == 1


def test_a_place_that_is_gone_is_opened_again(
    handles: RelayedHandles, session: ApiSession, here: EchoApi
) -> None:
    """Its relay was ended, or has crashed; the session goes on, and so do httpx's clients."""
    with connection("warehouse", kind="http").client() as client:
        session.get("/x")
        client.get("/x")
        before = handles.opened
        handles.lose()
        assert session.get("/y").ok
        assert handles.opened == before + 1
        assert client.get("/y").status_code == 200
    assert [path for path, _ in here.requests] == ["/v1/x", "/v1/x", "/v1/y", "/v1/y"]


def test_a_replaced_token_is_picked_up(handles: RelayedHandles, session: ApiSession, here: EchoApi) -> None:
    """At the next login of the relay: a new connection's at once."""
    session.get("/x")
    handles.secrets = {"token": "fresh-token"}
    handles.rotation = "r2"
    with connection("warehouse", kind="http").session() as another:
        another.get("/x")
    assert here.headers_of("/v1/x")["Authorization"] == "Bearer fresh-token"


def test_a_changed_address_ends_the_session(
    handles: RelayedHandles, session: ApiSession, here: EchoApi, elsewhere: EchoApi
) -> None:
    """A session goes on only to where the person said."""
    handles.fields["base_url"] = elsewhere.origin
    handles.revoke(HandleInvalid(reason="changed"))
    handles.refusal = None
    with pytest.raises(HandleInvalid) as caught:
        session.get("/x")
    assert caught.value.details["reason"] == "changed"
    assert here.requests == elsewhere.requests == []


def test_a_mounted_adapter_does_not_lead_past_the_relay(session: ApiSession, here: EchoApi) -> None:
    """Retries are commonly mounted."""
    session.mount("http://", HTTPAdapter(max_retries=2))
    session.get("/x")
    assert here.headers_of("/v1/x")["Authorization"] == BEARER


def test_neither_proxies_nor_certificates_of_the_environment_count(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent goes to the relay's socket and nowhere else."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.origin)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert session.get("/x", verify=False).ok
    with connection("warehouse", kind="http").client() as client:
        assert client.get("/y").status_code == 200
    assert elsewhere.requests == []
    assert len(here.requests) == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_not_copied(session: ApiSession, copied: Any) -> None:
    """It is good in this kernel only."""
    with pytest.raises(TypeError):
        copied(session)
