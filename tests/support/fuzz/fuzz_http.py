"""HTTP for the fuzzer: heads, bodies, codings, masks, a client on either door of the relay, a server that lies."""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import unquote

import httptools

from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http import (
    addresses,
    bodies,
    client_auth,
    client_connection,
    connection_check,
    encodings,
    headers,
    heads,
    media_types,
    origin,
    passing,
    pool,
    post_form,
    problem_responses,
    request,
    response,
    streams,
    token_endpoint,
    websocket,
)
from connvault_jupyter.relays.http import relay as http_relay
from connvault_jupyter.relays.http.bodies import BadBody, Body, Chunked, OfLength, UntilClose
from connvault_jupyter.relays.http.encodings import BadCoding, Decoding
from connvault_jupyter.relays.http.heads import END, BadHead, request_head, response_head
from connvault_jupyter.relays.http.relay import Relay
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.masking import holding, masker, normal_form, search
from connvault_jupyter.relays.masking import spellings as masked_spellings
from connvault_jupyter.relays.masking.holding import Holding
from connvault_jupyter.relays.masking.masker import Masker

from ..canary import CANARY
from ..relays.llhttp_reading import Read
from ..relays.scripted_streams import TOKEN, Scripted, copy_scripted, cut, reached, replaced
from .fuzz_oracles import (
    SAID,
    SPELLINGS,
    is_masked,
    is_ours,
    keeps_quiet,
    log_in,
    serve,
)
from .guided import Target

_FIELDS = {"base_url": "http://api.test/v1/users", "auth": "bearer"}
_LOGIN = Login(_FIELDS, {"token": CANARY}, 1, "r1")
_TOKEN_FIELDS = {"token_url": "http://id.test/token", "allow_http": True, "client_id": "c"}

_FORM_LOGIN = frozenset(("policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm",
                         "x-amz-security-token", "awsaccesskeyid", "signature"))  # fmt: skip

# deflate makes at most 1,032 bytes of one (zlib's own description).
_MOST_OF_A_BYTE = 1032
_OWN_BYTES = 16 * 1024

_THE_TOKEN = re.compile(rb"(?<![\w-])" + TOKEN.encode() + rb"(?![\w-])")

_ASKED = (
    b"GET /v1/users/7 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    b"HEAD /v1/users HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/users HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET /v1/users/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
)
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
)


def read_request(data: bytes) -> None:
    """A head and a body, or one of our two refusals; and never another reading than llhttp's."""
    end = data.find(END)
    if end < 0:
        return
    try:
        found = request_head(data[: end + 4])
        body: Body = Chunked() if found.framing == "chunked" else OfLength(found.length)
        content = b"" if body.over else body.feed(data[end + 4 :] or b" ")
    except (BadHead, BadBody):
        return
    assert found.target.startswith("/")
    assert not {"\r", "\n"} & set("".join(name + value for name, value in found.headers))
    if not body.over or "upgrade" in found.names:
        return
    whole = data[: len(data) - len(body.rest)] if body.rest else data
    if found.framing == "length":
        whole = data[: end + 4 + found.length]
    reference = Read(httptools.HttpRequestParser)
    try:
        reference.feed(whole)
    except httptools.HttpParserError:
        # It looks into extensions and trailers' values, which are not passed on as they are.
        assert found.framing == "chunked"
        return
    assert [(one.body, one.whole) for one in reference.messages] == [(content, True)]


def read_response(data: bytes) -> None:
    """As `read_request`, with a status that there can be."""
    end = data.find(END)
    if end < 0:
        return
    try:
        found = response_head(data[: end + 4])
        body: Body = UntilClose()
        if found.framing != "close":
            body = Chunked() if found.framing == "chunked" else OfLength(found.length)
        if not body.over:
            body.feed(data[end + 4 :] or b" ")
    except (BadHead, BadBody):
        return
    assert 100 <= found.status <= 999


def _chunked(data: bytes) -> None:
    """Wherever it is cut, the same content, end, rest and trailers."""
    outcomes: list[tuple[bytes, bool, bytes, list[tuple[bytes, bytes]]] | None] = []
    for blocks in ([data], cut(data)):
        body, content, rest = Chunked(), b"", b""
        try:
            for block in filter(None, blocks):
                if body.over:
                    rest += block
                else:
                    content += body.feed(block)
                    assert len(body._held) - body._at <= 4096 + len(block)
        except BadBody:
            outcomes.append(None)
        else:
            outcomes.append((content, body.over, body.rest + rest, body.trailers))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] is None or len(outcomes[0][0]) <= len(data)


def _coding(data: bytes) -> None:
    """Wherever it is cut, the same content, each piece of it bounded."""
    coding = "gzip" if data[:1] < b"\x80" else "deflate"
    outcomes: list[tuple[int, int] | None] = []
    for blocks in ([data[1:]], cut(data[1:])):
        decoding, content, crc = Decoding((coding,)), 0, 0
        try:
            for block in filter(None, blocks):
                for piece in decoding.feed(block):
                    assert len(piece) <= 256 * 1024
                    content += len(piece)
                    crc = zlib.crc32(piece, crc)
            decoding.finish()
        except BadCoding:
            outcomes.append(None)
        else:
            outcomes.append((content, crc))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] is None or outcomes[0][0] <= _MOST_OF_A_BYTE * len(data)


def _form(data: bytes) -> None:
    """A presigned POST: wherever it is cut, the same fields or none yet; written anew it reads the same."""
    try:
        whole = post_form.post_form(data, b"b")
    except BadBody:
        return
    if whole is None:
        return
    for end in range(0, len(data), max(1, len(data) // 16)):
        part = post_form.post_form(data[:end], b"b")
        assert part is None or part == whole
    kept = [pair for pair in whole.fields if pair[0].lower() not in _FORM_LOGIN]
    again = post_form.post_form(whole.signed({}) + data[whole.length :], b"b")
    assert again is not None
    assert again.fields == kept
    try:
        assert isinstance(whole.policy["conditions"], list)
    except BadBody:
        return


def _mask(data: bytes) -> None:
    """Wherever it is cut, no spelling of the secret is left; what is changed is a star."""
    whole = Masker([CANARY]).whole(data)
    is_masked(whole)
    assert len(whole) == len(data)
    assert all(old == new or new == ord("*") for old, new in zip(data, whole, strict=True))
    held = Holding(Masker([CANARY]), lines=False)
    assert b"".join(held(block) for block in cut(data) if block) + held(b"") == whole


def _messages(data: bytes) -> None:
    """A server's frames, or none: wherever they are cut, as many bytes as came; nothing of the secret in a frame."""
    outcomes = []
    for blocks in ([data], cut(data)):
        held = websocket.Messages(Masker([CANARY]))
        shown = b"".join(held(block) for block in blocks if block)
        assert len(shown) <= len(data)
        outcomes.append(shown + held(b""))
    assert len(outcomes[0]) == len(outcomes[1]) <= len(data)
    framed = bytes([0x81, 126]) + len(data).to_bytes(2, "big") + data if len(data) < 1 << 16 else b""
    shown = websocket.Messages(Masker([CANARY]))(framed)
    assert len(shown) == len(framed)
    is_masked(shown[4:])


def _client(data: bytes, *, over_tcp: bool = False) -> None:
    for blocks in ([data], cut(data)):
        told, sent = _served(blocks, [(one, *_ANSWERS) for one in _ANSWERS], over_tcp=over_tcp)
        keeps_quiet(told, told=data)
        for wire in sent:
            _pinned(wire)
        assert not any(sent) or not over_tcp or _has_token(data)


def _pinned(wire: bytes) -> None:
    """An oracle of its own: each request upstream is for the pinned host, below the pinned path, with one login."""
    reading = Read(httptools.HttpRequestParser).feed(wire)
    for message in reading.messages:
        names = [name.replace(b"_", b"-") for name, _ in message.headers]
        values = dict(message.headers)
        assert names.count(b"host") == names.count(b"authorization") == 1
        assert values[b"host"] == b"api.test"
        assert values[b"authorization"] == b"Bearer " + CANARY.encode()
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        assert not {b"x-original-url", b"x-rewrite-url", b"x-forwarded-host"} & {*names}
        for text in (*values.values(), message.url.partition(b"?")[2]):
            assert not _THE_TOKEN.search(text)
        path = message.url.decode("latin-1").partition("?")[0]
        for _ in range(20):
            # As the most careless server: backslashes, parameters, dots, after each decoding.
            seen = "/".join(part.partition(";")[0] for part in path.replace("\\", "/").split("/"))
            plain = posixpath.normpath("/" + seen.lstrip("/"))
            assert plain == "/v1/users" or plain.startswith("/v1/users/"), path
            path = unquote(path, "latin-1")


def _has_token(data: bytes) -> bool:
    """Plainly, or in a form that the corpus has."""
    return TOKEN.encode() in data or b"dGhlLXRva2Vu" in data or b"OnRoZS10b2tlb" in data or b"asic" in data


def _served(
    blocks: list[bytes], answers: Sequence[Sequence[bytes]], *, over_tcp: bool = False
) -> tuple[bytes, list[bytes]]:
    """What a client is sent, and a server on each connection, on which it has the `answers` of that one."""
    with ExitStack() as stack:
        client = stack.enter_context(Scripted(*blocks))
        upstreams = [stack.enter_context(Scripted(*said, late=1)) for said in answers]
        stack.enter_context(replaced(pool, connect=reached(*upstreams)))
        stack.enter_context(replaced(client_connection, copy_both=copy_scripted))
        relaying = Relay(limits=LIMITS)
        stack.callback(relaying.close)
        serve(relaying, client, _LOGIN, limits=LIMITS, over_tcp=over_tcp)
    return bytes(client.sent), [bytes(one.sent) for one in upstreams]


def _answer(data: bytes) -> None:
    """Whatever a server says, its echo of the secret reaches nobody, and what does is HTTP that ends."""
    if b"gzip" in data or b"deflate" in data:
        # What it makes of this much, up to a thousand times as much, is kept here several times over.
        data = data[:1100]
    for asked in _ASKED:
        outcomes = []
        for blocks in ([data], cut(data)):
            told, _ = _served([asked], [blocks])
            # Of a WebSocket it is each message that is masked, or what is none; see `_messages`.
            if not told.startswith(b"HTTP/1.1 101"):
                is_masked(told)
            assert len(told) <= _MOST_OF_A_BYTE * len(data) + _OWN_BYTES
            outcomes.append(_contents(told))
        # Of an answer that turns out to be broken, the beginning may have passed already.
        assert outcomes[0] == outcomes[1] or None in outcomes
    _tried(data)


def _contents(told: bytes) -> list[bytes] | None:
    """The bodies; `None`: not all of them are whole, or nobody can know."""
    reading = Read(httptools.HttpResponseParser)
    try:
        reading.feed(told)
    except httptools.HttpParserError:
        return None
    for message in reading.messages:
        is_masked(message.body)
        names = {name for name, _ in message.headers}
        assert not names & {b"alt-svc", b"strict-transport-security"}
        cookies = [value.lower() for name, value in message.headers if name == b"set-cookie"]
        assert not any(b"httponly" in value.replace(b" ", b"").split(b";")[1:] for value in cookies)
        if not message.whole or b"x-connvault-error" in names:
            return None
    return [message.body for message in reading.messages]


def _tried(data: bytes) -> None:
    """The connection test."""
    for blocks in ([data], cut(data)):
        with Scripted(*blocks) as upstream, replaced(pool, connect=reached(upstream)):
            log_in(Relay(limits=LIMITS), _LOGIN, "HTTP 2[0-9][0-9]")


def _token(data: bytes) -> None:
    """A token endpoint that lies: a token that can be sent, or an error of ours."""
    for blocks in ([data], cut(data)):
        with Scripted(*blocks) as upstream, replaced(token_endpoint, connect=reached(upstream)):
            try:
                found = token_endpoint.fetch(_TOKEN_FIELDS, CANARY, limits=LIMITS)
            except ConnvaultError as exc:
                is_ours(exc)
            else:
                assert found.value.isascii()
                assert found.value.isprintable()
                assert 0 < found.lifetime_s <= 24 * 3600


TARGET = Target(
    "http",
    {
        "request": read_request,
        "response": read_response,
        "chunked": _chunked,
        "coding": _coding,
        "form": _form,
        "mask": _mask,
        "messages": _messages,
        "client": _client,
        "tcp": lambda data: _client(data, over_tcp=True),
        "answer": _answer,
        "token": _token,
    },
    (
        addresses, problem_responses, bodies, encodings, client_auth, headers, heads, media_types,
        passing, origin,
        pool, post_form, response, request, client_connection, streams, token_endpoint, connection_check, http_relay,
        websocket, masker, holding, normal_form, search,
        masked_spellings,
    ),
    (
        b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\n", b"HTTP/1.0", b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"Expect: 100-continue\r\n",
        b'--b\r\nContent-Disposition: form-data; name="policy"\r\n\r\ne30=\r\n', b'; filename="f"',
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
        b"Host: a\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Trailer: x\r\n",
        b"Set-Cookie: a=b\r\n", b"Set-Cookie: a=b; HttpOnly\r\n", b"Location: http://api.test/v1/users/8\r\n",
        b"Accept: application/xml\r\n", b"Cookie: a=b; c=the-token\r\n", b"/..", b"/%2e%2e", b"%25", b"/v1/users",
        b"GET /v1/users HTTP/1.1\r\nHost: a\r\n\r\n", b"Authorization: Bearer the-token\r\n",
        b"Authorization: Basic eDp0aGUtdG9rZW4=\r\n", b"X-Api-Key: the-token\r\n",
        b'{"access_token":"x","expires_in":9}', SAID, *SPELLINGS,
    ),
)  # fmt: skip
