"""What a handle may ask of the broker while it lives: deliver, open, check, reveal, release. It connects to nothing.

Everything is asked anew each time, so that a revoked permission or a replaced secret counts from the next use on.
"""

from __future__ import annotations

from typing import NoReturn

from ..errors import BrokerUnavailable, ConnvaultError, HandleInvalid
from . import answers
from .client import BrokerClient
from .masked import MaskedStr

# The broker ends the wait itself; this is for its answer to travel, and for unlocking meanwhile.
WAIT_GRACE_S = 15.0

# The first relay of a broker takes 0.1 s; on a machine that swaps, much longer.
OPEN_S = 15.0

# The longest wait that the contract knows.
MAX_WAIT_S = 3600.0


class Lease:
    """A handle ref together with the channel that it is good on."""

    __slots__ = ("_client", "_ref", "connection", "ended", "released")

    def __init__(self, *, client: BrokerClient, ref: MaskedStr, connection: str) -> None:
        self._client = client
        self._ref = ref
        self.connection = connection
        self.released = False
        # What this process was told: that the handle is good no more.
        self.ended = False

    def __repr__(self) -> str:
        return f"<lease of {self.connection}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle can't be pickled: it is good in this kernel only")

    def deliver(self) -> answers.Delivered:
        """A login, for the moment. Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ..."""
        return answers.delivered(self._ask("access.deliver", {"ref": self._ref}))

    def open(self, *, tcp: bool = False) -> answers.Opened:
        """Where the handle listens; `tcp`: on loopback too.

        Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...
        """
        return answers.opened(self._ask("access.open", {"ref": self._ref, "tcp": tcp}, timeout_s=OPEN_S))

    def open_loopback(self) -> tuple[answers.Opened, int]:
        """Where it listens for what can't use a Unix socket, and the port on 127.0.0.1. Raises: as `open`."""
        opened = self.open(tcp=True)
        if opened.port is None:
            raise BrokerUnavailable(connection=self.connection)
        return opened, opened.port

    def check(self) -> answers.HandleState:
        """Whether the handle is still good. Raises: HandleInvalid, ..."""
        return answers.handle_state(self._ask("access.check", {"ref": self._ref}))

    def reveal(self, reason: str | None, timeout_s: float) -> answers.Delivered:
        """Asks a person for plain text and waits. Raises: AccessDenied, ConsentTimeout, RevealForbidden, ..."""
        return answers.delivered(
            self._ask(
                "access.reveal",
                {"ref": self._ref, "reason": reason, "timeout_s": timeout_s},
                timeout_s=timeout_s + WAIT_GRACE_S,
            )
        )

    def release(self) -> None:
        """Lets go of the handle. Harmless when it is gone already.

        `released` is for clients that don't ask at each use: this process knows at once, the relay a moment later.
        """
        self.released = self.ended = True
        self._ask("access.release", {"ref": self._ref})

    def _ask(
        self, operation: str, body: dict[str, object], timeout_s: float | None = None
    ) -> dict[str, object]:
        try:
            if timeout_s is None:
                return self._client.ask(operation, body)
            return self._client.ask(operation, body, timeout_s=timeout_s)
        except ConnvaultError as exc:
            self.ended = self.ended or isinstance(exc, HandleInvalid)
            exc.details.setdefault("connection", self.connection)
            raise
