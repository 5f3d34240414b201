"""The handle: what code holds instead of a secret. Opens clients by name; never holds, shows or passes on a secret.

Which openers it has is the provider's business: each delivery names a module of `kernel.clients` and the methods of
its client object that are offered.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, overload

from ..errors import ConnvaultError, NotAllowed
from . import responses
from .display import plain
from .handle_ref import HandleRef
from .revelation import Revelation

if TYPE_CHECKING:
    from typing_extensions import Self
    from typing_extensions import deprecated as deprecated
else:

    def deprecated(_message: str) -> Any:
        """Type checkers and editors read it. What is called warns by itself."""
        return lambda function: function


HANDLE_MIME = "application/vnd.connvault.handle+json"

# What a delivery calls its client -> the module of `kernel.clients` that has it. The name comes from a provider's data.
_CLIENTS = {
    "arguments": "arguments",
    "http": "http.client",
    "mysql": "sql.mysql",
    "postgresql": "sql.postgresql",
    "redis": "redis",
    "s3": "s3.client",
    "ssh": "ssh.client",
}

_PUBLIC = ("name", "provider", "destination", "mode", "delivery", "decision", "expires_at", "release")


class Handle:
    """Permission to use one connection, in this kernel, for a while. Made by `connection()`.

    What opens clients depends on the kind of connection: `dir()` lists it, and the subclasses declare it
    (`kernel.families`). A type checker knows the subclass when the kind is named: `connection("x", kind="redis")`, or
    after `isinstance(handle, RedisHandle)`.

    Openers ask the broker each time they log in or send, so a revoked permission bites at the next use and a replaced
    secret is picked up. Of a brokered connection, what is open ends with the permission; one in the clear stays open
    until it is closed.

    Used as a context manager, it is released at the end of the block.
    """

    __slots__ = ("__weakref__", "_clients", "_granted", "_handle_ref")

    def __init__(self, *, granted: responses.Granted, handle_ref: HandleRef) -> None:
        self._granted = granted
        self._handle_ref = handle_ref
        self._clients: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self._granted.connection

    @property
    def provider(self) -> str:
        """The kind of connection, in words: `PostgreSQL`."""
        return self._granted.provider_name

    @property
    def destination(self) -> str:
        """Where it leads, as shown to people."""
        return plain(self._granted.destination)

    @property
    def mode(self) -> str:
        """`brokered`, `in_clear` (a client library in this process logs in with the secret) or `reveal`."""
        return self._granted.mode

    @property
    def delivery(self) -> str:
        """`relay` (the broker's process copies the bytes), `hand_over` (it logs in and passes the socket on), `login`
        (in the clear) or `reveal`: how the last client was opened, or else how the next one is expected to be."""
        for client in reversed(self._clients.values()):
            opened: str | None = getattr(client, "delivery", None)
            if opened:
                return opened
        return self._granted.delivery

    @property
    def decision(self) -> str | None:
        """What the person chose: `once`, `session`, `for`, `always`; `None` if it can only ask to reveal."""
        return self._granted.decision

    @property
    def expires_at(self) -> datetime | None:
        """Aware, UTC; `None`: with the kernel, or when it is taken back."""
        return self._granted.expires_at

    @overload
    def reveal(self, field: str, *, reason: str | None = None, timeout_s: float = 60) -> Revelation[str]: ...
    @overload
    @deprecated("Name the field: reveal('password'), or take all of them: reveal_all().")
    def reveal(
        self, *, reason: str | None = None, timeout_s: float = 60
    ) -> Revelation[str | Mapping[str, str]]: ...
    def reveal(
        self, field: str | None = None, *, reason: str | None = None, timeout_s: float = 60
    ) -> Revelation[Any]:
        """Asks a person, each time, to show one secret of the connection to this code as plain text.

            with handle.reveal("password", reason="legacy export") as password:
                ...

        For a `with` block only; the question is asked when the block is entered. The string is masked in reprs and a
        real one otherwise (see `kernel.masked`). What the code copies from it is its own responsibility. The question
        is about the connection: all its secrets come into this process, and the code gets the one that it named.

        Args:
            field: the name of the secret field, such as `password`. Until the next version it may be left out (one
                secret gives a string, several a mapping), and a text that names no field is taken as the reason; both
                give a DeprecationWarning.
            reason: one sentence for the person who is asked and for the record, at most 200 characters.
            timeout_s: how long to wait for an answer, above 0 and up to 3600.

        Raises (on entering):
            SecretNotFound: this kind of connection has no such secret field.
            SecretMissing: this connection has no value for it.
            RevealForbidden, AccessDenied, ConsentTimeout, NoApprover, HandleInvalid, VaultLocked.
        """
        return self._revelation(field, whole=False, reason=reason, timeout_s=timeout_s)

    def reveal_all(
        self, *, reason: str | None = None, timeout_s: float = 60
    ) -> Revelation[Mapping[str, str]]:
        """Asks a person, each time, to show all secrets of the connection to this code as plain text.

            with handle.reveal_all() as secrets:
                secrets["password"]

        For a `with` block only: a mapping by field name, which is empty after the block. Otherwise as `reveal()`.
        """
        return self._revelation(None, whole=True, reason=reason, timeout_s=timeout_s)

    def env(self, *, tcp: bool = False) -> dict[str, str]:
        """Environment variables by which other programs use the connection. No password is among them.

            subprocess.run(["psql"], env={**os.environ, **handle.env()})

        They lead to a socket that serves this kernel and what it starts, as long as the handle is good. In a plain
        script, which has no kernel, they serve its own process alone. `tcp`: to a port on loopback, for programs that
        can't use a Unix socket; where there is no other way, it is that anyway. Addresses that most libraries read in
        one form only lead there too (`DATABASE_URL`, `REDIS_URL`). With them come the variables that keep the programs
        from being led elsewhere by the machine's own files and variables.

        Raises:
            NotAllowed: the connection is not brokered; or a variable or file that it names would lead elsewhere all the
                same, and can't be overridden.
            HandleInvalid, VaultLocked, BrokerUnavailable, ...: the broker refuses.
        """
        if not self._brokered():
            raise NotAllowed(
                "This connection has no environment variables: they would have to hold its secret. "
                f"{self._what_there_is()}.",
                connection=self.name,
            )
        from .environment import variables_of

        found = variables_of(self._handle_ref, tcp=tcp)
        self._handle_ref.give_out()
        return found

    def release(self) -> None:
        """Gives the permission of this handle back. The next use of it, or of a pooled client's, is refused, and what
        is open by it ends.

        A handle that is only dropped is let go of by itself when no client of it is left, unless it has given out an
        address.
        """
        self._handle_ref.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    if not TYPE_CHECKING:
        # For openers that no family declares, and the error that names those that there are. Unseen by type checkers,
        # to which every name would be an opener.
        def __getattr__(self, name: str) -> Any:
            return self._opener(name)

    def _opener(self, name: str) -> Any:
        """The method or value of this name of the client that offers it. Raises: AttributeError: none does."""
        # Frontends probe objects for dozens of _repr_*_ names; none of them is worth a question.
        if not name.startswith("_"):
            for delivery in self._granted.deliveries:
                if name in delivery.openers:
                    return getattr(self._opened(delivery.client), name)
        raise AttributeError(self._what_there_is(), name=name, obj=self)

    def __dir__(self) -> list[str]:
        env = ["env"] if self._brokered() else []
        return sorted({*_PUBLIC, *env, *self._openers(), *self._revealing()})

    def __repr__(self) -> str:
        what = f"{plain(self.provider)} {self.destination}".strip()
        return f"<{self.name}: {', '.join([what, *self._state()])}>"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        granted = self._granted
        return {
            "text/plain": repr(self),
            "text/html": self._html(),
            HANDLE_MIME: {
                "name": granted.connection,
                "kind": granted.provider_name,
                "destination": self.destination,
                "mode": granted.mode,
                "delivery": self.delivery,
                "expires_at": granted.expires_at.isoformat() if granted.expires_at else None,
                "decision": granted.decision,
                "ended": self._handle_ref.ended,
                "openers": self._openers(),
            },
        }

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__reduce_ex__(4)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle can't be copied or pickled; call connection() where it is needed")

    def _html(self) -> str:
        import html

        quiet = "color:var(--jp-ui-font-color2)"
        openers = " &nbsp; ".join(f".{name}" for name in self._openers())
        return (
            '<div style="border:1px solid var(--jp-border-color2);border-radius:4px;padding:8px 12px;'
            'color:var(--jp-ui-font-color1)">'
            f"<b>{html.escape(self.name)}</b> "
            f'<span style="{quiet}">{html.escape(plain(self.provider))} {html.escape(self.destination)}</span><br>'
            f'<small style="{quiet}">{html.escape(" · ".join(self._state()))}'
            f"{' · <code>' + openers + '</code>' if openers else ''}</small></div>"
        )

    def _state(self) -> list[str]:
        """How it is delivered and for how long; or that it has ended, as far as this process knows: nobody is asked."""
        if self._handle_ref.ended:
            return ["ended"]
        lasts = self._lasts()
        return [responses.how(self.mode, self.delivery), *([lasts] if lasts else [])]

    def _lasts(self) -> str:
        words = responses.DECISIONS.get(self.decision or "", self.decision or "")
        until = self.expires_at
        if until is None:
            return words
        local = until.astimezone()
        near = local.date() == datetime.now().astimezone().date()
        return f"{words} (until {local.strftime('%H:%M' if near else '%Y-%m-%d %H:%M')})".strip()

    def _openers(self) -> list[str]:
        """Without `reveal`, unless there is nothing else: plain text is not advertised."""
        names = [
            name
            for delivery in self._granted.deliveries
            if delivery.mode != "reveal"
            for name in delivery.openers
            if name not in _PUBLIC
        ]
        return list(dict.fromkeys(names)) or self._revealing()

    def _brokered(self) -> bool:
        return any(delivery.kind == "relay" for delivery in self._granted.deliveries)

    def _revealing(self) -> list[str]:
        return ["reveal", "reveal_all"] if self._granted.reveal_allowed else []

    def _revelation(
        self, field: str | None, *, whole: bool, reason: str | None, timeout_s: float
    ) -> Revelation[Any]:
        from .api import shortened, wait_s

        return Revelation(
            handle_ref=self._handle_ref,
            granted=self._granted,
            field=field,
            whole=whole,
            reason=shortened(reason),
            timeout_s=wait_s(timeout_s),
        )

    def _what_there_is(self) -> str:
        openers = [f".{name}" for name in dict.fromkeys([*self._openers(), *self._revealing()])]
        return f"{self.name} ({plain(self.provider)}) offers {', '.join(openers) or 'nothing to open'}"

    def _opened(self, client: str) -> Any:
        found = self._clients.get(client)
        if found is None:
            found = self._clients[client] = _client_type(client)(handle_ref=self._handle_ref)
        return found


def _client_type(client: str) -> Any:
    """The class `Client` of a module in `kernel.clients`; its public methods are the openers."""
    module = _CLIENTS.get(client)
    if module is None:
        raise ConnvaultError(
            "This version of connvault-jupyter has no client for this kind of connection. Update it in "
            "this kernel."
        )
    return importlib.import_module(f"{__package__}.clients.{module}").Client
