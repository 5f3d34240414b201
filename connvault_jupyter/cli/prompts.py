"""Asks a person on the terminal. A secret is never an argument, which everybody on the machine sees."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from ..errors import InvalidRequest

_TERMINAL = Path("/dev/tty")

_NO_TERMINAL = (
    "There is no terminal to ask on. Give what would be asked for on the standard input, one a line, with "
    "--passphrase-stdin."
)
_NOT_TEXT = (
    "What was given is not text in this terminal's encoding. Set the right one (LANG), then try again."
)
_NOTHING = "Nothing was typed, so nothing was done."
_NO_LINE = "The standard input has fewer lines than there are passphrases to give: {what} is missing."


class Prompts:
    """Asks on /dev/tty without echo, or takes the next line of the standard input."""

    def __init__(self, *, from_stdin: bool) -> None:
        self._stdin: TextIO | None = sys.stdin if from_stdin else None

    @property
    def has_person(self) -> bool:
        """Whether a question can be answered."""
        return self._stdin is None

    def secret(self, what: str) -> str:
        """`what`: what is asked for, as in "Passphrase of the file". Raises: InvalidRequest."""
        try:
            given = self._asked(what) if self._stdin is None else self._next_line(self._stdin, what)
            # What Python could not decode may be in it as surrogates.
            given.encode()
        except UnicodeError:
            # Its text and its frames quote what was given.
            raise InvalidRequest(_NOT_TEXT) from None
        return given

    def new_secret(self, what: str) -> str:
        """As `secret`, typed twice by a person. Raises: InvalidRequest."""
        typed = self.secret(what)
        if self._stdin is None and self.secret(f"{what}, again") != typed:
            raise InvalidRequest("The two passphrases differ. Nothing was changed.")
        return typed

    def agrees(self, lines: Sequence[str]) -> bool:
        """Shows the lines, of which the last is a question; whether the person says yes. Raises: InvalidRequest."""
        self._check_terminal()
        shown = "\n".join(printable(line) for line in lines)
        with _TERMINAL.open("r+b", buffering=0) as terminal:
            terminal.write(f"{shown} [y/N] ".encode())
            return terminal.readline().strip().lower() in (b"y", b"yes")

    def _asked(self, what: str) -> str:
        self._check_terminal()
        try:
            return getpass.getpass(f"{what}: ")
        except EOFError:
            raise InvalidRequest(_NOTHING) from None

    @staticmethod
    def _next_line(stdin: TextIO, what: str) -> str:
        line = stdin.readline()
        if not line:
            raise InvalidRequest(_NO_LINE.format(what=what[0].lower() + what[1:]))
        return line.rstrip("\r\n")

    @staticmethod
    def _check_terminal() -> None:
        # getpass would read the standard input instead, with the echo on.
        try:
            _TERMINAL.open("rb").close()
        except OSError:
            raise InvalidRequest(_NO_TERMINAL) from None


def printable(line: str) -> str:
    """Nothing from outside can move the cursor."""
    return "".join(char if char.isprintable() else "?" for char in line)
