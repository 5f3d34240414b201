"""Real relay processes for PostgreSQL, wired as in the broker; the test is the broker: it answers the logins."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.contracts.contract import ConnectionId
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.ports import RelayOrder, RelayPlace
from setup_hooks.postgresql import Login
from tests.support.relay_process import supervised


def requester(instance: str = "kernel-1") -> Requester:
    """Somebody; their own process is this one."""
    return Requester(kind="notebook", key=instance, instance=instance, label=instance, pid=os.getpid())


def fields_of(login: Login, **changed: Any) -> dict[str, Any]:
    """A connection's plain fields, without encryption unless told otherwise."""
    fields = {
        "host": login.host,
        "port": login.port,
        "database": login.database,
        "user": login.user,
        "sslmode": "disable",
    }
    return {**fields, **changed}


def new_ref() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@dataclass
class Vault:
    """What the relays are answered. `refusal` is raised instead; `asked` counts logins by ref."""

    fields: dict[str, Any]
    password: str
    revision: int = 1
    rotation: str = "r1"
    refusal: ConnvaultError | None = None
    ended: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    version: int = 0

    def login(self, client: socket.socket, whose: Requester, ref: str) -> Delivered:
        self.asked.append(ref)
        if self.refusal is not None:
            raise self.refusal
        return Delivered.model_validate(
            {
                "connection": "warehouse",
                "provider_id": "postgresql",
                "fields": self.fields,
                "secrets": {"password": self.password},
                "revision": self.revision,
                "rotation": self.rotation,
            }
        )


class Relays:
    """Opens handles for one connection; `place` is a handle's."""

    def __init__(self, supervisor: RelaySupervisor, vault: Vault) -> None:
        self.supervisor = supervisor
        self.vault = vault

    def place(self, ref: str | None = None, *, instance: str = "kernel-1", tcp: bool = False) -> RelayPlace:
        return self.supervisor.open(order_of(ref or new_ref(), self.vault.fields, instance=instance, tcp=tcp))

    def revoke(self, ref: str) -> None:
        self.vault.ended.add(ref)
        self.vault.version += 1
        self.supervisor.changed()


@contextlib.contextmanager
def relays(vault: Vault) -> Iterator[Relays]:
    """A zygote and, from the first handle on, workers; all gone afterwards."""
    with supervised(
        login=vault.login,
        still_good=lambda whose, ref: ref not in vault.ended,
        version=lambda: vault.version,
    ) as supervisor:
        yield Relays(supervisor, vault)


def order_of(
    ref: str, fields: dict[str, Any], *, instance: str = "kernel-1", tcp: bool = False
) -> RelayOrder:
    """For a handle of the one connection."""
    return RelayOrder(
        ref=ref,
        requester=requester(instance),
        connection_id=ConnectionId("c" * 22),
        protocol="postgresql",
        fields=fields,
        tcp=tcp,
    )


def workers() -> list[psutil.Process]:
    """The relay workers below this process: the zygotes' children."""
    return [
        child
        for zygote in psutil.Process().children()
        if "relay_process" in " ".join(zygote.cmdline())
        for child in zygote.children()
    ]


def conninfo(place: RelayPlace, **more: Any) -> dict[str, Any]:
    """What libpq needs; who and where is not its business."""
    return {
        "host": place.directory,
        "port": 5432,
        "user": "anyone",
        "dbname": "anything",
        "sslmode": "disable",
        **more,
    }


def startup_packet(parameters: Mapping[str, str], minor: int = 0) -> bytes:
    """As a client of protocol 3 begins."""
    body = struct.pack(">HH", 3, minor)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack(">I", len(body) + 4) + body
