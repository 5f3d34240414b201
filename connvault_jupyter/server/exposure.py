"""Which processes could read what passes through the server's process, how that is prevented, and what people are
told."""

from __future__ import annotations

from dataclasses import dataclass

from ..broker.hardening import become_non_dumpable, closed_at_start, tracer_of
from ..errors import BrokerUnavailable, ConnvaultError, ProcessTraced

_ALLOWED = (
    "Debuggers may attach to this server (non_dumpable_server is off), so any of your programs can read "
    "what passes through it."
)
_ORDINARY = (
    "A program of yours that opened this server's memory while it started can read what passes through it. "
    "`jupyter connvault lab` starts it closed."
)
_NO_WAY = "This system can't close a server's memory to your other programs."

_TRACED = (
    "A debugger is attached to this Jupyter server and could read what is typed, so connvault does not "
    "start. Restart the server without it; ConnvaultExtension.non_dumpable_server = False allows debuggers."
)
_NO_PROC = (
    "This Jupyter server can't read /proc, so a debugger can't be ruled out. Mount /proc and restart it."
)


@dataclass(frozen=True)
class Exposure:
    """`detail`: what a person should know, in a sentence or two; `refusal`: why nothing may be typed here at all."""

    detail: str = ""
    refusal: ConnvaultError | None = None


def looked_at(*, allow_debuggers: bool) -> Exposure:
    """Closes this process to others of its user, unless `allow_debuggers`, and reports how far that protects.

    Once, at the start, is enough: no debugger can attach to a closed process any more. One that is already attached
    could read every typed secret and answer every question, so this fails closed.
    """
    if allow_debuggers:
        return Exposure(_ALLOWED)
    closed = become_non_dumpable()
    try:
        if tracer_of():
            return Exposure(refusal=ProcessTraced(_TRACED))
    except OSError:
        return Exposure(refusal=BrokerUnavailable(_NO_PROC))
    if not closed:
        return Exposure(_NO_WAY)
    return Exposure("" if closed_at_start() else _ORDINARY)
