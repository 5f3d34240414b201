"""What holds for every relay, whatever it is sent: nothing of the secret, in an error nothing of a server's words."""

from __future__ import annotations

import re

from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.downstream import Login, Relay
from connvault_jupyter.relays.limits import Limits

from ..canary import CANARY, disguises
from ..relays.scripted_streams import Scripted, downstream_of, words_of
from ..relays.secret_spellings import spellings

# A server of the samples says it wherever it may say something.
SAID = b"s3rver-words"
# Neither a client nor a server is sent more before a login is over.
LOGIN_BYTES = 16 * 1024

_DISGUISES = tuple(disguises().values())
_PART = disguises()["part"]
# In lines it is not known where lines are passed on one by one.
SPELLINGS = tuple(sorted(form for name, form in spellings(CANARY).items() if "in lines" not in name))
# Of what is no text, escapes are not read.
_PLAIN = tuple(form for name, form in spellings(CANARY).items() if name == "raw" or name.startswith("base64"))
_PLAIN_SPELLINGS = tuple(set(_PLAIN) & set(SPELLINGS))
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r"})


def keeps_quiet(*outputs: bytes | bytearray, told: bytes = b"") -> None:
    """No disguise of the secret is there, unless the other side has `told` it by itself, escaped or not."""
    for output in outputs if _PART not in told else ():
        assert not any(one in output and one not in told for one in _DISGUISES), "the secret"


def is_masked(output: bytes | bytearray) -> None:
    """No spelling of the secret is left, where the server knew it too."""
    text = len(output) == len(output.translate(None, _CONTROLS))
    assert not any(one in output for one in (SPELLINGS if text else _PLAIN_SPELLINGS)), "the secret"


def is_ours(error: ConnvaultError) -> None:
    """What is told of a failure."""
    words = words_of(error)
    assert SAID.decode() not in words, "the server's words"
    keeps_quiet(words.encode("utf-8", "backslashreplace"))


def serve(relay: Relay, client: Scripted, login: Login, *, limits: Limits, over_tcp: bool = False) -> None:
    """To the end, whoever brings it about. An error that reaches the worker is ours."""
    downstream = downstream_of(client, login, limits=limits, over_tcp=over_tcp)
    try:
        relay.serve(downstream)
    except ConnvaultError as exc:
        is_ours(exc)
    except OSError:
        pass
    finally:
        downstream.close()


def log_in(relay: Relay, login: Login, names: str) -> str:
    """The code of the failure, or what a person is told of the server, which is one of the `names` (a pattern)."""
    try:
        name = relay.log_in(login)
    except ConnvaultError as exc:
        is_ours(exc)
        return exc.code
    assert re.fullmatch(names, name)
    return name
