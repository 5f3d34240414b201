"""What the services have in common, in groups that their constructors take. `assembly` makes them; no rule is here.

`Runtime` is what the process gives, `Context` what every service works with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..contracts.supervision import BrokerSettings
from .audit.service import AuditService
from .ports import (
    AuditStore,
    Clock,
    DocumentStore,
    GrantStore,
    HandleStore,
    Lock,
    OpenQuestionStore,
    Publish,
    Randomness,
    SecretStore,
    Transactions,
)
from .vault_ports import VaultStore


class Stores(Protocol):
    """All stores of one database."""

    @property
    def transactions(self) -> Transactions: ...
    @property
    def vault(self) -> VaultStore: ...
    @property
    def connections(self) -> DocumentStore: ...
    @property
    def secrets(self) -> SecretStore: ...
    @property
    def grants(self) -> GrantStore: ...
    @property
    def handles(self) -> HandleStore: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def questions(self) -> OpenQuestionStore: ...


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What the process that runs the services gives them.

    `name` names it (`pid:start time`) in the questions that it leaves open; `hardening_detail` is shown with the vault:
    what was refused of its hardening, empty if nothing was.
    """

    name: str
    clock: Clock
    randomness: Randomness
    publish: Publish
    lock: Lock
    hardening_detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every service works with, whatever it is about: time, chance, the lock, one place to store, one to record
    and one to tell, and what was set."""

    clock: Clock
    randomness: Randomness
    publish: Publish
    lock: Lock
    transactions: Transactions
    audit: AuditService
    settings: BrokerSettings
