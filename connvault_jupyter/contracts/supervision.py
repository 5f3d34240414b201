"""What the server extension tells the broker: settings at the start, then kernels and documents. Never on an HTTP
route."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .contract import Contract
from .vault import CustodianKind

ConnectionStoreKind = Literal["sqlite", "json"]


class ConsentSettings(Contract):
    """All in seconds. `timeout_s`: how long a question waits; `once_limit_s`: how long *this time* may last;
    `for_s`: the length offered as `for`; `cooldown_s`: the pause after a no; `repeat_s`: if asked again within it,
    "until the kernel stops" is preselected; `approver_grace_s`: how long a question waits without an open tab;
    `max_open_questions`: per requester at the same time; `always_unused_days`: after how many unused days `always`
    ends.

    People set them by the server extension's traits (all but `repeat_s`), which have the same defaults and bounds.
    """

    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60
    once_limit_s: Annotated[int, Field(ge=1, le=86_400)] = 3600
    for_s: Annotated[int, Field(ge=1, le=2_592_000)] = 28_800
    cooldown_s: Annotated[float, Field(ge=0, le=3600)] = 30
    repeat_s: Annotated[float, Field(ge=0, le=86_400)] = 600
    approver_grace_s: Annotated[float, Field(ge=0, le=60)] = 3
    max_open_questions: Annotated[int, Field(ge=1, le=100)] = 5
    always_unused_days: Annotated[int, Field(ge=1, le=3650)] = 30


class BrokerSettings(Contract):
    """The first frame on the operator channel. Directories are absolute paths.

    `lock_after_idle_s`: 0 is never."""

    data_dir: str
    socket_path: str
    server_root: str
    provider_dirs: list[str] = []
    allowed_providers: list[str] | None = None
    custodian: CustodianKind | Literal["auto"] = "auto"
    connection_store: ConnectionStoreKind = "sqlite"
    key_file: str | None = None
    lock_after_idle_s: Annotated[float, Field(ge=0, le=2_592_000)] = 0
    consent: ConsentSettings = ConsentSettings()
    audit_max_bytes: Annotated[int, Field(ge=65_536)] = 64 * 1024 * 1024
    reveal_allowed: bool = True
    authenticated: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    version: str


class BrokerReady(Contract):
    """The answer to the settings. `non_dumpable`: whether the hardening worked."""

    pid: int
    version: str
    non_dumpable: bool


class Document(Contract):
    """A document of a kernel. `saved`: the file exists below the root and is not Untitled*."""

    path: str
    type: Literal["notebook", "console", "file"]
    saved: bool


class KernelRow(Contract):
    """A kernel of this server. `pid` is the one that the provisioner reports; the kernel may be its child. `local` is
    false for a kernel on another machine."""

    kernel_id: str
    pid: int | None
    display_name: str
    local: bool = True
    documents: list[Document] = []


class KernelTable(Contract):
    """All running kernels; one that is missing has ended."""

    kernels: list[KernelRow]


class ApproverCount(Contract):
    """How many browser tabs could show a question."""

    count: Annotated[int, Field(ge=0)]


class DocumentsGone(Contract):
    """Documents deleted, replaced or renamed through Jupyter: their durable grants are void."""

    paths: Annotated[list[str], Field(max_length=10_000)]
