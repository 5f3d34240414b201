"""The handle's token at the loopback port: taken wherever a client puts its key, and sent nowhere."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.canary import CANARY
from tests.support.relays.http_handles import TOKEN
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import HttpRelays, RawClient
from tests.support.servers.web_server import WebServer

Way = Callable[[str], tuple[str, list[str]]]


def _header(line: str) -> Way:
    return lambda token: ("/v1/x", [line.replace("TOKEN", token)])


def _query(query: str) -> Way:
    return lambda token: (f"/v1/x?{query.replace('TOKEN', token)}", [])


def _pair(pair: str, scheme: str = "Basic") -> Way:
    def way(token: str) -> tuple[str, list[str]]:
        encoded = base64.b64encode(pair.replace("TOKEN", token).encode()).decode()
        return "/v1/x", [f"Authorization: {scheme} {encoded}"]

    return way


WAYS = {
    "python-gitlab": _header("PRIVATE-TOKEN: TOKEN"),
    "a header of somebody's own": _header("X-Shop-Secret: TOKEN"),
    "a scheme of somebody's own": _header("Authorization: Klaviyo-API-Key TOKEN"),
    "a parameter of a scheme": _header('Authorization: Token token="TOKEN", v=1'),
    "another one": _header('Authorization: MediaBrowser Client="x", Token="TOKEN"'),
    "discogs": _header("Authorization: Discogs token=TOKEN"),
    "proxmox": _header("Authorization: PVEAPIToken=root@pam!notebook=TOKEN"),
    "no scheme": _header("Authorization: TOKEN"),
    "a cookie": _header("Cookie: theme=dark; session=TOKEN"),
    "the password": _pair("any:TOKEN"),
    "the user": _pair("TOKEN:"),
    "the user, and a word for password": _pair("TOKEN:x-oauth-basic"),
    "an API key of two parts": _pair("id:TOKEN", "ApiKey"),
    "a parameter": _query("api_key=TOKEN"),
    "one among others": _query("a=1&access_token=TOKEN&b=2"),
    "signed, version 4": _header(
        "Authorization: AWS4-HMAC-SHA256 Credential=TOKEN/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=0"
    ),
    "signed, version 2": _header("Authorization: AWS TOKEN:c2lnbmF0dXJl"),
    "presigned, version 4": _query("X-Amz-Credential=" + quote("TOKEN/20260101/r/s3/aws4_request", safe="")),
    "presigned, version 2": _query("AWSAccessKeyId=TOKEN&Signature=0&Expires=1"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "fields",
    [
        {"auth": "bearer"},
        {"auth": "header", "header": "PRIVATE-TOKEN"},
        {"auth": "header", "header": "Authorization", "scheme": "Klaviyo-API-Key"},
        {"auth": "query", "query": "api_key"},
    ],
    ids=lambda fields: "-".join(fields.values()),
)
def test_the_token_opens_wherever_a_client_puts_its_key(
    relays: HttpRelays, server: WebServer, fields: dict[str, Any], way: Way
) -> None:
    """And goes no further: what the service gets is the connection's credential, at the connection's own place."""
    relays.point(f"{server.origin}/v1", secrets=TOKEN, **fields)
    endpoint = relays.endpoint(tcp=True)
    target, headers = way(endpoint.token)
    with RawClient(endpoint, tcp=True) as client:
        answer = client.get(target, *headers, "X-Mine: 1").answer()
        assert answer.status == 200
        # It is no login of the code's own that would have been replaced.
        assert answer.header("x-connvault-replaced") == ""
    (seen,) = server.requests
    assert endpoint.token not in seen.raw.decode()
    assert base64.b64encode(endpoint.token.encode())[4:-4] not in seen.raw
    assert seen.header("x-mine") == "1"
    given = seen.target if "query" in fields else seen.header(fields.get("header", "Authorization"))
    assert (quote(CANARY, safe="") if "query" in fields else CANARY) in str(given)


def test_what_stands_beside_the_token_arrives(relays: HttpRelays, server: WebServer) -> None:
    """Other parameters and cookies as they were written."""
    endpoint = relays.endpoint(tcp=True)
    with RawClient(endpoint, tcp=True) as client:
        target = f"/v1/x?a=%20&key={endpoint.token}&b=+&c"
        client.get(target, f"Cookie: theme=dark; key={endpoint.token}; csrftoken=c").answer()
    (seen,) = server.requests
    assert seen.target == "/v1/x?a=%20&b=+&c"
    assert seen.header("cookie") == "theme=dark; csrftoken=c"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_token_that_is_not_this_handles_opens_nothing(
    relays: HttpRelays, server: WebServer, way: Way
) -> None:
    """Another handle's, nearly this one's, this one's within a longer word."""
    endpoint, other = relays.endpoint(tcp=True), relays.endpoint(tcp=True)
    for token in (
        other.token,
        endpoint.token[:-1],
        f"{endpoint.token}x",
        f"x{endpoint.token}",
        endpoint.token.upper(),
    ):
        target, headers = way(token)
        with RawClient(endpoint, tcp=True) as client:
            assert client.get(target, *headers).answer().status == 401
    assert server.requests == []
    assert relays.vault.asked == []


def test_a_token_in_the_path_opens_nothing(relays: HttpRelays, server: WebServer) -> None:
    """No connection's credential is there, so it would go upstream as it is."""
    endpoint = relays.endpoint(tcp=True)
    with RawClient(endpoint, tcp=True) as client:
        assert client.get(f"/v1/{endpoint.token}/x").answer().status == 401
    assert server.requests == []
