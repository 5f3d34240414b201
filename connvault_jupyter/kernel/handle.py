"""The handle: what code holds instead of a secret. Opens clients by name; never holds, shows or passes on a secret.

The provider decides which openers it has: each delivery names a module of `kernel.clients` and the methods of its
client object.
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
        """For type checkers and editors. The function itself emits the warning."""
        return lambda function: function


HANDLE_MIME = "application/vnd.connvault.handle+json"

# A delivery's client -> its module in `kernel.clients`. The name comes from a provider's data.
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
    """Permission to use one connection, in this kernel, for a limited time. Created by `connection()`.

    The openers depend on the kind of connection: `dir()` lists them, and the subclasses declare them
    (`kernel.families`). A type checker knows the subclass if the kind is given, as in `connection("x", kind="redis")`,
    or after `isinstance(handle, RedisHandle)`.

    Openers ask the broker each time they log in or send, so a revoke takes effect at the next use and a replaced
    secret is used. Clients of a brokered connection end with the permission; those of one in the clear stay open until
    closed.

    As a context manager, it is released at the end of the block.
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
        """The kind of connection, as shown to people: `PostgreSQL`."""
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
        """`relay` (a process of the broker copies the bytes), `hand_over` (it logs in and hands over the socket),
        `login` (in the clear) or `reveal`: how the last client was opened, or how the next one probably will be."""
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
        """Aware, UTC; `None`: it ends with the kernel, or when it is revoked."""
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

        Only for a `with` block; the person is asked when the block is entered. The string is masked in reprs and
        otherwise a normal one (see `kernel.masked`). Copies are the code's own responsibility. The permission is for
        the whole connection: all its secrets come into this process, and the code gets the one that it named.

        Args:
            field: the name of the secret field, such as `password`. Until the next version it may be left out (one
            secret gives a string, several a mapping), and a text that is not a field's name is taken as the reason;
            both emit a DeprecationWarning.
            reason: one sentence for the person who is asked and for the activity log, at most 200 characters.
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

        Only for a `with` block: a mapping by field name, which is emptied after the block. Otherwise like `reveal()`.
        """
        return self._revelation(None, whole=True, reason=reason, timeout_s=timeout_s)

    def env(self, *, tcp: bool = False) -> dict[str, str]:
        """Environment variables by which other programs use the connection. They contain no password.

            subprocess.run(["psql"], env={**os.environ, **handle.env()})

        They lead to a socket that serves this kernel and its children, as long as the handle is valid. In a plain
        script, which has no kernel, they serve only its own process. `tcp`: they lead to a port on loopback, for
        programs that can't use a Unix socket; without another way, that is the default. So do addresses that most
        libraries read in only one format (`DATABASE_URL`, `REDIS_URL`). Included are variables that keep the machine's
        own files and variables from leading programs elsewhere.

        Raises:
            NotAllowed: the connection is not brokered; or the variable or file named in the message would still lead
            elsewhere, and can't be overridden.
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
        """Ends this handle. Its next use, also by a pooled client, is refused, and its open clients are closed.

        A handle that is garbage-collected is released when no client of it is left, unless an address of it was read.
        """
        self._handle_ref.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    if not TYPE_CHECKING:
        # For openers that no family declares, and for the error that lists the existing ones. Hidden from type
        # checkers, which would otherwise accept every name.
        def __getattr__(self, name: str) -> Any:
            return self._opener(name)

    def _opener(self, name: str) -> Any:
        """The method or value of this name from the client that offers it. Raises: AttributeError: none does."""
        # Frontends probe objects for dozens of _repr_*_ names, which must not ask the broker.
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
        """How it is delivered and for how long, or that it has ended, as far as this process knows: the broker is not
        asked."""
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
        """Without `reveal`, unless there is nothing else, as plain text is not advertised."""
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
