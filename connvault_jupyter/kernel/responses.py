"""The broker's answers, parsed by hand into small frozen values.

Shapes: contracts/access.py, connections.py, audit.py, proposals.py.
By hand, because a cell's first `connection()` must not wait for pydantic. Unknown keys are ignored (a newer broker may
add some), missing ones are an error. Only `Delivered` holds secrets, all of them masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ..errors import MalformedFrame
from .masked import HandleToken, MaskedStr

T = TypeVar("T")

# Former names of openers, which third-party definitions may still use. They will be removed in the next version.
_FORMER_OPENERS = {"connect_async": "async_connect"}

DELIVERIES = {
    "relay": "relay",
    "hand_over": "hand-over",
    "login": "in the clear",
    "reveal": "plain text only",
}
MODES = {"brokered": "brokered", "in_clear": "in the clear", "reveal": "plain text only"}


def how(mode: str, delivery: str) -> str:
    """How a connection is delivered, for people: `brokered, hand-over`."""
    return (
        f"{MODES[mode]}, {DELIVERIES.get(delivery, delivery)}"
        if mode == "brokered"
        else MODES.get(mode, mode)
    )


def how_by(delivery: str) -> str:
    """The same if only the delivery is known."""
    mode = {"login": "in_clear", "reveal": "reveal"}.get(delivery, "brokered")
    return how(mode, delivery)


DECISIONS = {
    "once": "this time",
    "session": "until this kernel stops",
    "for": "for a while",
    "always": "always, this notebook",
    "deny": "denied",
    "deny_always": "never for this notebook",
}


@dataclass(frozen=True)
class Delivery:
    kind: str
    mode: str
    client: str
    openers: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Granted:
    """The parts of a handle (AccessResponse). `ref` is masked: it is useless to others and only noise for readers."""

    ref: MaskedStr
    connection: str
    provider_id: str
    provider_name: str
    destination: str
    mode: str
    decision: str | None
    expires_at: datetime | None
    deliveries: tuple[Delivery, ...]
    reveal_allowed: bool
    delivery: str = "login"


@dataclass(frozen=True)
class HandleState:
    mode: str
    expires_at: datetime | None
    revision: int
    rotation: str


@dataclass(frozen=True)
class Delivered:
    """A login for a client library. `rotation` changes when a secret is replaced, `revision` when a field is."""

    connection: str
    provider_id: str
    fields: Mapping[str, Any]
    secrets: Mapping[str, MaskedStr] = field(repr=False)
    revision: int
    rotation: str


@dataclass(frozen=True)
class RelayEndpoint:
    """Where a brokered handle listens (contracts.access.Opened). `token` is only for `port` on loopback."""

    connection: str
    provider_id: str
    protocol: str
    directory: str
    socket: str
    hand_over: bool
    port: int | None
    token: HandleToken
    fields: Mapping[str, Any]
    variables: Mapping[str, str]
    revision: int
    rotation: str


@dataclass(frozen=True)
class ConnectionSummary:
    """A connection as code may see it without asking: no secret, and no fields except the destination.

    `provider_id` is its kind, as in `connection(name, kind=...)`; `provider_name` is the kind's name for people.
    `status` is `ready`, `draft` or `invalid`, `status_reason` why it is not ready; `delivery` is how a client would be
    opened: `relay`, `hand_over`, `login` or `reveal`.
    """

    name: str
    provider_id: str
    provider_name: str
    display_name: str
    destination: str
    status: str
    status_reason: str | None
    delivery: str = "login"


@dataclass(frozen=True)
class Summaries:
    connections: tuple[ConnectionSummary, ...]
    vault: str


@dataclass(frozen=True)
class Provider:
    id: str
    name: str
    description: str
    fields: tuple[str, ...]
    secret_fields: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """An audit event as its own requester sees it."""

    at: datetime
    type: str
    outcome: str
    code: str | None
    connection: str | None
    mode: str | None
    decision: str | None
    reason_claim: str | None


def granted(body: Mapping[str, Any]) -> Granted:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: Granted(
            ref=MaskedStr(_text(body["ref"])),
            connection=_text(body["connection"]),
            provider_id=_text(body["provider_id"]),
            provider_name=_text(body["provider_name"]),
            destination=_text(body["destination"]),
            mode=_text(body["mode"]),
            decision=_optional_text(body["decision"]),
            expires_at=_moment(body["expires_at"]),
            deliveries=tuple(
                Delivery(
                    _text(item["kind"]),
                    _text(item["mode"]),
                    _text(item["client"]),
                    tuple(_FORMER_OPENERS.get(_text(name), name) for name in item.get("openers", ())),
                    dict(item.get("variables", {})),
                )
                for item in body["deliveries"]
            ),
            reveal_allowed=body["reveal_allowed"] is True,
            delivery=_text(body.get("delivery", "login")),
        )
    )


def handle_state(body: Mapping[str, Any]) -> HandleState:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: HandleState(
            _text(body["mode"]), _moment(body["expires_at"]), int(body["revision"]), _text(body["rotation"])
        )
    )


def delivered(body: dict[str, Any]) -> Delivered:
    """Raises: MalformedFrame. Removes the secrets from `body`, so that no later traceback has them in its
    variables."""
    secrets = body.pop("secrets", None)
    masked = {str(k): MaskedStr(v) for k, v in secrets.items()} if isinstance(secrets, dict) else None
    del secrets
    return _parsed(
        lambda: Delivered(
            connection=_text(body["connection"]),
            provider_id=_text(body["provider_id"]),
            fields=dict(body["fields"]),
            secrets=_present(masked),
            revision=int(body["revision"]),
            rotation=_text(body["rotation"]),
        )
    )


def opened(body: Mapping[str, Any]) -> RelayEndpoint:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: RelayEndpoint(
            connection=_text(body["connection"]),
            provider_id=_text(body["provider_id"]),
            protocol=_text(body["protocol"]),
            directory=_text(body["directory"]),
            socket=_text(body["socket"]),
            hand_over=body["hand_over"] is True,
            port=None if body["port"] is None else int(body["port"]),
            token=HandleToken(_text(body["token"])),
            fields=dict(body["fields"]),
            variables=dict(body["variables"]),
            revision=int(body["revision"]),
            rotation=_text(body["rotation"]),
        )
    )


def summaries(body: Mapping[str, Any]) -> Summaries:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: Summaries(
            tuple(
                ConnectionSummary(
                    _text(item["name"]),
                    _text(item["provider_id"]),
                    _text(item["provider_name"]),
                    _text(item["display_name"]),
                    _text(item["destination"]),
                    _text(item["status"]),
                    _optional_text(item.get("status_reason")),
                    _text(item.get("delivery", "login")),
                )
                for item in body["connections"]
            ),
            _text(body["vault"]),
        )
    )


def providers(body: Mapping[str, Any]) -> tuple[Provider, ...]:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: tuple(
            Provider(
                _text(item["id"]),
                _text(item["name"]),
                _text(item["description"]),
                tuple(_text(name) for name in item["fields"]),
                tuple(_text(name) for name in item["secret_fields"]),
            )
            for item in body["providers"]
        )
    )


def events(body: Mapping[str, Any]) -> tuple[Event, ...]:
    """Raises: MalformedFrame."""
    return _parsed(
        lambda: tuple(
            Event(
                _present(_moment(item["at"])),
                _text(item["type"]),
                _text(item["outcome"]),
                _optional_text(item.get("code")),
                _optional_text(item.get("connection")),
                _optional_text(item.get("mode")),
                _optional_text(item.get("decision")),
                _optional_text(item.get("reason_claim")),
            )
            for item in body["events"]
        )
    )


def proposed(body: Mapping[str, Any]) -> str:
    """The id. Raises: MalformedFrame."""
    return _parsed(lambda: _text(body["id"]))


def _parsed(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    # Outside the handler: the cause could quote what was received.
    raise MalformedFrame(
        "The broker's answer does not have the expected format. Install the same version of "
        "connvault-jupyter in both environments."
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _present(value: T | None) -> T:
    if value is None:
        raise ValueError
    return value


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    # Python 3.10's fromisoformat does not accept the Z.
    return datetime.fromisoformat(_text(value).replace("Z", "+00:00"))
