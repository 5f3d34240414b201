"""Secrets that pass through a library: real strings whose repr is masked. No I/O; secrets can't be fetched here.

What is masked and what is not, so that nobody relies on more:

* `repr()` is masked, and with it a cell's output, containers, `%r`, Verbose tracebacks and debug logs of arguments;
* pickling and copying are refused, so it does not get into a file, a cache or another process; except for a handle's
own token, which is not a secret of the service;
* everything else gets the real characters: `str()`, `format()`, f-strings, `print`, `+`, slices, `.encode()`, JSON.
  Libraries build their logins with exactly these (psycopg calls `str()`, requests calls `.encode()`), so masking
  them would send eight stars to the database. They return plain strings without a mask.

The characters stay in memory until Python frees them; it cannot wipe a string.
"""

from __future__ import annotations

from typing import Any, NoReturn

MASK = "<secret, hidden>"


class HiddenStr(str):
    """A string that is hidden where Python would print its repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


class MaskedStr(HiddenStr):
    """A secret."""

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret can't be copied into another object; use it where it is")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("a secret can't be copied into another object; use it where it is")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a secret can't be pickled; ask for the connection where it is needed")


class HandleToken(HiddenStr):
    """A handle's own token, or a text that contains it: only usable on this machine, by the notebook and its children,
    as long as the handle is valid. So it may be passed to their workers."""

    __slots__ = ()

    def __copy__(self) -> HandleToken:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HandleToken:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return HandleToken, (str.__str__(self),)
