"""Refusals on record: each kind once in a while, so that a loop that is refused can't push the rest off the record."""

from __future__ import annotations

from ..contracts.access import Requester
from ..contracts.connections import Connection
from ..errors import AccessDenied, ConnvaultError, HandleInvalid, StorageError
from .audit import AuditService
from .pauses import Until
from .ports import Clock

# As long as the pause after a no: a loop makes two rows a minute.
NOTED_EVERY_S = 30


def said_never() -> AccessDenied:
    """A person has said *never*, just now or before."""
    return AccessDenied(
        "This notebook may never use this connection. Remove that entry in the Connections panel first.",
        reason="never",
    )


class Refusals:
    """Notes refusals that no question stands for."""

    def __init__(self, *, audit: AuditService, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._noted: Until[tuple[str, str, str]] = Until()

    def note(self, requester: Requester, connection: Connection | None, error: ConnvaultError) -> None:
        """Appends a row `access:refused`, unless there was one of the same code for the same two just now."""
        key = (requester.key, connection.id if connection is not None else "", error.code)
        if not self._noted.first(key, self._clock(), NOTED_EVERY_S):
            return
        try:
            self._audit.record(
                "access:refused",
                outcome="refused",
                code=error.code,
                connection=connection,
                requester=requester,
                durable=False,
            )
        except StorageError:
            # The refusal stands; that it can't be recorded must not turn it into another error.
            return

    def note_foreign(self, requester: Requester, invalid: HandleInvalid) -> None:
        """Notes the use of another requester's handle."""
        # Ended handles are everyday; using another requester's is not.
        if invalid.details.get("reason") == "foreign":
            self.note(requester, None, invalid)
