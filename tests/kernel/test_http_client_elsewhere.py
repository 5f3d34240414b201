"""Redirects, netrc and what else could take a credential to another server than its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from connvault_jupyter import connection
from connvault_jupyter.kernel.clients.http.requests_session import ApiSession
from tests.support.canary import found_in
from tests.support.relays.http_sessions import BEARER
from tests.support.relays.http_sessions import elsewhere as elsewhere
from tests.support.relays.http_sessions import handles as handles
from tests.support.relays.http_sessions import here as here
from tests.support.relays.http_sessions import http_stage as http_stage
from tests.support.relays.http_sessions import session as session
from tests.support.relays.relayed_handles import RelayedHandles
from tests.support.servers.echo_api import EchoApi


@pytest.mark.parametrize("code_path", ["/v1/go", "/v1/away"])
def test_a_redirect_to_another_origin_goes_without(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi, code_path: str
) -> None:
    """The file store behind an API must not learn the API's token."""
    here.redirects[code_path] = f"{elsewhere.origin}/v1/file"
    assert session.get(code_path.removeprefix("/v1")).json() == {"path": "/v1/file"}
    assert here.headers_of(code_path)["Authorization"] == BEARER
    assert "Authorization" not in elsewhere.headers_of("/v1/file")
    assert found_in(repr(elsewhere.requests)) == []


def test_a_redirect_out_of_the_path_goes_without(session: ApiSession, here: EchoApi) -> None:
    """The same host may belong to many."""
    here.redirects["/v1/go"] = "/v2/x"
    session.get("/go")
    assert "Authorization" not in here.headers_of("/v2/x")


def test_a_redirect_within_the_base_url_keeps_the_login(session: ApiSession, here: EchoApi) -> None:
    """A moved resource of the same API."""
    here.redirects["/v1/go"] = "/v1/x"
    session.get("/go")
    assert here.headers_of("/v1/x")["Authorization"] == BEARER


def test_a_redirect_away_and_back_has_the_login_only_here(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi
) -> None:
    """Each hop is decided on its own."""
    here.redirects["/v1/go"] = f"{elsewhere.origin}/bounce"
    elsewhere.redirects["/bounce"] = f"{here.origin}/v1/x"
    session.get("/go")
    assert "Authorization" not in elsewhere.headers_of("/bounce")
    assert here.headers_of("/v1/x")["Authorization"] == BEARER


def test_own_login_headers_do_not_follow_to_another_origin(
    session: ApiSession, here: EchoApi, elsewhere: EchoApi
) -> None:
    """requests strips Authorization only."""
    here.redirects["/v1/go"] = f"{elsewhere.origin}/x"
    session.get("/go", headers={"X-Api-Key": "k", "Private-Token": "t", "Accept-Language": "de"})
    sent = elsewhere.headers_of("/x")
    assert "X-Api-Key" not in sent
    assert "Private-Token" not in sent
    assert sent["Accept-Language"] == "de"


@pytest.mark.parametrize("where", ["elsewhere", "out of the path"])
def test_the_handles_token_does_not_follow_a_redirect_out(
    handles: RelayedHandles, here: EchoApi, elsewhere: EchoApi, where: str
) -> None:
    """Whatever code has called the header; it is no secret of the service, and good for the handle's port alone."""
    handle = connection("warehouse", kind="http")
    there = elsewhere if where == "elsewhere" else here
    here.redirects["/v1/go"] = f"{there.origin}/v2/x"
    with handle.session() as session:
        session.get("/go", headers={"X-Shop": f"v1 {handle.token}", "X-Other": "1"}, auth=("u", handle.token))
    assert there.headers_of("/v2/x")["X-Other"] == "1"
    assert {"X-Shop", "Authorization"} & {*there.headers_of("/v2/x")} == set()
    assert handle.token not in repr(elsewhere.requests) + repr(here.requests)
    assert "X-Shop" not in here.headers_of("/v1/go")


def test_netrc_is_not_read(
    handles: RelayedHandles,
    here: EchoApi,
    elsewhere: EchoApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither for the API nor for where it redirects to."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login u password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    handles.fields["auth"] = "none"
    here.redirects["/v1/go"] = f"{elsewhere.origin}/x"
    with connection("warehouse", kind="http").session() as session:
        session.get("/go")
    assert "Authorization" not in here.headers_of("/v1/go")
    assert "Authorization" not in elsewhere.headers_of("/x")
