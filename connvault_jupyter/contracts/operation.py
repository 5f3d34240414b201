"""What an operation of the broker is. The operations themselves: `operator_operations` and `requester_operations`.

Contracts are given by name and imported when first needed: a server creates its routes while starting, and pydantic
with all contracts would be most of what the extension adds to that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .contract import Contract

Door = Literal["operator", "requester"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Http:
    """The operation's HTTP route. `{name}` placeholders in `path` are fields of the request contract; so are query
    arguments (GET) or the JSON body. `if_match`: the If-Match header supplies the field `revision`."""

    method: Method
    path: str
    success: int = 200
    if_match: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation of the broker.

    `asks` and `answers` name the contracts of request and response (`vault.VaultState`).
    `waits`: it may take long (a person, a key derivation, another server), so dispatch must not hold its lock.
    `writes`: it changes something (the authorisation action is `write`, else `read`).
    `cuts`: it cuts open connections before it takes the lock itself, whose holder may be waiting for the database.
    `sealable`: it may contain a secret typed by a person, so it may come sealed to the broker (`sealed.Sealed`).
    """

    door: Door
    name: str
    asks: str
    answers: str
    summary: str
    http: Http | None = None
    waits: bool = False
    writes: bool = False
    cuts: bool = False
    sealable: bool = False

    @property
    def request(self) -> type[Contract]:
        return _contract(self.asks)

    @property
    def response(self) -> type[Contract]:
        return _contract(self.answers)


@cache
def _contract(name: str) -> type[Contract]:
    module, _, model = name.partition(".")
    found: type[Contract] = getattr(import_module(f".{module}", __package__), model)
    return found
