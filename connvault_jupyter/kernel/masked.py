"""A secret on its way through a library: a real string whose repr is masked. No I/O and no way to get one, here.

What masks and what does not, so that nobody relies on more than there is:

* `repr()` is masked, and with it a cell's output, containers, `%r`, Verbose tracebacks and debug logs of arguments;
* pickling and copying are refused, so it does not slip into a file, a cache or another process; but not a handle's own
  token, which is no secret of the service;
* everything else sees the true characters: `str()`, `format()`, f-strings, `print`, `+`, slices, `.encode()`, JSON.
  Libraries build their logins with exactly these (psycopg calls `str()`, requests calls `.encode()`), so masking
  them would send eight stars to the database. What they return is a plain string without a mask.

The characters stay in memory until Python frees them; it cannot wipe a string.
"""

from __future__ import annotations

from typing import Any, NoReturn

MASK = "<secret, hidden>"


class HiddenStr(str):
    """Characters that are hidden where Python would print them as an object."""

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
    """A handle's own token, or a text with it: of use on this machine only, to whom the handle serves (the notebook and
    what it starts), as long as the handle is good. So it may go along to workers that do its work."""

    __slots__ = ()

    def __copy__(self) -> HandleToken:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HandleToken:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return HandleToken, (str.__str__(self),)
