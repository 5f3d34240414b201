"""What holds for every relay, whatever it is sent: nothing of the secret, in an error nothing of a server's words."""

from __future__ import annotations

from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.masking import spellings

from .canary import CANARY, disguises
from .scripted_streams import words_of

# A server of the samples says it wherever it may say something.
SAID = b"s3rver-words"

_DISGUISES = tuple(disguises().values())
_PART = disguises()["part"]
SPELLINGS = tuple(sorted(spellings(CANARY)))


def keeps_quiet(*outputs: bytes | bytearray, told: bytes = b"") -> None:
    """No disguise of the secret is there, unless the other side has `told` it by itself, escaped or not."""
    for output in outputs if _PART not in told else ():
        assert not any(one in output and one not in told for one in _DISGUISES), "the secret"


def is_masked(output: bytes | bytearray) -> None:
    """No spelling of the secret is left, where the server knew it too."""
    assert not any(one in output for one in SPELLINGS), "the secret"


def is_ours(error: ConnvaultError) -> None:
    """What is told of a failure."""
    words = words_of(error)
    assert SAID.decode() not in words, "the server's words"
    keeps_quiet(words.encode("utf-8", "backslashreplace"))
