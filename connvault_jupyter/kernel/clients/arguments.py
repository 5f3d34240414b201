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
        """The connection's fields and secrets by name, for one login, in the clear.

            snowflake.connector.connect(**handle.arguments())

        The library gets the secret, and it stays in this process's memory as long as the library keeps it. The dict's
        repr is masked; what the library prints or logs is not. Call this for each login instead of keeping the dict:
        a permission that was taken back bites then, and a replaced secret is picked up.

        Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ...: the broker refuses.
        """
        login = self._handle_ref.deliver()
        return {**login.fields, **login.secrets}
