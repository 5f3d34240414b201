"""Where a credential goes: whatever a request says, to the pinned host and below the pinned path. No sockets."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.errors import ConnvaultError, NotAllowed, UpstreamRefused
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http import paths
from connvault_jupyter.relays.http.authorization import authorization_of
from connvault_jupyter.relays.http.headers import wanted_upgrade
from connvault_jupyter.relays.http.heads import END, BadHead, request_head
from connvault_jupyter.relays.http.origin import origin_of
from connvault_jupyter.relays.http.paths import has_separator, leads_up
from connvault_jupyter.relays.http.request import serialised
from tests.support.relays.http_requests import as_passed

FUZZ_EXAMPLES = int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000"))

BASE = "https://api.example.com/v1/users"
FIELDS = {"base_url": BASE, "auth": "bearer"}
LOGIN = Login(FIELDS, {"token": "canary-token-5b1e"}, 1, "r1")
PIN = origin_of(FIELDS)
AUTHORIZATION = authorization_of(FIELDS)

# What destinations, paths and headers are dressed with.
DRESS = (
    "..", ".", "/", "//", "\\", "%2e", "%2E", "%2f", "%5c", "%252e", "%25", "%00", ";", ";x=1", "?", "#", "@",
    "evil.test", "http://evil.test", "https://api.example.com", ":80", ":", "[::1]", "\t", " ", "\r\n", "\n",
    "\r\nHost: evil.test", "Host: evil.test\r\n", "X-Original-URL: /admin\r\n", "X-Forwarded-Host: evil.test\r\n",
    "Connection: Host, Authorization\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n", "Destination: /admin\r\n", "X-Rewrite-URL: /admin\r\n", "%c0%ae", "%c0%af",
    "%u002e", "%ef%bc%8e", "%e2%88%95", "%3f", "%3b", "%20", "%7f", "/v1", "/v1/users", "/admin", "\x00", "\xff",
    "GET / HTTP/1.1\r\n\r\n",
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
        request = as_passed(head, PIN, upgrade=wanted_upgrade(head))
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
    assert not {"x-original-url", "x-rewrite-url", "x-forwarded-host", "destination"} & {*names}
    for header in headers:
        if header.startswith("Upgrade:"):
            assert re.fullmatch(r"Upgrade: (?!h2|http|tls|connect)[^ ,]+", header, re.IGNORECASE)
    path = target.partition("?")[0]
    for _ in range(20):
        # As the most careless server: backslashes, parameters, dots, after each decoding.
        assert not re.search(r"[\x00-\x1f\x7f]", path), path
        path = path.encode("latin-1").decode("utf-8")
        path = path.replace("\u2215", "/").replace("\uff0e", ".").encode().decode("latin-1")
        seen = "/".join(re.split("[;?#]", part)[0].strip() for part in path.replace("\\", "/").split("/"))
        plain = posixpath.normpath("/" + seen.lstrip("/"))
        assert plain == "/v1/users" or plain.startswith("/v1/users/"), path
        path = unquote(path.replace("%u002e", "."), "latin-1")


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
def test_no_path_leads_out_of_the_base_url(parts: list[str]) -> None:
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
def test_the_unedited_samples_pass(sample: str) -> None:
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
    origin = origin_of({"base_url": base_url})
    assert (origin.authority, origin.path) == (authority, path)


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
def test_a_base_url_that_is_no_address_is_refused(base_url: str) -> None:
    """The form refuses it too; an old record may have it."""
    with pytest.raises(UpstreamRefused):
        origin_of({"base_url": base_url})


def test_without_a_path_dots_are_the_servers_business() -> None:
    """There is nothing that they could lead out of."""
    origin = origin_of({"base_url": "https://a"})
    origin.check("/a/../b")
    with pytest.raises(NotAllowed):
        origin.check("b")


# By what a careless server makes of it; below the pin `/v1/users`.
DISGUISED = {
    "an overlong dot": ("%c0%ae%c0%ae/admin", "%c0%ae./admin", "%e0%80%ae%e0%80%ae/x", "%f0%80%80%ae%f0%80%80%ae/x"),
    "an overlong dot of five and six bytes": ("%f8%80%80%80%ae./x", "%fc%80%80%80%80%ae./x"),
    "an overlong slash": ("..%c0%afadmin", "..%e0%80%afadmin", "..%c1%9cadmin", "x%c0%2fy"),
    "an overlong dot with its high bits wrong": ("%c0%2e%c0%2e/admin", "%e0%40%6e./x"),
    "one that is encoded twice": ("%25c0%25ae%25c0%25ae/admin", "%2525c0%2525ae./x"),
    "what is no UTF-8": ("%ff/x", "%e9/x", "%ed%a0%80/x"),
    "a wide escape": ("%u002e%u002e/admin", "..%u002fadmin", "%u002E./x", "%25u002e%25u002e/x", "..%u2215x"),
    "a wide escape of another dot": ("%uff0e./x", "%u2024./x"),
    "a wide escape of half a character": ("%ud800/x",),
    "a full-width dot": ("%ef%bc%8e%ef%bc%8e/admin", "%ef%bc%8e./x", "%ef%b9%92./x", "%ef%bd%a1./x", "%e3%80%82./x"),
    "a leader": ("%e2%80%a4%e2%80%a4/admin", "%e2%80%a5/admin", "%e2%80%a4./x"),
    "another slash": ("..%ef%bc%8fadmin", "..%e2%88%95admin", "..%e2%81%84admin", "..%e2%a7%b8admin"),
    "another backslash": ("..%ef%bc%bcadmin", "..%e2%88%96admin", "..%ef%b9%a8admin", "..%e2%a7%b5admin"),
    "the lowest byte of a letter": ("%c4%ae%c4%ae/admin", "..%c4%afadmin", "%e4%b8%ae./admin"),
    "a letter without width": (".%e2%80%8b./admin", ".%c2%ad./x", "%e2%81%a0../x"),
    "spaces and dots at an end": ("..%20/admin", "..+/admin", ".%20./x", ".../admin", "..%c2%a0/x", "%20../x"),
    "what ends a path": ("..%3f/admin", "..%23/admin", "..%3b/admin", "..;a=b/admin", "x%2f..%3fy"),
    "dots in themselves": ("%2e%2e/x", "%252e%252e/x", "..%2fadmin", "..%5cadmin", "%2e/x", "%%32%65./x"),
}  # fmt: skip


@pytest.mark.parametrize("paths", DISGUISED.values(), ids=DISGUISED.keys())
def test_dots_and_slashes_in_disguise_are_refused(paths: tuple[str, ...]) -> None:
    """However a server in front of the service, or the service, may read them."""
    for path in paths:
        with pytest.raises(NotAllowed) as caught:
            PIN.check(f"/v1/users/{path}")
        assert caught.value.details["reason"] == "outside_base_url", path


@pytest.mark.parametrize("base_url", [BASE, "https://api.example.com"])
@pytest.mark.parametrize(
    "code", [*(f"{code:02x}" for code in range(32)), "7f", "7F", "0A", "2500", "25250d", "u0000", "u000a", "%30%30"]
)  # fmt: skip
def test_no_path_with_a_control_character_passes(base_url: str, code: str) -> None:
    """At whatever decoding, with a path pinned and without: what follows it is not there to programs in C."""
    origin = origin_of({"base_url": base_url})
    for path in (f"/v1/users/a%{code}b", f"/v1/users/%{code}", f"/v1/users/a/%{code}?x=1"):
        with pytest.raises(NotAllowed) as caught:
            origin.check(path)
        assert caught.value.details["reason"] == "control_character"
    origin.check(f"/v1/users/a?text=one%{code}two")


@pytest.mark.parametrize(
    "path",
    [
        "a%20b", "%20a", "a+b", "C%2B%2B", "caf%C3%A9", "%E6%97%A5%E6%9C%AC%E8%AA%9E", "%F0%9F%98%80.txt",
        "a%2Fb%2Fc", "group%2Fsub%2Fproject/issues", "100%25", "50%2525", "a..b", "..a", "a..", ".well-known/x",
        ".git", "a.b.c", "v1.2..v1.3", "a;v=1", "a%3Bb", "a%3Fb", "a%23b", "a:b", "a@b", "~a", "%e2%80%a6and-more",
        "l%c2%b7l", "%C4%AE", "%c4%aea", "%EF%BC%8Etxt", "a%ef%bc%8fb", "%e4%b8%ae", "x%E2%80%8By", "index.html",
        "_search", "$value", "(1)", "a'b", "a=b&c", "a%5Cb", "%u", "50%",
    ],
)  # fmt: skip
def test_paths_with_names_of_all_kinds_pass(path: str) -> None:
    """Spaces, other scripts, encoded slashes and marks, dots inside of a name."""
    PIN.check(f"/v1/users/{path}")
    origin_of({"base_url": "https://api.example.com"}).check(f"/{path}")


@pytest.mark.parametrize("found", [leads_up, has_separator])
def test_what_is_encoded_too_often_is_not_judged_but_refused(found: Callable[[str], bool]) -> None:
    """No server decodes eight times, and what is behind that is unknown."""
    often = ["%" + "25" * (times - 1) + "41" for times in range(1, 12)]
    assert [found(path) for path in often] == [False] * 7 + [True] * 4


@pytest.mark.parametrize("found", [leads_up, has_separator])
@pytest.mark.parametrize("path", ["%ff", "a%C0%AE", "%25ff", "%ud800", "%e9b"])
def test_a_path_that_is_no_utf_8_is_not_judged_but_refused(found: Callable[[str], bool], path: str) -> None:
    """By each of the two by itself: it has more readings than can be tried."""
    assert found(path)
    assert not found("%c3%a9")


# Unicode's compatibility forms, and what Windows and IDNA take for these.
SLASHES = "/\u2044\u2215\u29f8\u2571\uff0f\\\u2216\u29f5\u29f9\uff3c\ufe68"
DOTS = ".\u3002\uff61\u00b7\u2219\u22c5\uff0e\u2024\ufe52"


@pytest.mark.parametrize("slash", SLASHES, ids=ascii)
def test_a_character_that_may_be_read_as_a_slash_is_one(slash: str) -> None:
    """Between dots and in a name."""
    assert has_separator(f"a{quote(slash, safe='')}b")
    assert leads_up(f"..{quote(slash, safe='')}admin")
    assert not leads_up(f"..x{quote(slash, safe='')}admin")


@pytest.mark.parametrize("dot", DOTS, ids=ascii)
def test_a_character_that_may_be_read_as_a_dot_is_one(dot: str) -> None:
    """Alone and as one of two; in a name it is none."""
    for path in (
        quote(dot, safe=""),
        quote(dot, safe="") * 2,
        f"a/.{quote(dot, safe='')}/b",
        f"a/{quote(dot, safe='')}",
    ):
        assert leads_up(path if "%" in path else f"{path}/%41")
    assert not leads_up(f"a{quote(dot, safe='')}b")
    assert not has_separator(quote(dot, safe=""))


def test_what_is_encoded_too_often_is_not_decoded_for_ever() -> None:
    """Each decoding costs as much as the path is long."""
    assert len(paths._stages("%" + "25" * 5000 + "41")) == 9
