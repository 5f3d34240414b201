"""The credential in an answer: masked in every spelling, however it is framed, coded and cut. No sockets."""

from __future__ import annotations

import functools
import gzip
import itertools
import math
import zlib
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connvault_jupyter.relays.http import response
from connvault_jupyter.relays.http.bodies import Chunked, chunk, last_chunk
from connvault_jupyter.relays.http.heads import END, RequestHead, request_head, response_head
from connvault_jupyter.relays.http.response import Response
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.masking import holding
from connvault_jupyter.relays.masking.masker import Masker
from tests.support.canary import CANARY
from tests.support.relays.scripted_streams import replaced
from tests.support.relays.secret_spellings import spellings

SECRETS = (CANARY, "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "a\u00fcb&<>'\"/ +%=~q9Zx")
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    # Without zlib's frame; `compress` knows no `wbits` before Python 3.11.
    "raw": lambda data: zlib.compress(data)[2:-4],
    "members": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
}
ASKED = request_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


class Pieces:
    """An exchange whose upstream says these bytes, and then ends."""

    uploading = False

    def __init__(self, wire: bytes, cuts: list[int]) -> None:
        places = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
        self._pieces = [wire[start:end] for start, end in itertools.pairwise(places)]
        self.out = b""

    def receive(self, _until: float = math.inf) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def answer(self, data: bytes) -> None:
        assert data
        self.out += data

    def finish(self) -> bool:
        return True


class Noted(Pieces):
    """Notes what is answered at once."""

    def __init__(self, wire: bytes, cuts: list[int]) -> None:
        super().__init__(wire, cuts)
        self.answers: list[bytes] = []

    def answer(self, data: bytes) -> None:
        super().answer(data)
        self.answers.append(data)


# As a relay keeps it from answer to answer: making one costs as much as a small answer.
masker = functools.cache(lambda secret: Masker([secret]))


def pass_on(exchange: Pieces, secret: str, request: RequestHead) -> None:
    """As a session does it, with an upstream that logs in with this secret."""
    answer = Response(
        exchange,  # type: ignore[arg-type]
        request=request,
        mask=masker(secret),
        for_client=list,
        upgrade="",
        stored=False,
        limits=LIMITS,
    )
    answer.read_head()
    assert answer.pass_on()


def passed(wire: bytes, cuts: list[int], secret: str, request: RequestHead = ASKED) -> tuple[bytes, bytes]:
    """Head and content as the client has them; it is checked that they are framed as they say."""
    exchange = Pieces(wire, cuts)
    pass_on(exchange, secret, request)
    head, _, body = exchange.out.partition(END)
    found = response_head(head + END)
    if found.framing == "chunked":
        chunks = Chunked()
        body = chunks.feed(body)
        assert chunks.over
        assert chunks.rest == b""
    else:
        assert found.length == len(body)
    return head, body


def framed(content: bytes, framing: str, size: int, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", *headers]
    if framing == "length":
        lines.append(f"Content-Length: {len(content)}")
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        content = b"".join(chunk(content[at : at + size]) for at in range(0, len(content), size))
        content += last_chunk([])
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def forms() -> list[tuple[str, bytes]]:
    return [(secret, form) for secret in SECRETS for form in sorted({*spellings(secret).values()})]


def stars(form: bytes) -> bytes:
    """Line ends and NULs are no characters of it."""
    return bytes(byte if byte in b"\0\r\n" else 0x2A for byte in form)


@given(
    st.sampled_from(forms()),
    st.sampled_from(["length", "chunked", "close"]),
    st.sampled_from(sorted(CODINGS)),
    st.text(alphabet="ab {}:,\n\u00fc", max_size=120).map(str.encode),
    st.text(alphabet="ab {}:,\n\u00fc", max_size=120).map(str.encode),
    st.integers(1, 90),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_an_echo_is_masked_wherever_it_is_cut(
    secret_and_form: tuple[str, bytes],
    framing: str,
    coding: str,
    before: bytes,
    after: bytes,
    size: int,
    cuts: list[int],
) -> None:
    """Length for length, and nothing else is changed."""
    secret, form = secret_and_form
    # A number of HTML without its `;` goes on with the digits that follow it.
    assume(form.endswith(b";") or b"&#" not in form or not after[:1].isalnum())
    content = before + form + after
    headers = (
        [] if not coding else [f"Content-Encoding: {'gzip' if coding in ('gzip', 'members') else 'deflate'}"]
    )
    wire = framed(CODINGS[coding](content), framing, size, *headers)
    head, body = passed(wire, cuts, secret)
    assert len(body) == len(content)
    assert body[len(before) : len(before) + len(form)] == stars(form)
    assert body[: len(before)] + body[len(before) + len(form) :] == before + after
    assert b"content-encoding" not in head.lower()


@pytest.mark.parametrize(("secret", "form"), forms())
def test_every_single_cut(secret: str, form: bytes) -> None:
    """At each place of each spelling, with a length and in chunks of one byte."""
    for framing in ("length", "chunked"):
        wire = framed(b"<" + form + b">", framing, 1)
        for cut in range(len(wire)):
            _, body = passed(wire, [cut], secret)
            assert body == b"<" + stars(form) + b">"


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_coded_answer_at_every_single_cut(coding: str) -> None:
    """After its first byte too, when nobody can tell yet whether deflate has zlib's frame."""
    name = "gzip" if coding in ("gzip", "members") else "deflate"
    content = b"<" + CANARY.encode() + b">" + bytes(range(60))
    wire = framed(CODINGS[coding](content), "close", 1, *([f"Content-Encoding: {name}"] if coding else []))
    for cut in range(len(wire)):
        _, body = passed(wire, [cut], CANARY)
        assert body == content.replace(CANARY.encode(), b"*" * len(CANARY))


@pytest.mark.parametrize(
    ("secret", "form"), [(secret, form) for secret, form in forms() if not {*b"\0\r\n"} & {*form}]
)
def test_a_header_that_echoes_is_masked(secret: str, form: bytes) -> None:
    """In its value, and in the reason."""
    text = form.decode("latin-1")
    wire = f"HTTP/1.1 200 It was {text}\r\nX-Echo: {text}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    head, _ = passed(wire, [], secret)
    assert form not in head
    assert b"*" * len(form.strip()) in head


@pytest.mark.parametrize(
    "secret",
    [
        "Zx9: vKq7Rz2mXw9TbL4n: pW3x",
        "Echo: vKq7Rz2mXw9TbL4n",
        ": vKq7Rz2mXw9TbL4nZx",
        "o: vKq7Rz2mXw9TbL4nZ:",
    ],
)
def test_a_header_whose_secret_has_a_colon_in_it_stays_a_header(secret: str) -> None:
    """Where its name ends and its value begins, also where a secret goes over both."""
    lines = [f"X-Echo: {secret}", f"X{secret}", f"X-Other: a: {secret}!", "X-Last: 1"]
    wire = "\r\n".join(["HTTP/1.1 200 OK", *lines, "Content-Length: 0", "", ""]).encode()
    head, _ = passed(wire, [], secret)
    said = [(len(name), len(value)) for name, value in response_head(wire).headers]
    shown = response_head(head + END).headers
    assert [(len(name), len(value)) for name, value in shown if name != "X-Connvault-Masked"] == said
    assert secret.encode() not in head


@pytest.mark.parametrize("cut", range(1, 20, 6))
def test_a_header_is_masked_for_itself(cut: int) -> None:
    """What one ends with and the next one begins with is no secret, though together they would be."""
    secret = "vKq7Rz2mXw9TbL4nZx8q"
    lines = ["HTTP/1.1 200 OK", f"X-Said: {secret[:cut]}", f"{secret[cut:]}: 1", "Content-Length: 0", "", ""]
    wire = "\r\n".join(lines).encode()
    head, _ = passed(wire, [], secret)
    assert f"X-Said: {secret[:cut]}\r\n{secret[cut:]}: 1\r\n".encode() in head


class Slow(Pieces):
    """Nothing comes while something is held back, until its time is up."""

    def __init__(self, wire: bytes, cuts: list[int]) -> None:
        super().__init__(wire, cuts)
        self._waited = False

    def receive(self, until: float = math.inf) -> bytes | None:  # type: ignore[override]
        self._waited = not self._waited and until < math.inf
        return None if self._waited else super().receive()


def told(content: bytes, cuts: list[int], secret: str, *headers: str, slow: bool) -> list[bytes]:
    """What a client is sent, write for write; of a server that is slow to say the next piece, or not."""
    exchange = (Slow if slow else Pieces)(framed(content, "close", 1, *headers), cuts)
    writes: list[bytes] = []
    exchange.answer = writes.append  # type: ignore[method-assign, assignment]
    with replaced(holding, HOLD_S=0.0 if slow else 60.0), replaced(response, HOLD_S=0.0 if slow else 60.0):
        pass_on(exchange, secret, ASKED)
    return writes


A, B = "vKq7Rz2mXw9TbL4nYc6JdH8fGa3", "pW3xQs8ZkM5rDt1HvBn7Jf4LgYc"


@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.integers(1, len(A) - 1).map(lambda end: A[:end].encode())),
        max_size=9,
    ),
    st.lists(st.integers(0, 400), max_size=6),
    st.sampled_from(["text/event-stream", "text/plain", "application/json", "image/png"]),
    st.booleans(),
)
def test_two_secrets_leave_the_same_traces(
    parts: list[bytes], cuts: list[int], kind: str, slow: bool
) -> None:
    """Bytes, boundaries, order: for content with any part of one of them, but not all of it."""
    content = b"|".join(parts)
    headers = (f"Content-Type: {kind}",)
    assert told(content, cuts, A, *headers, slow=slow) == told(content, cuts, B, *headers, slow=slow)


@pytest.mark.parametrize("slow", [True, False])
def test_the_search_for_a_difference_finds_one(slow: bool) -> None:
    """With all of one of them, as it must be; else the test above would prove nothing."""
    content = b"<" + A.encode() + b">"
    assert told(content, [], A, slow=slow) != told(content, [], B, slow=slow)


def test_a_head_that_waits_no_longer_tells_what_is_masked_of_what_is_held() -> None:
    """The content is there, and its own time is not up."""
    exchange = Pieces(framed(CANARY.encode(), "close", 1), [])
    with replaced(holding, HOLD_S=60.0), replaced(response, HOLD_S=0.0):
        pass_on(exchange, CANARY, ASKED)
    assert b"X-Connvault-Masked: 1" in exchange.out.partition(END)[0]


def test_a_bomb_is_passed_on_piece_by_piece() -> None:
    """A megabyte of zeros is a kilobyte of gzip; no piece is larger than a block and its frame."""
    content = bytes(8 << 20)
    wire = framed(gzip.compress(content), "length", 1, "Content-Encoding: gzip")
    exchange = Pieces(wire, [])
    sizes: list[int] = []
    exchange.answer = lambda data: sizes.append(len(data))  # type: ignore[method-assign]
    pass_on(exchange, CANARY, ASKED)
    assert sum(sizes) > len(content)
    assert max(sizes) <= 2 * LIMITS.block_bytes + 1000


def in_data(kind: str, place: int, *, framing: str = "length", coding: str = "") -> bytes:
    """What a client has of an answer of this type that has the secret at a place, and half as much behind it."""
    content = b"x" * place + CANARY.encode() + b"y" * (place // 2)
    headers = [f"Content-Type: {kind}", *([f"Content-Encoding: {coding}"] if coding else [])]
    wire = framed(CODINGS[coding](content), framing, 65_536, *headers)
    _, body = passed(wire, [*range(0, len(wire), 50_000)], CANARY)
    assert len(body) == len(content)
    return body


FAR = 3 * response.DATA_LOOK_BYTES


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize(
    "kind",
    [
        "application/octet-stream",
        "Application/ZIP; x=y",
        "image/png",
        "application/vnd.apache.parquet",
        "binary/octet-stream",
    ],
)
def test_of_a_file_the_beginning_is_searched(kind: str, framing: str, coding: str) -> None:
    """A megabyte: what a program downloads arrives as fast as without a search, and as it is."""
    near = response.DATA_LOOK_BYTES - 200
    assert CANARY.encode() not in in_data(kind, near, framing=framing, coding=coding)
    assert CANARY.encode() in in_data(kind, FAR, framing=framing, coding=coding)


@pytest.mark.parametrize(
    "kind",
    ["text/csv", "application/json", "application/problem+json", "image/svg+xml", "application/xml", "x", ""],
)
def test_of_text_and_of_what_does_not_say_what_it_is_all_is_searched(kind: str) -> None:
    """However long it is."""
    assert CANARY.encode() not in in_data(kind, FAR)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_where_the_search_ends_does_not_depend_on_the_secret(framing: str) -> None:
    """Cut at each place around the end, with a secret of equal length there or none of it: the same bytes at the same
    time."""
    content = b"a" * (response.DATA_LOOK_BYTES - 64) + b"b" * 40_000
    wire = framed(content, framing, 4096, "Content-Type: application/zip")
    told = []
    for secret in (CANARY, "a" + CANARY[1:][::-1]):
        exchange = Noted(wire, [*range(0, len(wire), 3001)])
        pass_on(exchange, secret, ASKED)
        told.append(exchange.answers)
    assert told[0] == told[1]
    assert b"".join(told[0]).count(b"a") >= response.DATA_LOOK_BYTES - 64
