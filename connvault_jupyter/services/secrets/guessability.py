"""Whether a secret may be masked: only if nobody can guess it. Judges a text; knows no connection.

Masking confirms guesses: whoever sends a text through a service that echoes it sees whether it comes back masked. It
also changes responses, so a secret that is a word would corrupt ordinary ones (`redis` in `redis-py`), which code may
store again. So a secret that could be guessed, or could occur in ordinary text, is not masked at all.

The estimate is deliberately low: a secret taken for weak is merely not masked. It follows what guessing programs try
first (zxcvbn, Wheeler 2016): words, years, sequences, repetitions, few kinds of characters.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress

# Below that, the search would react to parts of a secret that are short enough to be tried one by one.
MIN_CHARS = 16

# A service echoes at most some millions of guesses a second: 2^72 of them take millions of years.
MIN_BITS = 72.0

# The search compares a part of the secret first, and timing could show whether a guess of that part was right. A block
# holds ten thousand guesses, so tens of millions a second: some months without a pause, by an estimate that is far too
# low for random characters. With a higher limit, one random secret in eight would stay unmasked.
_MIN_PART_BITS = 48.0

# Such a part ends at the secret's end, or up to this many bytes before it.
_PART_ENDS = 7

# A random text hardly has fewer different characters (there are 16 hexadecimal digits).
_MIN_DISTINCT = 8

_PART = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{3,}|(?:19|20)[0-9]{2}|.", re.DOTALL)

# A word has one of these vowels.
_VOWEL = re.compile("[aeiouyAEIOUY]")

# A word from a list such as Diceware's, which has 7,776.
_WORD_BITS = 12.0
_AGAIN_BITS = 1.0
_YEAR_BITS = 6.0
# English has little more than one bit per letter (Shannon 1951); several words written together count like that.
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
    """Whether responses that contain it may be masked."""
    return (
        len(secret) >= MIN_CHARS
        and len(set(secret)) >= _MIN_DISTINCT
        and bits(secret) >= MIN_BITS
        and all(bits(part) >= _MIN_PART_BITS for part in _compared_first(secret))
    )


def compared_bytes(length: int, *, in_base64: bool = False) -> int:
    """How many bytes of a pattern of this length are compared before the rest (`relays.masking.search`). A byte of
    Base64 has six bits."""
    if length >= 31:
        return min(40, (length - 7) // 8 * 8)
    return 20 if in_base64 or length >= 24 else 16


def read_length(length: int) -> int:
    """The length of a secret as read, in which two characters that look like an escape are read as one."""
    return max(MIN_CHARS, length - 1)


def _compared_first(secret: str) -> Iterator[str]:
    """The part that is compared first, at its shortest."""
    raw, length = secret.encode(), len(secret)
    size = min(compared_bytes(length), compared_bytes(base64_length(length), in_base64=True) * 3 // 4)
    for end in (max(size, len(raw) - _PART_ENDS), len(raw)):
        yield raw[end - size : end].decode(errors="ignore")


def base64_length(length: int) -> int:
    """The number of whole Base64 characters for that many bytes, or one less."""
    return length * 4 // 3 - 1


def bits(secret: str) -> float:
    """The approximate entropy in bits, rather too low: that of the most guessable reading."""
    return min(_bits(reading) for reading in _readings(secret))


def _readings(secret: str) -> Iterator[str]:
    """The text itself; with letters for the digits and signs that replace them; two interleaved sequences (`1q2w3e4r`)
    taken apart; and the text of which it is the Base64."""
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
            # A repeated word adds nothing; separators are mostly the same.
            found += _AGAIN_BITS
        elif word in _COMMON:
            found += _COMMON_BITS
        elif len(part) > 1 and part.isdigit():
            found += _YEAR_BITS
        elif len(part) > 1 and _VOWEL.search(part):
            guessed = max(_WORD_BITS, _LETTER_BITS * len(part)) + _AGAIN_BITS * (part != word)
            found += min(guessed, alphabet * len(part))
        elif len(part) > 1 or step != last_step or abs(step) > 1:
            # From the third on, the characters of a sequence (`aaa`, `123`, `cba`) add nothing.
            found += alphabet * len(part)
        seen.add(word)
        before = part
    return found


def _period(secret: str) -> str:
    """The repeated part, once."""
    at = (secret + secret).find(secret, 1)
    return secret[:at]


def _step(before: str, part: str) -> int:
    """The distance from one character to the next; large if there is none."""
    return ord(part) - ord(before) if len(before) == len(part) == 1 else 1000


def _alphabet_bits(secret: str) -> float:
    """The bits of one character among all characters of the kinds used."""
    if _HEXADECIMAL.fullmatch(secret):
        return 4.0 if re.search("[a-fA-F]", secret) else math.log2(10)
    kinds = ((r"[a-z]", 26), (r"[A-Z]", 26), (r"[0-9]", 10), (r"[^a-zA-Z0-9]", 12))
    return math.log2(sum(size for kind, size in kinds if re.search(kind, secret)))
