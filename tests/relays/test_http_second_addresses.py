"""Headers that name an address: what leads elsewhere stays here, second targets are held to the pin, others pass."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.errors import NotAllowed
from connvault_jupyter.relays.http.authorization import AUTHORIZATION
from connvault_jupyter.relays.http.client_auth import HandleToken
from connvault_jupyter.relays.http.cookie_names import CookieNames
from connvault_jupyter.relays.http.headers import names_another_method, passing_trailers
from connvault_jupyter.relays.http.heads import request_head
from connvault_jupyter.relays.http.origin import Origin, origin_of
from connvault_jupyter.relays.http.passing import upstream_request
from connvault_jupyter.relays.http.target_headers import has_second_address, second_address
from tests.support.relays.http_requests import as_passed

PIN = origin_of({"base_url": "https://dav.example.com/v1/team"})
WIDE = origin_of({"base_url": "https://s3.example.com:9000"})

# As requests come in: by the relay's own address, or by the one of the service.
RELAY, SERVICE = "127.0.0.1:4711", "dav.example.com"


def sent(*headers: str, origin: Origin = PIN, host: str = RELAY, method: str = "COPY") -> dict[str, str]:
    """The headers that go upstream, by name in small letters."""
    lines = [f"{method} /v1/team/a HTTP/1.1", f"Host: {host}", *headers, "", ""]
    head = request_head("\r\n".join(lines).encode("latin-1"))
    request = as_passed(head, origin)
    return {name.lower(): value for name, value in request.headers}


@pytest.mark.parametrize("name", ["Destination", "X-HTTP-Destination", "X_Destination"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/v1/team/b", "/v1/team/b"),
        ("/v1/team/a%20b/%C3%A9?x=1", "/v1/team/a%20b/%C3%A9?x=1"),
        ("/v1/team/a://b", "/v1/team/a://b"),
        (f"http://{RELAY}/v1/team/b", "https://dav.example.com/v1/team/b"),
        ("https://dav.example.com/v1/team/b", "https://dav.example.com/v1/team/b"),
        ("HTTPS://DAV.example.com:443/v1/team/b", "https://dav.example.com/v1/team/b"),
    ],
)
def test_a_destination_below_the_base_url_goes_up_as_the_services_own(
    name: str, value: str, expected: str
) -> None:
    """Whichever of its two addresses the client has written."""
    assert sent(f"{name}: {value}")[name.lower()] == expected


def test_a_destination_at_the_host_that_was_asked_is_the_services() -> None:
    """A client of the handle's own has the service's name in `Host`, and unencrypted in front of its socket."""
    assert (
        sent("Destination: http://dav.example.com/v1/team/b", host=SERVICE)["destination"]
        == "https://dav.example.com/v1/team/b"
    )


@pytest.mark.parametrize("host", ["localhost:4711", "LocalHost:4711"])
@pytest.mark.parametrize("named", ["localhost:4711", "LOCALHOST:4711"])
def test_the_host_that_was_asked_is_the_same_in_capitals(host: str, named: str) -> None:
    """Clients spell it as they like, and not always twice the same."""
    found = sent(f"Destination: http://{named}/v1/team/b", host=host)
    assert found["destination"] == "https://dav.example.com/v1/team/b"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
@pytest.mark.parametrize("name", ["Destination", "X-HTTP-Destination"])
@pytest.mark.parametrize(
    "value", ["newdoc", "b.txt", "a%20b", "%C3%A9", "newdoc?rev=1-abc", "b?at=c/d%2Fe", "-", "v1"]
)
def test_a_name_alone_is_beside_what_is_copied(method: str, name: str, value: str) -> None:
    """RFC 3986 5.2.3. It goes up as it is: who takes names (CouchDB) takes no paths."""
    assert sent(f"{name}: {value}", method=method)[name.lower()] == value


BESIDE_OUTSIDE = (
    # Servers count from elsewhere (Swift from the account): what has a slash in it for any of them is no name.
    "c/b", "c%2Fb", "c%2fb", "c%252Fb", "c%5Cb", "c\\b", "c%EF%BC%8Fb", "c%E2%88%95b", "c%u2215b", "/b", "//b", "c//b",
    ".", "..", "%2e%2e", "%252e%252e", "..;x", ". .", "%c0%ae%c0%ae", "..%00", "b%00", "b%0a", "b c", "b#c", "#", "?",
    "?x", "evil:b", "http:b", "http:", "<b>", '"b"', "", "b%ff",
)  # fmt: skip


@pytest.mark.parametrize("value", BESIDE_OUTSIDE)
def test_a_name_that_could_lead_elsewhere_is_refused(value: str) -> None:
    """Whoever reads it, and however often it is decoded."""
    with pytest.raises(NotAllowed):
        sent(f"Destination: {value}")


@pytest.mark.parametrize(
    ("method", "at"),
    [("COPY", "/v1/team"), ("COPY", "/v1/team?x=/v1/team/a"), ("PUT", "/v1/team/a"), ("POST", "/v1/team/a")],
)
def test_a_name_is_beside_nothing_where_nothing_of_the_base_url_is_copied(method: str, at: str) -> None:
    """Beside the base URL itself lies what is outside; and of other methods nobody has said what a name means."""
    head = request_head(f"{method} {at} HTTP/1.1\r\nHost: a\r\nDestination: b\r\n\r\n".encode())
    with pytest.raises(NotAllowed):
        as_passed(head, PIN)


@pytest.mark.parametrize("name", ["If", "Upload-Concat", "X-Amz-Copy-Source", "X-Copy-From"])
def test_a_name_in_another_header_is_refused_as_before(name: str) -> None:
    """Only of a destination is it said what it is relative to."""
    with pytest.raises(NotAllowed):
        sent(f"{name}: {'<b> (<urn:x>)' if name == 'If' else 'final;b' if name == 'Upload-Concat' else 'b'}")


OUTSIDE = (
    "/v1/other/b", "/v1/teams", "/admin", "/", "//evil.test/v1/team/b", "/v1/team/../other", "/v1/team/%2e%2e/other",
    "/v1/team/%252e%252e/other", "/v1/team/..%2fother", "/v1/team/%c0%ae%c0%ae/other", "/v1/team/\\..\\..\\other",
    "https://dav.example.com/v1/other/b", "https://dav.example.com/v1/team/../other", "https://dav.example.com",
    "https://evil.test/v1/team/b", "http://evil.test/v1/team/b", "https://dav.example.com@evil.test/v1/team/b",
    "https://dav.example.com:8443/v1/team/b", "https://dav.example.com.evil.test/v1/team/b",
    "https://dav.example.com\\@evil.test/v1/team/b", "ftp://dav.example.com/v1/team/b", "http:/v1/team/b",
    "https:dav.example.com/v1/team/b", "v1/team/b", "sub/b", "", "<https://evil.test/v1/team/b>", "\\\\evil.test\\x",
    "/v1/team/b#c", "/v1/team/b c", f"http://{RELAY}/v1/other", f"http://{RELAY}@evil.test/v1/team/b",
    "file:///v1/team/b", "/v1/team/b%00", "/v1/team/b\tc", "/v1/team/a\\b", "https://dav.example.com/v1/team/a\\b",
)  # fmt: skip


@pytest.mark.parametrize("value", OUTSIDE)
def test_a_destination_elsewhere_is_refused(value: str) -> None:
    """As a path would be: another origin, another path, a form of two readings."""
    with pytest.raises(NotAllowed, match=r"base URL|control character") as caught:
        sent(f"Destination: {value}")
    assert caught.value.details["reason"] in ("outside_base_url", "control_character")


@pytest.mark.parametrize(
    "names", [("Destination", "Destination"), ("X-Amz-Copy-Source", "X_Amz_Copy_Source")]
)
def test_two_second_addresses_are_refused(names: tuple[str, str]) -> None:
    """Servers differ in which one counts, and in whether they tell the two names apart."""
    with pytest.raises(NotAllowed, match="twice"):
        sent(*(f"{name}: /v1/team/b" for name in names))


@pytest.mark.parametrize(
    "name",
    ["X-Amz-Copy-Source", "x-goog-copy-source", "X-Ms-Copy-Source", "X-Ms-Rename-Source", "X-Oss-Copy-Source",
     "X-Copy-From", "X-Amz-Rename-Source", "X-Symlink-Target", "X-Object-Manifest", "X_Amz_Copy_Source"],
)  # fmt: skip
def test_what_is_copied_lies_below_the_base_url_too(name: str) -> None:
    """A server that is told to copy reads there with the connection's login."""
    for inside in ("/v1/team/b?versionId=1", "v1/team/b", "https://dav.example.com/v1/team/b"):
        assert sent(f"{name}: {inside}")[name.lower()] == inside
    for outside in (
        "/v1/other/b", "v1/other/b", "other/b", "/v1/team/..%2Fother", "v1/team/../other", "//evil.test/v1/team/b",
        "https://evil.test/v1/team/b", "arn:aws:s3:eu-central-1:123456789012:accesspoint/a/object/b", "",
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            sent(f"{name}: {outside}")


@pytest.mark.parametrize(
    "query",
    ["X-Amz-Copy-Source=/v1/other/b", "a=1&x-amz-copy-source=%2Fv1%2Fother%2Fb", "x%2Damz_copy%2Dsource=v1/team/../b",
     "%58-Amz-Copy-Source=/v1/other", "x-http-destination=/v1/other", "a=1;x-amz-copy-source=/v1/other"],
)  # fmt: skip
def test_a_parameter_in_a_headers_place_is_held_to_the_pin_too(query: str) -> None:
    """As presigned addresses have them. Below the base URL they pass, and so do a form's own words."""

    def passes(query: str, origin: Origin) -> bool:
        head = request_head(f"PUT /v1/team/a?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return as_passed(head, origin).target.endswith(query)

    with pytest.raises(NotAllowed):
        passes(query, PIN)
    assert passes(query, WIDE)
    assert passes("x-amz-copy-source=https://evil.test/a", WIDE)
    assert passes("x-amz-copy-source=+/v1/team/b", PIN)
    for innocent in (
        "x-amz-copy-source=/v1/team/b%2520c",
        "x-id=CopyObject",
        "destination=Paris",
        "x-amz-acl=private",
    ):
        assert passes(innocent, PIN)


def test_with_an_origin_alone_a_copy_stays_at_the_origin() -> None:
    """Which buckets a login may use is the service's decision."""
    for inside in (
        "/bucket/a key",
        "bucket/k%C3%A9y?versionId=x",
        "arn:aws:s3:eu-central-1:1:accesspoint/a/object/b",
    ):
        assert sent(f"X-Amz-Copy-Source: {inside}", origin=WIDE)["x-amz-copy-source"] == inside
    for inside in ("container/object", "container/a://b", "object"):
        assert sent(f"Destination: {inside}", origin=WIDE)["destination"] == inside
    assert sent("X-Copy-From: container/a://b", origin=WIDE)["x-copy-from"] == "container/a://b"
    absolute = sent(f"Destination: http://{RELAY}/bucket/b", origin=WIDE)["destination"]
    assert absolute == "https://s3.example.com:9000/bucket/b"
    for name in ("X-Ms-Copy-Source", "Destination"):
        for outside in (
            "https://evil.test/a",
            "//evil.test/a",
            "https://s3.example.com/a",
            "a%00b",
            "/a%250ab",
        ):
            with pytest.raises(NotAllowed):
                sent(f"{name}: {outside}", origin=WIDE)
    for outside in ("\\evil.test\\a", "\\a"):
        with pytest.raises(NotAllowed):
            sent(f"X-Copy-From: {outside}", origin=WIDE)


@pytest.mark.parametrize("value", ["", "a:b", "a b", "<a>", '"a"', "a\\b", "\\a", "a/b c", "urn:a/b"])
def test_a_destination_in_a_form_that_can_not_be_checked_is_refused_at_an_origin(value: str) -> None:
    """It names no place at the service, or a server may read another one in it."""
    with pytest.raises(NotAllowed) as caught:
        sent(f"Destination: {value}", origin=WIDE)
    assert caught.value.details["reason"] == "outside_base_url"


def test_a_second_address_is_read_without_blanks_around_it() -> None:
    """Servers leave them out."""
    found = second_address("destination", " /v1/team/b\t", origin=PIN, asked_at=RELAY)
    assert found == "/v1/team/b"
    with pytest.raises(NotAllowed):
        second_address("x-copy-from", " /v1/other/b", origin=PIN, asked_at=RELAY)


@pytest.mark.parametrize(
    "name", ["if-match", "destination-name", "x-mine", "x-amz-meta-copy-source", "my-destination"]
)
def test_a_header_that_only_sounds_so_has_no_second_address(name: str) -> None:
    """It passes as it is, twice, and behind the body too."""
    assert not has_second_address(name)
    assert second_address(name, " /v1/other/b", origin=PIN, asked_at=RELAY) == " /v1/other/b"
    assert passing_trailers([(name.encode(), b"/v1/other/b")]) != []


def test_the_resource_of_a_condition_is_held_to_the_pin() -> None:
    """RFC 4918 10.4: else its state could be asked for, wherever it lies. Lists without one are about the target."""
    own = '(<urn:uuid:1> ["a (b)"]) (Not <DAV:no-lock>)'
    assert sent(f"If: {own}")["if"] == own
    tagged = f"<http://{RELAY}/v1/team/b> {own} </v1/team/c> (<urn:x>)"
    assert sent(f"If: {tagged}")["if"] == tagged.replace(f"http://{RELAY}", "https://dav.example.com")
    for outside in (
        "<https://evil.test/v1/team/b> (<urn:x>)", "</v1/other> (<urn:x>)", "<urn:x> (<urn:x>)", "/v1/other",
        "(<urn:x>", "(<urn:x>) x", '(["a"]) </v1/team/../x> (["b"])', "(((", "",
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            sent(f"If: {outside}")


def test_what_is_put_together_is_held_to_the_pin() -> None:
    """Uploads in parts (tus.io, concatenation)."""
    assert sent("Upload-Concat: partial")["upload-concat"] == "partial"
    found = sent(f"Upload-Concat: final;/v1/team/a http://{RELAY}/v1/team/b")["upload-concat"]
    assert found == "final;/v1/team/a https://dav.example.com/v1/team/b"
    with pytest.raises(NotAllowed):
        sent("Upload-Concat: final;/v1/team/a /v1/other/b")


@pytest.mark.parametrize("name", ["Destination-Account", "X-Copy-From-Account", "X-Symlink-Target-Account"])
def test_another_account_lies_outside_of_a_path(name: str) -> None:
    """Swift takes the path's first part from there."""
    with pytest.raises(NotAllowed):
        sent(f"{name}: AUTH_other")
    assert sent(f"{name}: AUTH_other", origin=WIDE)[name.lower()] == "AUTH_other"


LEADING = (
    "Forwarded", "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Prefix", "X-Forwarded-Anything", "X-Forward-To",
    "X-Original-URL", "X-Original-URI", "X-Original-Path", "X-Original-Host", "X-Original-Method", "X-Original-To",
    "X-Rewrite-URL", "X-Rewrite-URI", "X-Rewrite-Path", "X-Rewritten-Path", "X-Replaced-Path", "X-Override-URL",
    "x-invoke-path", "x-invoke-query", "x-matched-path", "x-now-route-matches", "x-middleware-rewrite",
    "X-Versions-Location", "X-History-Location", "X-Container-Sync-To", "X-MS-Original-URL", "X-MS-Forwarded-Host",
    "X-MS-Proxy-Url", "x-goog-original-url", "X-Url-Rewrite", "X-Http-Rewrite", "X-Apache-Rewrite", "X-Http-Path",
    "X-Uri-Path", "X-Request-Target", "X-Route-Path", "Path-Override", "X-Internal-Redirect",
    "X-Override-Host", "X-Envoy-Original-Path", "X-Envoy-Original-Dst-Host", "X-Envoy-Upstream-Alt-Stat-Name",
    "X-Envoy-Decorator-Operation", "X-Accel-Redirect", "X-Sendfile", "X-Send-File", "X-LIGHTTPD-send-file",
    "X-Reproxy-URL", "X-Script-Name", "Script-Name", "Path-Info", "X-Path-Info", "Path-Translated", "X-Proxy-URL",
    "X-Proxy-Host", "X-ProxyUser-Ip", "Proxy", "Proxy-Host", "X-Real-IP", "X-Real-Host", "Front-End-Https",
    "X-Url-Scheme", "X-Scheme", "Base-Url", "X-Base-Path", "Request-Uri", "X-Request-Uri", "X-Request-Path",
    "Http-Host", "X-Host", "X-Http-Host-Override", "X-Host-Override", "Host-Override", "X-Path-Override",
    "X-Server-Name", "X-Ingress-Path", "X-Context-Path", "X-Waws-Unencoded-Url", "Unencoded-Url", "Disguised-Host",
    "Redirect-Url", "X-Backend-Host", "X-Upstream-Host", "X-Backend-Storage-Policy-Index", "Helicone-Target-Url",
    "X-Portkey-Custom-Host", "X-Jfrog-Override-Base-Url", "L5d-Dst-Override", "X-Url", "X-Uri", "X-Path",
    "Was-Default-Hostname", "Location-Uri",
)  # fmt: skip


@pytest.mark.parametrize("name", LEADING)
def test_what_says_another_address_stays_here(name: str) -> None:
    """In each spelling that a server may take for it, and behind the body too."""
    for spelt in (name, name.upper(), name.replace("-", "_"), name.replace("-", ".")):
        for origin in (PIN, WIDE):
            assert spelt.lower() not in sent(f"{spelt}: /admin", origin=origin, method="GET")
        assert passing_trailers([(spelt.encode(), b"/admin")]) == []


PASSING = (
    "X-Amz-Target", "X-Amz-Meta-Original-Url", "X-Amz-Meta-Host", "X-Amz-Meta-Copy-Source", "X-Amz-Acl", "X-Amz-Date",
    "X-Amz-Website-Redirect-Location", "X-Amz-Metadata-Directive", "X-Amz-Copy-Source-Range", "X-Amz-Tagging",
    "X-Goog-Api-Client", "X-Goog-User-Project", "X-Goog-Meta-Uri", "X-Goog-Request-Params", "X-Goog-Upload-Protocol",
    "X-Goog-Upload-Command", "X-Goog-Copy-Source-Generation", "X-Ms-Version", "X-Ms-Blob-Type", "X-Ms-Meta-Url",
    "X-Ms-Client-Request-Id", "X-Object-Meta-Url", "X-Api-Version", "X-GitHub-Api-Version", "X-GitHub-Media-Type",
    "X-Gitlab-Token", "X-Requested-With", "X-Request-Id", "X-Correlation-Id", "X-Trace-Id", "Traceparent",
    "X-B3-TraceId", "X-CSRF-Token", "X-XSRF-TOKEN", "X-Auth-Token", "X-Vault-Namespace", "X-Vault-Request",
    "X-Stainless-Lang", "X-App-Name", "X-Application-Id", "X-Client-Version", "X-Title", "HTTP-Referer", "Referer",
    "Origin", "Range", "If-Match", "If-None-Match", "If-Range", "If-Modified-Since", "Depth", "Overwrite",
    "Lock-Token", "Timeout", "Content-Type", "Content-Encoding", "Content-Range", "Content-Disposition",
    "Content-Location", "Accept", "Accept-Language", "User-Agent", "Prefer", "Idempotency-Key", "OpenAI-Organization",
    "OpenAI-Beta", "Anthropic-Version", "Notion-Version", "Stripe-Version", "Dropbox-API-Arg",
    "Dropbox-API-Select-User", "Link", "Slug", "SOAPAction", "MaxDataServiceVersion", "X-HTTP-Method-Override",
    "X-HTTP-Method", "X-Realm", "X-Realtime", "X-Opaque-Id", "X-Elastic-Product-Origin", "Tus-Resumable",
    "Upload-Length", "Upload-Offset", "Upload-Metadata", "X-Upload-Content-Type", "X-Wap-Profile",
    "Sec-WebSocket-Protocol", "Sec-WebSocket-Key", "X-Pagination", "X-Total-Count", "X-Shopify-Access-Token",
)  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_what_services_need_passes(name: str) -> None:
    """Parameters, metadata, versions, conditions; also those that only sound like an address."""
    for origin in (PIN, WIDE):
        assert sent(f"{name}: value", origin=origin, method="GET")[name.lower()] == "value"


@pytest.mark.parametrize("name", ["Destination", "X-Amz-Copy-Source", "If", "Upload-Concat"])
def test_no_second_address_comes_behind_the_body(name: str) -> None:
    """It could not be judged before the request is under way."""
    innocent = (b"X-Amz-Checksum-Crc32", b"AAAAAA==")
    assert passing_trailers([(name.encode(), b"/admin"), innocent]) == [innocent]


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method", "X-Method-Override"]
)
def test_another_method_is_seen(name: str) -> None:
    """A request that is another one to its server is not sent again by itself."""
    for header, expected in ((name, True), ("X-Method", False)):
        wire = f"GET /v1/team/a HTTP/1.1\r\nHost: a\r\n{header}: DELETE\r\n\r\n"
        assert names_another_method(request_head(wire.encode())) is expected


@given(
    st.lists(
        st.sampled_from(
            ("..", ".", "/", "\\", "%2e", "%2f", "%5c", "%25", "%c0%ae", "%u002e", "%ef%bc%8e", "http:", "https://",
             "dav.example.com", RELAY, "evil.test", "@", ":", "//", "v1", "team", "/v1/team", "?", "#", "<",
             ">", ";", " ")
        ),
        max_size=9,
    )
)  # fmt: skip
def test_no_destination_leads_out(parts: list[str]) -> None:
    """Whatever it is made of: what passes is the pinned origin's, below the path, in plain letters."""
    try:
        found = sent(f"Destination: {''.join(parts)}")["destination"]
    except NotAllowed:
        return
    path = urlsplit(urljoin("https://dav.example.com/v1/team/a", found)).path
    assert path == "/v1/team" or path.startswith("/v1/team/")
    assert "\\" not in path
    assert not {".", ".."} & {part.partition(";")[0] for part in path.split("/")}


def test_an_address_with_the_handles_token_in_it_goes_nowhere() -> None:
    """It is good on this machine only, and no service has to know it."""
    head = request_head(
        b"COPY /v1/team/a HTTP/1.1\r\nHost: a\r\nDestination: http://a/v1/team/b?api_key=TOKEN\r\n\r\n"
    )
    found = upstream_request(
        head,
        PIN,
        logs_in=True,
        places=AUTHORIZATION,
        cookies=CookieNames(""),
        token=HandleToken(lambda word: word == "TOKEN", len("TOKEN")),
        upgrade="",
    )
    assert "destination" not in {name.lower() for name, _ in found.request.headers}
