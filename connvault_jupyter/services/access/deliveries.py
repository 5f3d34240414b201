"""How a connection is delivered: by which delivery and in which mode. This module decides; it delivers nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...contracts.providers import DeliveryForm, Mode, ProviderDefinition, RelayProtocol
from ...errors import NotAllowed

# A logged-in socket is handed over where the requester's library can continue on it and the broker need not filter
# what follows. Redis answers `CONFIG GET requirepass` with the password, HTTP needs it in each request.
_CAN_HAND_OVER: frozenset[RelayProtocol] = frozenset({"postgresql", "mysql"})


@dataclass(frozen=True)
class RelayDelivery:
    """A delivery of the kind `relay`, as its rules promise it."""

    protocol: RelayProtocol
    recipe: Mapping[str, Any]
    variables: Mapping[str, str]
    tcp_variables: Mapping[str, str]

    def variables_for(self, *, tcp: bool) -> dict[str, str]:
        """The patterns of the environment variables, for a handle with or without a loopback port."""
        return {**self.variables, **(self.tcp_variables if tcp else {})}


def mode_of(provider: ProviderDefinition) -> Mode:
    """The mode of its handles: *brokered* where possible, plain text only if there is no other way."""
    modes = {delivery.mode for delivery in provider.deliveries}
    order: tuple[Mode, ...] = ("brokered", "in_clear", "reveal")
    return next(mode for mode in order if mode in modes)


def reveals_by_default(provider: ProviderDefinition) -> bool:
    """Whether code may ask for the plain text of a new connection, by default. Not where this would be the only way
    for code to get the secret (*brokered*). In the clear it passes through the code's own memory anyway, so a no would
    only look like protection."""
    return mode_of(provider) != "brokered"


def relay_of(provider: ProviderDefinition) -> RelayDelivery:
    """Raises: NotAllowed: it has none."""
    for delivery in provider.deliveries:
        if delivery.kind == "relay" and delivery.protocol is not None:
            return RelayDelivery(
                delivery.protocol, delivery.recipe, delivery.variables, delivery.tcp_variables
            )
    raise NotAllowed("This kind of connection has no relay.")


def delivery_of(provider: ProviderDefinition, fields: Mapping[str, Any]) -> DeliveryForm:
    """How a handle for these fields becomes a client."""
    match mode_of(provider):
        case "brokered":
            return "hand_over" if hands_over(relay_of(provider).protocol, fields) else "relay"
        case "in_clear":
            return "login"
        case _:
            return "reveal"


def repeats_could_be_masked(provider: ProviderDefinition, fields: Mapping[str, Any], secret: str) -> bool:
    """Whether this secret field is sent to the service unchanged, through a relay that searches the responses."""
    relays = [one for one in provider.deliveries if one.kind == "relay"]
    if not relays:
        return False
    if relays[0].protocol == "redis":
        return True
    auth = {**fields, **relays[0].recipe}.get("auth")
    if auth == "sigv4":
        return secret == "session_token"  # noqa: S105 -- a field's name
    return relays[0].protocol == "http" and auth in ("bearer", "basic", "header", "query")


def hands_over(protocol: RelayProtocol, fields: Mapping[str, Any]) -> bool:
    """Whether the upstream connection is unencrypted: TLS state can't leave the process that created it."""
    return protocol in _CAN_HAND_OVER and (fields.get("sslmode") == "disable" or _on_sockets(fields))


def _on_sockets(fields: Mapping[str, Any]) -> bool:
    """Whether it is reached by Unix sockets only, which are never encrypted."""
    return all(entry.startswith("/") for entry in str(fields.get("host") or "").split(","))
