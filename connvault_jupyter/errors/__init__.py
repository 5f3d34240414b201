"""Every error of the package, in one tree. No framework, no secrets, no I/O.

    ConnvaultError
    ├── InvalidRequest            400  the request does not match the contract
    │   ├── MalformedFrame        400
    │   ├── RequestTooLarge       413
    │   ├── VersionMismatch       400  the two ends come from different package versions
    │   ├── UnknownOperation      404
    │   ├── SealedRequestInvalid  400  a sealed request that can't be opened, or was used before
    │   ├── ExportFileInvalid     422  a file of exported connections that can't be read (see `reason`)
    │   ├── ExportTooLarge        413
    │   └── InvalidFields         422  the provider's schema refuses the fields
    ├── NotFound                  404
    │   ├── ConnectionNotFound
    │   ├── ProviderNotFound
    │   ├── GrantNotFound
    │   ├── AccessRequestNotFound
    │   ├── SecretNotFound
    │   ├── SlotNotFound
    │   └── ProposalNotFound           it has expired, or whoever made it has ended
    ├── Conflict                  409
    │   ├── NameTaken
    │   ├── RevisionConflict      412
    │   ├── RevisionRequired      428
    │   ├── AccessRequestChanged       the request changed after it was shown
    │   ├── AccessRequestDecided
    │   ├── ConnectionNotReady         draft or invalid for another reason than its secret
    │   ├── NameClash                  two connections that a notebook can see have one name
    │   ├── WorkspaceNotAccepted       the project has it, this person has not accepted it
    │   ├── WorkspaceFileInvalid
    │   ├── WorkspaceFileChanged       since it was shown
    │   ├── SealingKeyChanged          sealed to a key that the broker no longer has
    │   ├── LastSlot
    │   └── VaultExists
    ├── NotAllowed                403
    │   ├── AccessDenied               by a person or by a rule (see `reason`)
    │   ├── ConsentTimeout        408
    │   ├── ConsentInterrupted    409  the broker ended while the question was open
    │   ├── ConsentWithdrawn      409  whoever asked has gone, or stopped waiting
    │   ├── NoApprover            503  no browser tab could show the question
    │   ├── TooManyQuestions      429
    │   ├── TooManyProposals      429
    │   ├── TooManyHandles        429
    │   ├── HandleInvalid              it has ended, or belongs to another requester (see `reason`)
    │   ├── RevealForbidden
    │   └── DecisionNotOffered
    ├── SecretMissing             409
    ├── SecretInvalid             409
    ├── SecretInCode              400  a secret was typed into a magic
    ├── WrongKind                 409  code asked for another kind of connection than this one is
    ├── VaultError
    │   ├── VaultLocked           423
    │   ├── VaultNotSetUp         423
    │   ├── WrongPassphrase       403
    │   ├── WeakPassphrase        422
    │   ├── CustodianUnavailable  503
    │   ├── VaultReplaced         409  the keys behind a slot are another vault's
    │   ├── ForeignSlot           409  a key slot that was put there or changed from outside
    │   └── SlotProofRefused      403
    ├── AuthenticationOff         403  the server runs without authentication
    ├── StorageError              500
    │   ├── StorageFull           507
    │   ├── StorageBusy           503
    │   ├── SchemaTooNew          500
    │   ├── WorkspaceReadOnly     403
    │   └── ConnectionsFileInvalid
    ├── UpstreamError             502
    │   ├── UpstreamUnreachable
    │   ├── UpstreamAuthFailed
    │   ├── UpstreamTlsFailed
    │   ├── UpstreamTimeout       504
    │   └── UpstreamRefused
    ├── ProcessTraced             503  a debugger could read the secrets
    └── BrokerUnavailable         503

`code` is stable and part of the wire format; `status_hint` is what an HTTP door answers.
A message says what to do next and never quotes what was sent.

All are imported from here and say in a traceback that they are from here; the modules are by subject.
"""

from __future__ import annotations

from .access import (
    AccessDenied,
    ConsentInterrupted,
    ConsentTimeout,
    ConsentWithdrawn,
    DecisionNotOffered,
    HandleInvalid,
    NoApprover,
    NotAllowed,
    RevealForbidden,
    TooManyHandles,
    TooManyProposals,
    TooManyQuestions,
)
from .error import (
    ConnvaultError,
    every_error,
    from_problem,
)
from .failures import (
    AuthenticationOff,
    BrokerUnavailable,
    ConnectionsFileInvalid,
    ProcessTraced,
    SchemaTooNew,
    StorageBusy,
    StorageError,
    StorageFull,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
    WorkspaceReadOnly,
)
from .requests import (
    AccessRequestChanged,
    AccessRequestDecided,
    AccessRequestNotFound,
    Conflict,
    ConnectionNotFound,
    ConnectionNotReady,
    ExportFileInvalid,
    ExportTooLarge,
    GrantNotFound,
    InvalidFields,
    InvalidRequest,
    LastSlot,
    MalformedFrame,
    NameClash,
    NameTaken,
    NotFound,
    ProposalNotFound,
    ProviderNotFound,
    RequestTooLarge,
    RevisionConflict,
    RevisionRequired,
    SealedRequestInvalid,
    SealingKeyChanged,
    SecretNotFound,
    SlotNotFound,
    UnknownOperation,
    VaultExists,
    VersionMismatch,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
    WorkspaceNotAccepted,
    WrongKind,
)
from .secrets import (
    CustodianUnavailable,
    ForeignSlot,
    SecretInCode,
    SecretInvalid,
    SecretMissing,
    SlotProofRefused,
    VaultError,
    VaultLocked,
    VaultNotSetUp,
    VaultReplaced,
    WeakPassphrase,
    WrongPassphrase,
)

__all__ = [
    "AccessDenied",
    "AccessRequestChanged",
    "AccessRequestDecided",
    "AccessRequestNotFound",
    "AuthenticationOff",
    "BrokerUnavailable",
    "Conflict",
    "ConnectionNotFound",
    "ConnectionNotReady",
    "ConnectionsFileInvalid",
    "ConnvaultError",
    "ConsentInterrupted",
    "ConsentTimeout",
    "ConsentWithdrawn",
    "CustodianUnavailable",
    "DecisionNotOffered",
    "ExportFileInvalid",
    "ExportTooLarge",
    "ForeignSlot",
    "GrantNotFound",
    "HandleInvalid",
    "InvalidFields",
    "InvalidRequest",
    "LastSlot",
    "MalformedFrame",
    "NameClash",
    "NameTaken",
    "NoApprover",
    "NotAllowed",
    "NotFound",
    "ProcessTraced",
    "ProposalNotFound",
    "ProviderNotFound",
    "RequestTooLarge",
    "RevealForbidden",
    "RevisionConflict",
    "RevisionRequired",
    "SchemaTooNew",
    "SealedRequestInvalid",
    "SealingKeyChanged",
    "SecretInCode",
    "SecretInvalid",
    "SecretMissing",
    "SecretNotFound",
    "SlotNotFound",
    "SlotProofRefused",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "TooManyHandles",
    "TooManyProposals",
    "TooManyQuestions",
    "UnknownOperation",
    "UpstreamAuthFailed",
    "UpstreamError",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamTlsFailed",
    "UpstreamUnreachable",
    "VaultError",
    "VaultExists",
    "VaultLocked",
    "VaultNotSetUp",
    "VaultReplaced",
    "VersionMismatch",
    "WeakPassphrase",
    "WorkspaceFileChanged",
    "WorkspaceFileInvalid",
    "WorkspaceNotAccepted",
    "WorkspaceReadOnly",
    "WrongKind",
    "WrongPassphrase",
    "every_error",
    "from_problem",
]

for _kind in every_error().values():
    _kind.__module__ = __name__
