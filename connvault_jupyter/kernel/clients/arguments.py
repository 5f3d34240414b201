"""A login in the clear, as keyword arguments of a library that logs in by itself. No library is known here.

For kinds of connections that no relay knows: the secret passes through this process. See `kernel.masked` for what is
masked then and what is not.
"""

from __future__ import annotations

from typing import Any

from ..handle_ref import HandleRef


class Client:
    """Openers of a handle whose library does the login."""

    delivery = "login"

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref

    def arguments(self) -> dict[str, Any]:
        """See `InClearHandle.arguments`."""
        login = self._handle_ref.deliver()
        return {**login.fields, **login.secrets}
