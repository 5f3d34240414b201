"""Whether a secret can be masked: only one that nobody can guess may be. Judges a text; knows no connection.

Masking confirms a guess: whoever sends a text through a service that sends it back sees whether it comes back masked.
And it changes what a server says, so a secret that is a word would spoil ordinary answers (`redis` in `redis-py`),
which are then stored again. So what could be guessed, or could stand in a text by itself, is not masked at all.

The estimate is deliberately low: a secret that is taken for weak is merely not masked. It is made of what guessing
programs try first (zxcvbn, Wheeler 2016): words, years, runs, repetitions, few kinds of characters.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress

# Below that the search would have to react to parts of a secret that are short enough to be tried out.
MIN_CHARS = 16

# A service sends back some millions of guesses a second at most: 2^72 of them take millions of years.
MIN_BITS = 72.0

# What finds a secret compares a part of it first, and whether a guess of that part was right could be seen by the time.
# There is room for ten thousand guesses in a block, so for tens of millions a second: some months without a pause, by
# an estimate that is far too low for random characters. Of those, more would leave one secret in eight unmasked.
_MIN_PART_BITS = 48.0

# Such a part ends at the end, or up to so many bytes before it.
_PART_ENDS = 7

# In a text of random characters there are hardly fewer different ones (hexadecimal digits are 16).
_MIN_DISTINCT = 8

_PART = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{3,}|(?:19|20)[0-9]{2}|.", re.DOTALL)

# Without one, letters are no word.
_VOWEL = re.compile("[aeiouyAEIOUY]")

# A word of a list such as those of Diceware, which has 7,776.
_WORD_BITS = 12.0
_AGAIN_BITS = 1.0
_YEAR_BITS = 6.0
# English has little over one bit a letter (Shannon 1951); several words that are written together count as that.
_LETTER_BITS = 2.0
_COMMON_BITS = 4.0
_COMMON_WORDS = (
    "access account admin amazon api app auth azure backup bearer cache changeme client cloud company "
    "connection connvault data database default demo dev developer development dummy example github "
    "gitlab google guest hello internal jupyter key live local localhost login main manager master mysql "
    "mypassword notebook openai pass passwd password postgres postgresql prod production project public "
    "qwerty readonly redis root secret secure server service session staging super supersecret sys system "
    "temp test testing token user username valkey vault very web welcome your"
)
_COMMON = frozenset(_COMMON_WORDS.split())

_HEXADECIMAL = re.compile(r"[0-9a-f-]+|[0-9A-F-]+")

_LETTERS = str.maketrans("4@30$51!7", "aaeossiit")


def maskable(secret: str) -> bool:
    """Whether answers that tell it may be masked."""
    return (
        len(secret) >= MIN_CHARS
        and len(set(secret)) >= _MIN_DISTINCT
        and bits(secret) >= MIN_BITS
        and all(bits(part) >= _MIN_PART_BITS for part in _compared_first(secret))
    )


def compared_bytes(length: int, *, in_base64: bool = False) -> int:
    """How much of a pattern of so many bytes is compared before the rest of it (`relays.masking.search`). Base64 has
    six bits in each of them."""
    if length >= 31:
        return min(32, (length - 7) // 8 * 8)
    return 20 if in_base64 or length >= 24 else 16


def read_length(length: int) -> int:
    """Of a secret of so many characters, two of which look like an escape and are read as one."""
    return max(MIN_CHARS, length - 1)


def _compared_first(secret: str) -> Iterator[str]:
    """The least that is."""
    raw, length = secret.encode(), len(secret)
    size = min(compared_bytes(length), compared_bytes(base64_length(length), in_base64=True) * 3 // 4)
    for end in (max(size, len(raw) - _PART_ENDS), len(raw)):
        yield raw[end - size : end].decode(errors="ignore")


def base64_length(length: int) -> int:
    """Of the whole characters of Base64 that as many are in, or one less than that."""
    return length * 4 // 3 - 1


def bits(secret: str) -> float:
    """About how many yes-or-no questions a guess takes, rather too few: those of the reading that takes the fewest."""
    return min(_bits(reading) for reading in _readings(secret))


def _readings(secret: str) -> Iterator[str]:
    """As it is; with letters for the digits and signs that stand for them; two runs that were woven into one
    (`1q2w3e4r`); and the text that it is the Base64 of."""
    yield secret
    if not _HEXADECIMAL.fullmatch(secret):
        yield secret.translate(_LETTERS)
    yield secret[::2] + secret[1::2]
    with suppress(ValueError):
        text = b64decode(secret + "=" * (-len(secret) % 4), validate=True).decode("ascii")
        if text.isprintable() and text:
            yield text


def _bits(secret: str) -> float:
    found, step, before = 0.0, 0, ""
    seen: set[str] = set()
    alphabet = _alphabet_bits(secret)
    for part in _PART.findall(_period(secret)):
        word = part.lower()
        step, last_step = _step(before, part), step
        if word in seen and (len(part) > 1 or not part.isalnum()):
            # It was thought of before; what separates words is mostly the same.
            found += _AGAIN_BITS
        elif word in _COMMON:
            found += _COMMON_BITS
        elif len(part) > 1 and part.isdigit():
            found += _YEAR_BITS
        elif len(part) > 1 and _VOWEL.search(part):
            guessed = max(_WORD_BITS, _LETTER_BITS * len(part)) + _AGAIN_BITS * (part != word)
            found += min(guessed, alphabet * len(part))
        elif len(part) > 1 or step != last_step or abs(step) > 1:
            # Not the third of a run (`aaa`, `123`, `cba`).
            found += alphabet * len(part)
        seen.add(word)
        before = part
    return found


def _period(secret: str) -> str:
    """What it consists of, once."""
    at = (secret + secret).find(secret, 1)
    return secret[:at]


def _step(before: str, part: str) -> int:
    """From one character to the next; a large one where either is none."""
    return ord(part) - ord(before) if len(before) == len(part) == 1 else 1000


def _alphabet_bits(secret: str) -> float:
    """Of one character among those of its kinds."""
    if _HEXADECIMAL.fullmatch(secret):
        return 4.0 if re.search("[a-fA-F]", secret) else math.log2(10)
    kinds = ((r"[a-z]", 26), (r"[A-Z]", 26), (r"[0-9]", 10), (r"[^a-zA-Z0-9]", 12))
    return math.log2(sum(size for kind, size in kinds if re.search(kind, secret)))
