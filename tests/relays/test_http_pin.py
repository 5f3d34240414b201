"""Where a credential goes: whatever a request says, to the pinned host and below the pinned path. No sockets."""

from __future__ import annotations

import os
import posixpath
import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.errors import ConnvaultError, NotAllowed, UpstreamRefused
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http.authorization import authorization_of
from connvault_jupyter.relays.http.headers import upstream_request, wanted_upgrade
from connvault_jupyter.relays.http.heads import END, BadHead, request_head
from connvault_jupyter.relays.http.pin import pin_of
from connvault_jupyter.relays.http.request import serialised

FUZZ_EXAMPLES = int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000"))

BASE = "https://api.example.com/v1/users"
FIELDS = {"base_url": BASE, "auth": "bearer"}
LOGIN = Login(FIELDS, {"token": "canary-token-5b1e"}, 1, "r1")
PIN = pin_of(FIELDS)
AUTHORIZATION = authorization_of(FIELDS)

# What destinations, paths and headers are dressed with.
DRESS = (
    "..", ".", "/", "//", "\\", "%2e", "%2E", "%2f", "%5c", "%252e", "%25", "%00", ";", ";x=1", "?", "#", "@",
    "evil.test", "http://evil.test", "https://api.example.com", ":80", ":", "[::1]", "\t", " ", "\r\n", "\n",
    "\r\nHost: evil.test", "Host: evil.test\r\n", "X-Original-URL: /admin\r\n", "X-Forwarded-Host: evil.test\r\n",
    "Connection: Host, Authorization\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n", "/v1", "/v1/users", "/admin", "\x00", "\xff", "GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 160), st.integers(0, 8), st.one_of(st.sampled_from(DRESS), st.text(max_size=3))),
    max_size=6,
)
WIRES = (
    "GET /v1/users/7?n=1 HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n\r\n",
    "GET /v1/users HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: mine\r\nReferer: http://a/\r\n\r\n",
    "POST /v1/users/a/b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "GET /v1/users/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
)
SAMPLES = st.sampled_from(WIRES)


def sent(wire: str) -> bytes | None:
    """What the relay would send for these bytes of a client; `None`: it refuses."""
    data = wire.encode("latin-1", "replace")
    end = data.find(END)
    if end < 0:
        return None
    try:
        head = request_head(data[: end + len(END)])
        PIN.check(head.target)
        request = upstream_request(head, PIN, logs_in=True, upgrade=wanted_upgrade(head))
        return serialised(AUTHORIZATION.apply(request, LOGIN))
    except (BadHead, ConnvaultError):
        return None


def judge(wire: bytes) -> None:
    """An oracle of its own: looks at the bytes alone."""
    text = wire.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    assert text.count("\r\n\r\n") == 1
    line, *headers = text[:-4].split("\r\n")
    method, target, version = line.split(" ")
    assert re.fullmatch(r"[A-Z-]+", method)
    assert version == "HTTP/1.1"
    names = [header.partition(":")[0].lower().replace("_", "-") for header in headers]
    assert [header for header in headers if header.lower().startswith("host:")] == ["Host: api.example.com"]
    assert names.count("host") == names.count("authorization") == 1
    assert names.count("content-length") + names.count("transfer-encoding") <= 1
    assert not {"x-original-url", "x-rewrite-url", "x-forwarded-host", "x-api-key"} & {*names}
    for header in headers:
        if header.startswith("Upgrade:"):
            assert re.fullmatch(r"Upgrade: (?!h2|http|tls|connect)[^ ,]+", header, re.IGNORECASE)
    path = target.partition("?")[0]
    for _ in range(20):
        # As the most careless server: backslashes, parameters, dots, after each decoding.
        seen = "/".join(part.partition(";")[0] for part in path.replace("\\", "/").split("/"))
        plain = posixpath.normpath("/" + seen.lstrip("/"))
        assert plain == "/v1/users" or plain.startswith("/v1/users/"), path
        path = unquote(path, "latin-1")


def edited(sample: str, edits: list[tuple[int, int, str]]) -> str:
    for at, count, new in edits:
        sample = sample[:at] + new + sample[at + count :]
    return sample


@given(SAMPLES, EDITS)
@settings(max_examples=600)
def test_no_edit_of_a_request_leads_elsewhere(sample: str, edits: list[tuple[int, int, str]]) -> None:
    """Random edits of destination, path and headers, structured and not."""
    wire = sent(edited(sample, edits))
    if wire is not None:
        judge(wire)


@given(st.lists(st.sampled_from(DRESS[:30]), max_size=8))
@settings(max_examples=600)
def test_no_path_leads_out(parts: list[str]) -> None:
    """Built from what paths are dressed with."""
    wire = sent(f"GET /v1/users/{''.join(parts)} HTTP/1.1\r\nHost: a\r\n\r\n")
    if wire is not None:
        judge(wire)


@pytest.mark.fuzz
def test_fuzz_of_edits() -> None:
    """CONNVAULT_FUZZ_EXAMPLES of them."""

    @settings(max_examples=FUZZ_EXAMPLES, deadline=None, database=None)
    @given(SAMPLES, EDITS)
    def run(sample: str, edits: list[tuple[int, int, str]]) -> None:
        wire = sent(edited(sample, edits))
        if wire is not None:
            judge(wire)

    run()


@pytest.mark.parametrize("sample", WIRES)
def test_the_samples_pass(sample: str) -> None:
    """The properties above would hold for a relay that refuses everything."""
    wire = sent(sample)
    assert wire is not None
    judge(wire)
    assert b"Authorization: Bearer canary-token-5b1e" in wire


@pytest.mark.parametrize(
    ("base_url", "authority", "path"),
    [
        ("https://API.example.com", "api.example.com", ""),
        ("https://api.example.com:443/", "api.example.com", ""),
        ("http://api.example.com:8080/v1/", "api.example.com:8080", "/v1"),
        ("https://b\u00fccher.example/caf\u00e9", "xn--bcher-kva.example", "/caf%C3%A9"),
        ("http://[::1]:9200", "[::1]:9200", ""),
    ],
)
def test_a_base_url_is_pinned_in_the_form_it_is_sent_in(base_url: str, authority: str, path: str) -> None:
    """IDNA, percent-encoding, no default port, no slash at the end."""
    pin = pin_of({"base_url": base_url})
    assert (pin.authority, pin.path) == (authority, path)


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://a/",
        "https://",
        "https://u:p@a/",
        "https://a/?q=1",
        "https://a/#f",
        "https://a:x/",
        "https://a/v1/../v2",
        "a",
    ],
)
def test_what_is_no_address_is_none(base_url: str) -> None:
    """The form refuses it too; an old record may have it."""
    with pytest.raises(UpstreamRefused):
        pin_of({"base_url": base_url})


def test_without_a_path_dots_are_the_servers_business() -> None:
    """There is nothing that they could lead out of."""
    pin = pin_of({"base_url": "https://a"})
    pin.check("/a/../b")
    with pytest.raises(NotAllowed):
        pin.check("b")
