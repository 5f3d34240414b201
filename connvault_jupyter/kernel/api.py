"""The functions for cells: `connection()` and `connections()`. The only module that creates the process's channel
client.

No rules about who may do what belong here (the broker decides), and nothing about notebooks (magics, cards, widgets).
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from ..contracts.request_limits import CONNECTION_NAME, MAX_AGENT_CHARS, MAX_CLAIM_CHARS, MAX_WAIT_S
from ..errors import ConnectionNotFound, ConnvaultError, HandleInvalid, InvalidFields, WrongKind
from . import lost_connections, responses
from .broker_client import BrokerClient
from .display import ConnectionTable, plain
from .handle import Handle
from .handle_ref import WAIT_GRACE_S
from .held_handles import HeldHandles

if TYPE_CHECKING:
    from .families import (
        HttpHandle,
        MysqlHandle,
        ObjectStoreHandle,
        PostgresqlHandle,
        RedisHandle,
        SshHandle,
    )

_NAME = re.compile(CONNECTION_NAME)


@functools.cache
def broker() -> BrokerClient:
    """The channel of this process. Created at first use; it only connects in order to send a request."""
    return BrokerClient()


@functools.cache
def held() -> HeldHandles:
    """The handles of this process."""
    return HeldHandles(client=broker())


@overload
def connection(
    name: str,
    *,
    kind: Literal["postgresql"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> PostgresqlHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: Literal["mysql"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> MysqlHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: Literal["http", "openai", "elasticsearch"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> HttpHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: Literal["s3"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> ObjectStoreHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: Literal["redis"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> RedisHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: Literal["ssh"],
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> SshHandle: ...
@overload
def connection(
    name: str,
    *,
    kind: str | None = None,
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> Handle: ...
def connection(
    name: str,
    *,
    kind: str | None = None,
    reason: str | None = None,
    agent: str | None = None,
    timeout_s: float | None = 60,
) -> Handle:
    """Asks to use a connection and returns a handle that opens clients for it.

    A person sees the request in the browser and answers it, unless they have allowed it before. The call waits for the
    answer; interrupting the kernel cancels the request.

    Args:
        name: as in the Connections panel; case-sensitive.
        kind: the kind that the connection must have, such as `postgresql` or `http` (`connections()` lists it as
            `provider_id`). It tells a type checker what the handle opens. If the connection is of another kind, nobody
            is asked.
        reason: one sentence for the person who is asked and for the activity log, at most 200 characters. It is shown
            as the code's own words, with the connection's secrets masked; code can't read it back.
        agent: the name of the program that asks on somebody's behalf, shown as a claim. A permission given to an agent
            is valid only for exactly this name.
        timeout_s: how long to wait for an answer, up to 3600; `None`: as long as the server allows (60 s by default).
            The smaller of both counts.

    Raises:
        ConnectionNotFound: this notebook sees no connection of this name.
        WrongKind: the connection is of another kind than `kind`.
        NameClash: one of your own and one of the project have this name; the message names both places.
        WorkspaceNotAccepted: the project has it, and nobody has accepted it here yet.
        WorkspaceFileInvalid: the project's file can't be read; the message says where, and what to do.
        ConnectionNotReady: it is a draft, its kind is not installed, or it was changed since a person last reviewed it
            (`details["reason"]`: `workspace_changed` or `workspace_gone` if the project's file did).
        AccessDenied: a person or a stored "never" said no, or code asked again too soon (`details["retry_after_s"]`).
        ConsentTimeout: nobody answered in time.
        NoApprover: no browser tab could show the request.
        SecretMissing, SecretInvalid: the secret must be entered (again) first.
        VaultLocked, VaultNotSetUp: the vault must be unlocked or set up first.
        BrokerUnavailable: this process has no broker, or it does not answer.
    """
    if not isinstance(name, str):
        raise TypeError("connection() takes the name of a connection as a string")
    if not _NAME.fullmatch(name):
        # Not quoted: it is not a name, so it may have been pasted by mistake.
        raise ConnectionNotFound(
            "No connection can have this name: a name starts with a letter and contains only letters, "
            "digits, '_', '-' and '.'."
        )
    if agent is not None and not 0 < len(agent) <= MAX_AGENT_CHARS:
        raise ValueError(f"agent must have 1 to {MAX_AGENT_CHARS} characters")
    wait = None if timeout_s is None else wait_s(timeout_s)
    body = {"connection": name, "reason": shortened(reason), "agent": agent, "timeout_s": wait}
    client = broker()
    if kind is not None:
        _refuse_other_kind(name, kind)
    with held().offered(name, agent) as offer:
        if offer is not None:
            body["held"] = offer.ref
        try:
            answer = client.ask("access.request", body, timeout_s=(wait or MAX_WAIT_S) + WAIT_GRACE_S)
        except ConnectionNotFound as exc:
            raise _not_found(client, name, exc) from None
        except ConnvaultError as exc:
            exc.details.setdefault("connection", name)
            raise
        granted = responses.granted(answer)
        handle = held().handle(granted, agent, offer)
    if kind not in (None, granted.provider_id):
        # Another connection got this name while the question was open.
        handle.release()
        raise _wrong_kind(granted)
    return handle


def ended(error: BaseException) -> list[ConnvaultError]:
    """Why the handles that this error is about have ended; empty if it is about none, or if they are still valid.

    Otherwise other handles that have ended in the meantime are reported too, once each.
    """
    tied = lost_connections.handle_refs_of(error, held().handle_refs())
    found = [(handle_ref, why) for handle_ref in tied if (why := handle_ref.why_ended()) is not None]
    if not found:
        return []
    others = [
        handle_ref for handle_ref in held().handle_refs() if handle_ref not in tied and not handle_ref.told
    ]
    found += [(handle_ref, why) for handle_ref in others if (why := handle_ref.why_ended()) is not None]
    for handle_ref, why in found:
        # A vault can be unlocked and locked again.
        handle_ref.told = isinstance(why, HandleInvalid)
    return [why for _, why in found]


def connections() -> ConnectionTable:
    """All connections by name: kind, destination, status. Asks nobody and uses no secret.

    Raises:
        BrokerUnavailable: this process has no broker, or it does not answer.
    """
    found = responses.summaries(broker().ask("connections.list", {}))
    return ConnectionTable(found.connections, vault=found.vault)


def providers() -> tuple[responses.Provider, ...]:
    """All kinds of connections. Raises: BrokerUnavailable."""
    return responses.providers(broker().ask("providers.list", {}))


def record(name: str | None = None, *, limit: int = 50) -> tuple[responses.Event, ...]:
    """This notebook's own audit events, newest first; with `name`, those of one connection.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return responses.events(broker().ask("audit.list_own", {"connection": name, "limit": limit}))


def revoke(name: str) -> int:
    """Revokes every permission that this notebook has for a connection; returns how many there were.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return int(broker().ask("access.revoke_own", {"connection": name}).get("released", 0))


def propose(*, provider: str = "", name: str = "", fields: Mapping[str, Any] | None = None) -> str:
    """Suggests values for the form of a new connection; returns the suggestion's id, which reveals nothing about them.

    A person sees them as suggested by this notebook, and may complete and save them. The suggestion is kept for ten
    minutes, while this process runs. Empty values are left to the person.

    Raises:
        SecretInCode: a value is a secret, or looks like one.
        ProviderNotFound, InvalidFields: the kind, or a field of it, does not exist or can't have this value.
        InvalidRequest: a name or value that no connection can have.
        TooManyProposals: from this notebook in the last ten minutes.
        BrokerUnavailable.
    """
    body = {"provider_id": provider or None, "name": name or None, "fields": dict(fields or {})}
    try:
        return responses.proposed(broker().ask("connections.propose", body))
    except InvalidFields as exc:
        # In a cell there is no form field that could show its message.
        said = [f"{path}: {message}" for path, message in _messages(exc)]
        raise InvalidFields(" ".join(said) or exc.message, **exc.details) from None


def shortened(reason: str | None) -> str | None:
    """Cuts a reason at 200 characters, because a report must not fail because of a long sentence."""
    if reason is None:
        return None
    reason = " ".join(str(reason).split())
    return reason if len(reason) <= MAX_CLAIM_CHARS else reason[: MAX_CLAIM_CHARS - 1] + "…"


def wait_s(timeout_s: float) -> float:
    """Raises: ValueError: not above 0 s, or longer than an hour."""
    if not 0 < timeout_s <= MAX_WAIT_S:
        raise ValueError(f"timeout_s must be above 0 and at most {MAX_WAIT_S} seconds")
    return float(timeout_s)


def valid_name(name: str) -> bool:
    """Whether a connection can have this name."""
    return bool(_NAME.fullmatch(name))


def summary(name: str) -> responses.ConnectionSummary:
    """One connection, without asking anyone.

    Raises: ConnectionNotFound: suggests a similar name, if there is one.
        BrokerUnavailable.
    """
    for item in connections():
        if item.name == name:
            return item
    raise _not_found(broker(), name, ConnectionNotFound())


def _refuse_other_kind(name: str, kind: str) -> None:
    """Checked before anybody is asked. Unknown names are left to the broker, which logs the refusal.

    Raises: WrongKind."""
    found = [item for item in connections() if item.name == name]
    # Of two places, one may be of this kind: then it is a clash, which the broker tells.
    if found and all(item.provider_id != kind for item in found):
        raise _wrong_kind(found[0])


def _wrong_kind(found: responses.ConnectionSummary | responses.Granted) -> WrongKind:
    """The requested kind is not quoted: it could be anything."""
    name = found.name if isinstance(found, responses.ConnectionSummary) else found.connection
    return WrongKind(
        f"“{name}” is a connection of the kind {plain(found.provider_name)}. "
        f'Ask for it with kind="{found.provider_id}", or without a kind.',
        connection=name,
        kind=found.provider_id,
    )


def _not_found(client: BrokerClient, name: str, error: ConnectionNotFound) -> ConnectionNotFound:
    """The same error with the name, if it is a valid one (else it could be anything), and a similar name."""
    if not _NAME.fullmatch(name):
        return error
    suggestion = error.details.get("suggestion")
    if not isinstance(suggestion, str):
        suggestion = _similar(client, name)
    message = f"No connection is called “{name}”."
    message += f" Did you mean “{suggestion}”?" if suggestion else " Create it in the Connections panel."
    details = {**error.details, "connection": name, **({"suggestion": suggestion} if suggestion else {})}
    return ConnectionNotFound(message, **details)


def _similar(client: BrokerClient, name: str) -> str | None:
    try:
        names = [item.name for item in responses.summaries(client.ask("connections.list", {})).connections]
    except ConnvaultError:
        return None
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1)
    return by_lower[close[0]] if close else None


def _messages(error: InvalidFields) -> list[tuple[str, str]]:
    """The broker's own message for each field; they quote nothing."""
    return [
        (str(item["path"]).removeprefix("fields."), str(item["message"]).rstrip(".") + ".")
        for item in error.details.get("errors", ())
    ]
