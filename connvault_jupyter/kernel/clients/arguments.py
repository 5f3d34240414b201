"""A login in the clear, as keyword arguments for a library that logs in itself. It knows no library.

For kinds of connections without a relay: the secret passes through this process. See `kernel.masked` for what is
masked.
"""

from __future__ import annotations

from typing import Any

from ..handle_ref import HandleRef


class Client:
    """Openers of a handle whose library logs in."""

    delivery = "login"

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref

    def arguments(self) -> dict[str, Any]:
        """See `InClearHandle.arguments`."""
        login = self._handle_ref.deliver()
        return {**login.fields, **login.secrets}
