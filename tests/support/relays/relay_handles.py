"""Handles of one connection at real relay processes. The test is the broker: it says what the relays log in with."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.contracts.contract import ConnectionId, GrantId
from connvault_jupyter.contracts.providers import RelayProtocol
from connvault_jupyter.errors import ConnvaultError, HandleInvalid, StorageError
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.relay_ports import RelayEndpoint, RelayOrder

from ..broker.scripted_broker import new_ref as new_ref
from .relay_process import supervised


@dataclass
class Vault:
    """What the relays are answered; it may be changed at any time. `asked` are the refs of all logins, `ended` the
    refs and grants that are over.

    `refusal` is raised instead.
    """

    protocol: RelayProtocol
    fields: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    revision: int = 1
    rotation: str = "r1"
    refusal: ConnvaultError | None = None
    broken: bool = False
    """Whether the database can't be read: then all that is known is that it is not `locked`."""
    locked: bool = False
    ended: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    # The refs of handles through which a secret came back.
    sighted: list[str] = field(default_factory=list)

    def login(self, _client: socket.socket, order: RelayOrder) -> Delivered:
        self.asked.append(order.ref)
        if self.refusal is not None:
            raise self.refusal
        if self.ended & {order.ref, order.grant_id}:
            raise HandleInvalid(reason="revoked")
        return Delivered.model_validate(
            {
                "connection": "warehouse",
                "provider_id": self.protocol,
                "fields": self.fields,
                "secrets": self.secrets,
                "revision": self.revision,
                "rotation": self.rotation,
            }
        )

    def still_good(self, order: RelayOrder) -> bool:
        return not self.locked and (self.broken or not self.ended & {order.ref, order.grant_id})

    def version(self) -> object:
        if self.broken:
            raise StorageError
        return len(self.ended)


class Relays:
    """Opens handles for the connection that `vault` knows at the moment."""

    def __init__(self, supervisor: RelaySupervisor, vault: Vault) -> None:
        self.supervisor = supervisor
        self.vault = vault

    def order(self, ref: str | None = None, **others: Any) -> RelayOrder:
        """`others`: as `order_of`."""
        return order_of(self.vault.protocol, ref or new_ref(), self.vault.fields, **others)

    def endpoint(self, ref: str | None = None, **others: Any) -> RelayEndpoint:
        """A new handle's, or that of this one."""
        return self.supervisor.open(self.order(ref, **others))

    def revoke(self, ref_or_grant: str) -> None:
        """The handle or the permission ends, as if a person had said so. Doesn't wait for the cut."""
        self.vault.ended.add(ref_or_grant)
        self.supervisor.changed()


@contextmanager
def supervised_by(vault: Vault) -> Iterator[RelaySupervisor]:
    """A zygote and, from the first handle on, workers; all gone afterwards."""
    with supervised(
        login=vault.login,
        sighted=lambda order: vault.sighted.append(order.ref),
        still_good=vault.still_good,
        version=vault.version,
        alive=lambda run: run not in vault.ended,
    ) as supervisor:
        yield supervisor


@contextmanager
def relays(vault: Vault) -> Iterator[Relays]:
    with supervised_by(vault) as supervisor:
        yield Relays(supervisor, vault)


def requester(instance: str = "kernel-1") -> Requester:
    """Somebody; their own process is this one."""
    return Requester(kind="notebook", key=instance, instance=instance, label=instance, pid=os.getpid())


def order_of(
    protocol: RelayProtocol,
    ref: str,
    fields: dict[str, Any],
    *,
    instance: str = "kernel-1",
    grant: str = "g" * 22,
    expires_at: datetime | None = None,
    tcp: bool = False,
) -> RelayOrder:
    """For a handle of the one connection, by default under the one grant."""
    return RelayOrder(
        ref=ref,
        requester=requester(instance),
        connection_id=ConnectionId("c" * 22),
        grant_id=GrantId(grant),
        expires_at=expires_at,
        protocol=protocol,
        fields=fields,
        tcp=tcp,
    )
