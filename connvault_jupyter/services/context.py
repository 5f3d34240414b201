"""What the services share, in groups that their constructors take. `assembly` creates them; no rules here.

`Runtime` comes from the process, `Context` is what every service uses.
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
from .workspace_ports import WorkspaceFiles


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
    """What the process that runs the services provides.

    `name` names it (`pid:start time`) in the questions that it leaves open; `projects` are the files below the server's
    root; `hardening_detail` is shown with the vault:
    what was refused of its hardening, empty if nothing was.
    """

    name: str
    clock: Clock
    randomness: Randomness
    publish: Publish
    lock: Lock
    projects: WorkspaceFiles
    hardening_detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every service uses: clock, randomness, the lock, transactions, the activity log, events and the
    settings."""

    clock: Clock
    randomness: Randomness
    publish: Publish
    lock: Lock
    transactions: Transactions
    audit: AuditService
    settings: BrokerSettings
