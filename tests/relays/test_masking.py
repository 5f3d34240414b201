"""Masking: a whole secret in every spelling, and nothing that is less; everything else stays as it is."""

from __future__ import annotations

import base64
import hmac
import json
import random
import string
import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from connvault_jupyter.relays import zygote_client
from connvault_jupyter.relays.masking.masker import Masker
from connvault_jupyter.relays.masking.search import Pattern, Search
from connvault_jupyter.relays.masking.spellings import patterns, read_patterns
from connvault_jupyter.services.secrets import guessability
from connvault_jupyter.services.secrets.guessability import MIN_CHARS, base64_length, compared_bytes
from tests.support.canary import CANARY
from tests.support.relays.secret_spellings import spellings

SECRETS = (
    CANARY,
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    's3cr3t/päss+w"ord=q9Z\\x7',
    "%41vK+7Rz2mXw9TbL4nYc=",
    "Zx9-vKq7Rz2mXw9T",
    # As long as a JSON Web Token.
    "eyJhbGciOiJIUzI1NiJ9." + "vKq7Rz2mXw9TbL4nYc6JdH8fGa3-" * 20,
)
SPELLED = [(secret, name, form) for secret in SECRETS for name, form in spellings(secret).items()]
NAMES = [f"{secret[:6]} {name}" for secret, name, _ in SPELLED]


def stars(form: bytes) -> bytes:
    """Line ends and NULs are no characters of it."""
    return bytes(byte if byte in b"\0\r\n" else 0x2A for byte in form)


@pytest.mark.parametrize(("secret", "form"), [(one, form) for one, _, form in SPELLED], ids=NAMES)
@pytest.mark.parametrize("pad", [0, 1, 7, 1000, 70_000])
def test_a_secret_is_masked_in_every_spelling(secret: str, form: bytes, pad: int) -> None:
    """Wherever it stands, length for length, and nothing around it."""
    before, after = b"<" * pad + b"{", b"}" + b">" * pad
    assert Masker([secret]).whole(before + form + after) == before + stars(form) + after


@pytest.mark.parametrize(("secret", "form"), [(one, form) for one, _, form in SPELLED], ids=NAMES)
def test_what_is_less_than_the_whole_secret_is_left(secret: str, form: bytes) -> None:
    """Without its last or first characters, in any spelling: no reaction to parts."""
    for part in (form[: len(form) * 9 // 10], form[len(form) // 10 :], form[: len(form) // 2] + b"~" * 40):
        assert Masker([secret]).whole(part) == part


@given(st.binary(max_size=3000))
@example(b"\\" * 50)
@example(b"\\u" + b"&#" + b"%" * 9)
@example(b"\\ud83d\\ude00 \\ud83d \\ude00\\ud83d")
@example(b"%2" + b"&#x;&;&" + b"\\u12")
def test_content_without_the_secret_stays_as_it_is(data: bytes) -> None:
    """Also what looks like the beginning of an escape, or ends in the middle of one."""
    assert Masker(SECRETS).whole(data) == data


@settings(max_examples=300)
@given(
    st.sampled_from(SPELLED),
    st.text(alphabet='ab\\"%&+u0024;#xn/\0\n é', max_size=60),
    st.text(alphabet='ab\\"%&+u0024;#xn/\0\n é', max_size=60),
    st.integers(0, 2000),
)
def test_a_secret_among_escapes_is_masked(
    spelled: tuple[str, str, bytes], before: str, after: str, pad: int
) -> None:
    """Unless what is before or after it makes something else of it: that is what a reader would see, too."""
    secret, name, form = spelled
    edge = "." * 12
    data = b"x" * pad + (before + edge).encode() + form + (edge + after).encode()
    found = Masker([secret]).whole(data)
    at = pad + len((before + edge).encode())
    assert found[at : at + len(form)] == stars(form), name
    assert found[:at] + found[at + len(form) :] == data[:at] + data[at + len(form) :]


@pytest.mark.parametrize("user", ["u", "us", "use", "someone@example.com"])
def test_a_secret_in_the_middle_of_base64_is_masked(user: str) -> None:
    """`user:password` in Base64 has the password at a place that depends on the user's length."""
    text = base64.b64encode(f"{user}:{CANARY} and more".encode())
    found = Masker([CANARY]).whole(text)
    assert len(found) == len(text)
    assert found.count(b"*") >= len(CANARY) * 8 // 6 - 2
    assert CANARY.encode() not in base64.b64decode(found.replace(b"*", b"A"))


def test_a_secret_in_mime_lines_is_masked_and_the_lines_stay() -> None:
    """RFC 2045's 76 characters and PEM's 64."""
    content = (b"x" * 50 + CANARY.encode() + b"y" * 100) * 2
    for width in (64, 76):
        text = base64.b64encode(content)
        lines = b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))
        found = Masker([CANARY]).whole(lines)
        assert [len(line) for line in found.split(b"\r\n")] == [len(line) for line in lines.split(b"\r\n")]
        assert found.count(b"*") >= 2 * (len(CANARY) * 8 // 6 - 2)


@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize("place", [0, -1])
def test_what_is_another_in_base64_by_a_few_bits_is_left(offset: int, place: int) -> None:
    """By those of its first or last character that stand in one with its neighbours'."""
    other = bytearray(CANARY.encode())
    other[place] ^= 0x40 if place == 0 else 0x01
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(b"u:x"[:offset] + bytes(other) + b" more")
        for data in (text, text.replace(b"+", b"%2B"), b"-" * 1000 + text):
            assert Masker([CANARY]).whole(data) == data


@pytest.mark.parametrize("form", ["as it is", "in base64"])
def test_a_secret_that_is_read_as_much_less_is_masked_as_it_stands(form: str) -> None:
    """Many of its characters look like escapes: spelled once more it may not be found."""
    secret = "%41%42vK&lt;7Rz&amp;mXw9Tb\\u0041="
    data = secret.encode() if form == "as it is" else base64.b64encode(secret.encode())
    assert not data.endswith(b"==")
    assert Masker([secret]).whole(b"<" + data + b">") == b"<" + stars(data) + b">"


LENGTHS = (16, 17, 19, 22, 23, 24, 30, 31, 34, 39, 40, 47, 64, 93, 700)


def alike(length: int) -> list[str]:
    """Of so many characters, with every kind of them in it."""
    chance = random.Random(length)  # noqa: S311 -- the same in each run
    text = "".join(chance.choice(string.ascii_letters + string.digits) for _ in range(length))
    odd = [
        "%41",
        "%2541",
        "\\u0041",
        "\\x41",
        "\\n",
        "\\\\",
        "&amp;",
        "&#65;",
        "&#x41;",
        "+",
        "\\",
        "%",
        "&",
        "/",
        "\r\n",
    ]
    odd += ["\u00e9", "\u4e2d", "\U0001f600", "\u0100", " ", '"']
    found = [text, text[::-1], text[1:] + text[:1]]
    for part in odd:
        found += [
            part + text[len(part) :],
            text[: -len(part)] + part,
            text[:5] + part + text[5 + len(part) :],
        ]
        found.append((text[: max(1, 9 - len(part))] + part) * length)
    return [one[:length] for one in found]


def shape(secret: str) -> list[list[tuple[int, int, int, int]]]:
    """Of what looks for it: the runs, and how many there are of each."""
    return [
        sorted(
            (runs.stride, runs.size, len(runs.seen), sum(map(len, runs.seen.values())))
            for runs in Search(found)._runs
        )
        for found in (patterns(secret), read_patterns(secret))
    ]


@pytest.mark.parametrize("length", LENGTHS)
def test_what_looks_for_a_secret_has_the_same_shape_for_all_of_one_length(length: int) -> None:
    """Whatever is in them: what looks like an escape, what is not ASCII, what Base64 has no `+` of."""
    shapes = [shape(secret) for secret in alike(length)]
    assert [one for one in shapes if one != shapes[0]] == []


@pytest.mark.parametrize("length", LENGTHS)
def test_all_patterns_have_the_length_that_is_said_of_them(length: int) -> None:
    """And their runs are those that the guess of a part is judged by."""
    for secret in alike(length):
        for found in (patterns(secret), read_patterns(secret)):
            for pattern in found:
                assert pattern.fits
                assert pattern.run in (
                    compared_bytes(length),
                    compared_bytes(base64_length(length), in_base64=True),
                )


@pytest.mark.parametrize("length", [16, 17, 18, 20, 23, 24, 30, 31, 40, 93])
def test_nothing_is_compared_in_full_for_a_part_that_could_be_guessed(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any part of it that is shorter than what its guess is judged by, again and again, in each spelling; but for more
    than that it is: the control."""
    compared: list[bytes] = []

    def compare(one: bytes, _other: bytes) -> bool:
        compared.append(one)
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    secret = next(one for one in alike(length) if guessability.maskable(one))
    mask = Masker([secret])
    least = min(map(len, guessability._compared_first(secret)))
    for start in range(length - least + 2):
        part = secret[start : start + least - 1].encode()
        for spelled in (part, *(base64.b64encode(part + part[:end]).rstrip(b"=") for end in range(3))):
            # At each place of a word.
            data = (spelled + b"~" + spelled + b"~~") * 20
            mask.whole(data)
            mask.whole(data[:600])
    assert compared == []
    mask.whole(secret.encode())
    assert compared


def test_several_at_once_are_all_masked() -> None:
    """Also where one is a part of another."""
    short, long = "vKq7Rz2mXw9TbL4n", "vKq7Rz2mXw9TbL4nYc6JdH8f"
    data = f"{short} {long} {short}{long}".encode()
    assert Masker([short, long]).whole(data) == b"*" * 16 + b" " + b"*" * 24 + b" " + b"*" * 40


def test_json_stays_json() -> None:
    """What is masked in it is a string as before."""
    shown = json.loads(Masker([CANARY]).whole(json.dumps({"Authorization": f"Bearer {CANARY}"}).encode()))
    assert set(shown["Authorization"].removeprefix("Bearer ")) == {"*"}


@pytest.mark.parametrize("secret", ["abc", "redis", "hunter2hunter2hunter2", "correct horse", "a" * 60])
def test_what_can_be_guessed_is_not_masked(secret: str) -> None:
    """Masking it would confirm the guess, and spoil ordinary words."""
    mask = Masker([secret])
    assert not mask
    assert mask.whole(f"-{secret}-".encode()) == f"-{secret}-".encode()
    assert mask.sights == 0


def test_a_sight_is_told() -> None:
    """Once for each piece in which there was one, before anybody has it."""
    told: list[int] = []
    mask = Masker([CANARY], sighted=lambda: told.append(1))
    mask.whole(CANARY[:-1].encode())
    assert told == []
    mask.whole((CANARY * 3).encode())
    assert told == [1]
    assert mask.sights == 1


@st.composite
def patterns_and_content(draw: st.DrawFn) -> tuple[set[bytes], bytes]:
    alphabet = draw(st.sampled_from([b"a", b"ab", bytes(range(256))]))
    piece = st.lists(st.sampled_from(list(alphabet)), min_size=MIN_CHARS, max_size=80).map(bytes)
    wanted = draw(st.sets(piece, min_size=1, max_size=6))
    parts = draw(st.lists(st.one_of(st.sampled_from(sorted(wanted)), st.binary(max_size=30)), max_size=12))
    filler = draw(st.sampled_from([0, 600, 140_000]))
    return wanted, b"".join(parts[:6]) + b"a" * filler + b"".join(parts[6:])


@settings(max_examples=200, deadline=None)
@given(patterns_and_content())
def test_the_search_finds_what_the_plainest_one_finds(case: tuple[set[bytes], bytes]) -> None:
    """For any content, short or long, periodic or not."""
    wanted, data = case
    assume(data.count(b"a" * 100) < 10 or not any(set(one) == {0x61} for one in wanted))
    assert sorted(search_for(wanted).spans(data)) == sorted(_plain_spans(wanted, data))


def search_for(wanted: Iterable[bytes]) -> Search:
    return Search(Pattern(one, len(one), compared_bytes(len(one))) for one in wanted)


def _plain_spans(wanted: set[bytes], data: bytes) -> Iterator[tuple[int, int]]:
    for pattern in wanted:
        at = data.find(pattern)
        while at >= 0:
            yield at, at + len(pattern)
            at = data.find(pattern, at + 1)


def test_patterns_by_the_thousand_are_all_found() -> None:
    """They share a few tables."""
    wanted = {f"{number:05}-vKq7Rz2mXw9TbL4n-{number * 7919 % 99991:05}".encode() for number in range(3000)}
    made = search_for(wanted)
    data = b"\n".join(sorted(wanted))
    assert {data[start:end] for start, end in made.spans(data)} == wanted
    assert not [*made.spans(data.replace(b"L4n-", b"L4m-"))]


_FAULTS = """
import resource
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.masking.holding import Holding
from connvault_jupyter.relays.masking.masker import Masker

held = Holding(Masker(["Kq3mZ8vXw1Lr5tNy7Bd2Hc9Pf4Gs6Jk0Qa8Ue3Wi", "eyJhbGciOiJIUzI1NiJ9." * 20]), lines=False)
block = b"0123456789abcdef" * (LIMITS.block_bytes // 16)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_download_is_looked_through_in_memory_that_is_there() -> None:
    """A worker's malloc keeps what a block needs: a page from the system costs as much as looking through it."""
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS],
        env=zygote_client.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 20
