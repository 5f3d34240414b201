"""Splits what a Redis client sends into commands, like the server (RESP, redis.io/docs/reference/protocol-spec).

Most data passes unchanged, large values in the blocks in which they arrive; only commands with a watched name are
assembled and returned. Ambiguous input is refused, so nothing can hide between two commands. It does not interpret
commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

# For an assembled command. An access token used as a password has 3 KiB.
MAX_COMMAND_BYTES = 16 * 1024
MAX_ARGUMENTS = 256

# PROTO_INLINE_MAX_SIZE of the server is 64 KiB.
MAX_INLINE_BYTES = 16 * 1024

# string2ll(): no sign, no leading zero. A count is an int there, a length a long long.
_LENGTH = rb"(0|[1-9][0-9]{0,17})\r\n"
_HEAD = re.compile(rb"\*([1-9][0-9]{0,8})\r\n\$" + _LENGTH)
_HEAD_BEGUN = re.compile(rb"\*(?:0\r?|[1-9][0-9]{0,8}(?:\r(?:\n(?:\$(?:(?:0|[1-9][0-9]{0,17})\r?)?)?)?)?)?")
_ARGUMENT = re.compile(rb"\$" + _LENGTH)
_ARGUMENT_BEGUN = re.compile(rb"(?:\$(?:(?:0|[1-9][0-9]{0,17})\r?)?)?")
# An argument's end and the next one's length: one match for both halves the work for a pipeline.
_NEXT = re.compile(rb"\r\n\$" + _LENGTH)
_NEXT_BEGUN = re.compile(rb"(?:\r(?:\n(?:\$(?:(?:0|[1-9][0-9]{0,17})\r?)?)?)?)?")
_EMPTY = b"*0\r\n"

# sdssplitargs(): what ends a word. It also ends at a zero byte, which no line here has.
_ENDS_WORD = b" \n\r\t"
_ESCAPES = {0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09, 0x62: 0x08, 0x61: 0x07}
_HEX = b"0123456789abcdefABCDEF"

_BETWEEN = -1


class ProtocolError(Exception):
    """The client violates the protocol, or a watched command is too large. The message is our own text.

    `before` is what can still be sent: the commands before it.
    """

    before: Sequence[bytes | list[bytes]] = ()


class Commands:
    """Processes a stream. `watched` names the commands to return, in capitals; `None`: all.

    One for whose name `wanted` is true is returned too, unless it is too large: then it passes unchanged.
    """

    def __init__(
        self,
        watched: Collection[bytes] | None,
        *,
        wanted: Callable[[bytes], bool] | None = None,
        longest_wanted: int = 0,
    ) -> None:
        self._wanted = wanted
        self._longest_wanted = longest_wanted
        self.watch(watched)
        self._held = b""
        # Of the command that passes by: bytes of the present argument, and arguments after it, that are still to come.
        self._rest = 0
        self._left = _BETWEEN

    def watch(self, watched: Collection[bytes] | None) -> None:
        """Changes the watched commands, from the next command on."""
        self._watched = watched
        self._longest = MAX_COMMAND_BYTES
        if watched is not None:
            self._longest = max(self._longest_wanted, *map(len, watched))

    def feed(self, data: bytes) -> list[bytes | list[bytes]]:
        """In order: bytes to forward unchanged, and the arguments of whole commands.

        Inline commands are returned like all others. Raises: ProtocolError.
        """
        if self._held:
            data, self._held = self._held + data, b""
        found: list[bytes | list[bytes]] = []
        start = at = whole = 0
        try:
            while True:
                if self._left != _BETWEEN:
                    at = self._pass(data, at)
                if self._left != _BETWEEN or at == len(data):
                    break
                whole = at
                head = _HEAD.match(data, at)
                if head is not None and self._passes(data, head):
                    self._left, self._rest = int(head[1]) - 1, int(head[2])
                    at = head.end()
                    continue
                taken = self._take(data, at, head)
                if taken is None:
                    break
                piece, end = taken
                found += [data[start:at], piece]
                start = at = whole = end
        except ProtocolError as exc:
            exc.before = [piece for piece in (*found, data[start:whole]) if piece]
            raise
        self._held = data[at:]
        found.append(data[start:at])
        return [piece for piece in found if piece]

    def _pass(self, data: bytes, at: int) -> int:
        """How far the command goes that passes by; `_left` tells whether it ends there. Raises: ProtocolError."""
        size = len(data)
        rest, left = self._rest, self._left
        follows = _NEXT.match
        while True:
            at += rest
            if at > size:
                rest, at = at - size, size
                break
            rest = 0
            if left:
                match = follows(data, at)
                if match is None:
                    _expect(_NEXT_BEGUN, data, at)
                    break
                rest = int(match[1])
                at = match.end()
                left -= 1
            elif data.startswith(b"\r\n", at):
                at += 2
                left = _BETWEEN
                break
            else:
                if data[at:] not in (b"", b"\r"):
                    raise ProtocolError("an argument is longer than it says")
                break
        self._rest, self._left = rest, left
        return at

    def _passes(self, data: bytes, head: re.Match[bytes]) -> bool:
        """Whether that is known, and so."""
        length, end = int(head[2]), head.end()
        begun = _name(data[end : end + min(length, self._longest + 1)])
        if length > self._longest:
            return len(begun) > self._longest
        if self._watched is None or end + length > len(data):
            return False
        name = begun.upper()
        if name in self._watched:
            return False
        return self._wanted is None or not self._wanted(name) or not _takeable(data, head)

    def _take(
        self, data: bytes, at: int, head: re.Match[bytes] | None
    ) -> tuple[bytes | list[bytes], int] | None:
        """The replacement for the command at `at`, and its end; `None`: it is incomplete. Raises: ProtocolError."""
        if head is not None:
            # Not before its name is known, as only watched ones are limited.
            known = head.end() + int(head[2]) <= len(data)
            return _whole(data, at, int(head[1])) if known else None
        if data.startswith(_EMPTY, at):
            # The server does not answer it.
            return b"", at + len(_EMPTY)
        if data.startswith(b"*", at):
            _expect(_HEAD_BEGUN, data, at)
            return None
        line = _line(data, at)
        if line is None:
            return None
        arguments = split_inline(line)
        end = at + len(line) + 1
        if not arguments or self._watched is None:
            return arguments, end
        name = _name(arguments[0]).upper()
        if name in self._watched or (self._wanted is not None and self._wanted(name)):
            return arguments, end
        return encode(arguments), end


def _name(begun: bytes) -> bytes:
    """A command's name or its start. Raises: ProtocolError: it contains a zero byte, where a server may cut it.

    Redis looks names up by strcasecmp (`dictSdsKeyCaseCompare`): one of some hundred `CONFIG\\0...` is CONFIG there.
    """
    if b"\0" in begun:
        raise ProtocolError("a zero byte in the name of a command")
    return begun


def encode(arguments: Sequence[bytes]) -> bytes:
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(one), one) for one in arguments]
    return b"".join(parts)


def split_inline(line: bytes) -> list[bytes]:
    r"""The words of an inline command: separated by blanks, `"..."` with \xHH and the like, `'...'` (sdssplitargs).

    Raises: ProtocolError: a quotation does not end, or a character follows its end.
    """
    words: list[bytes] = []
    at, size = 0, len(line)
    while True:
        while at < size and line[at : at + 1].isspace():
            at += 1
        if at == size:
            return words
        word = bytearray()
        while at < size and line[at] not in _ENDS_WORD:
            if line[at] in b"\"'":
                at = _quoted(line, at, word)
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, word: bytearray) -> int:
    """Adds the text between the quotation mark at `at` and its partner; returns where the line continues."""
    mark = line[at]
    at += 1
    size = len(line)
    while at < size and line[at] != mark:
        if line[at] == 0x5C and at + 1 < size and (mark == 0x22 or line[at + 1] == mark):
            digits = line[at + 2 : at + 4]
            if mark == 0x22 and line[at + 1] == 0x78 and len(digits) == 2 and not digits.strip(_HEX):
                word.append(int(digits, 16))
                at += 4
                continue
            at += 1
            word.append(_ESCAPES.get(line[at], line[at]) if mark == 0x22 else line[at])
        else:
            word.append(line[at])
        at += 1
    if at == size or (at + 1 < size and not line[at + 1 : at + 2].isspace()):
        raise ProtocolError("unbalanced quotes in a command")
    return at + 1


def _line(data: bytes, at: int) -> bytes | None:
    """An inline command up to its line feed; `None`: it is not whole. Raises: ProtocolError."""
    end = data.find(b"\n", at, at + MAX_INLINE_BYTES)
    line = data[at : end if end >= 0 else at + MAX_INLINE_BYTES]
    if b"\0" in line:
        # The server looks for the end of the line with strchr().
        raise ProtocolError("a command with a zero byte in it")
    if end >= 0:
        return line
    if len(line) == MAX_INLINE_BYTES:
        raise ProtocolError("too big inline request")
    return None


def _takeable(data: bytes, head: re.Match[bytes]) -> bool:
    """Whether a command can be put together, as far as is known."""
    try:
        _whole(data, head.start(), int(head[1]))
    except ProtocolError:
        return False
    return True


def _whole(data: bytes, at: int, count: int) -> tuple[list[bytes], int] | None:
    """The arguments of the command at `at` and where it ends; `None`: it is not whole. Raises: ProtocolError."""
    if count > MAX_ARGUMENTS:
        raise ProtocolError("too many arguments for this command")
    limit = at + MAX_COMMAND_BYTES
    arguments: list[bytes] = []
    at = data.index(b"\n", at) + 1
    while len(arguments) < count:
        match = _ARGUMENT.match(data, at)
        if match is None:
            _expect(_ARGUMENT_BEGUN, data, at)
            return None
        end = match.end() + int(match[1])
        if end > limit:
            raise ProtocolError("too large arguments for this command")
        if end + 2 > len(data):
            return None
        if data[end : end + 2] != b"\r\n":
            raise ProtocolError("an argument is longer than it says")
        arguments.append(data[match.end() : end])
        at = end + 2
    return arguments, at


def _expect(begun: re.Pattern[bytes], data: bytes, at: int) -> None:
    """Raises: ProtocolError: what is there at the end can't become what must come."""
    if begun.fullmatch(data, at) is None:
        raise ProtocolError("not a command of the Redis protocol")
