"""Use databases, APIs and buckets from notebooks without touching a password.

Only names that a notebook needs; everything heavy is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .errors import (
        AccessDenied,
        AccessRequestChanged,
        AccessRequestDecided,
        AccessRequestNotFound,
        AuthenticationOff,
        BrokerUnavailable,
        Conflict,
        ConnectionNotFound,
        ConnectionNotReady,
        ConnectionsFileInvalid,
        ConnvaultError,
        ConsentInterrupted,
        ConsentTimeout,
        ConsentWithdrawn,
        CustodianUnavailable,
        DecisionNotOffered,
        ExportFileInvalid,
        ExportTooLarge,
        ForeignSlot,
        GrantNotFound,
        HandleInvalid,
        InvalidFields,
        InvalidRequest,
        LastSlot,
        MalformedFrame,
        NameClash,
        NameTaken,
        NoApprover,
        NotAllowed,
        NotFound,
        ProcessTraced,
        ProposalNotFound,
        ProviderNotFound,
        RequestTooLarge,
        RevealForbidden,
        RevisionConflict,
        RevisionRequired,
        SchemaTooNew,
        SealedRequestInvalid,
        SealingKeyChanged,
        SecretInCode,
        SecretInvalid,
        SecretMissing,
        SecretNotFound,
        SlotNotFound,
        SlotProofRefused,
        StorageBusy,
        StorageError,
        StorageFull,
        TooManyHandles,
        TooManyProposals,
        TooManyQuestions,
        UnknownOperation,
        UpstreamAuthFailed,
        UpstreamError,
        UpstreamRefused,
        UpstreamTimeout,
        UpstreamTlsFailed,
        UpstreamUnreachable,
        VaultError,
        VaultExists,
        VaultLocked,
        VaultNotSetUp,
        VaultReplaced,
        VersionMismatch,
        WeakPassphrase,
        WorkspaceFileChanged,
        WorkspaceFileInvalid,
        WorkspaceNotAccepted,
        WorkspaceReadOnly,
        WrongKind,
        WrongPassphrase,
    )
    from .kernel.api import connection, connections
    from .kernel.display import ConnectionTable
    from .kernel.families import (
        HttpHandle,
        InClearHandle,
        MysqlHandle,
        ObjectStoreHandle,
        PostgresqlHandle,
        RedisHandle,
        SqlHandle,
        SshHandle,
    )
    from .kernel.handle import Handle
    from .kernel.responses import ConnectionSummary

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
    "ConnectionSummary",
    "ConnectionTable",
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
    "Handle",
    "HandleInvalid",
    "HttpHandle",
    "InClearHandle",
    "InvalidFields",
    "InvalidRequest",
    "LastSlot",
    "MalformedFrame",
    "MysqlHandle",
    "NameClash",
    "NameTaken",
    "NoApprover",
    "NotAllowed",
    "NotFound",
    "ObjectStoreHandle",
    "PostgresqlHandle",
    "ProcessTraced",
    "ProposalNotFound",
    "ProviderNotFound",
    "RedisHandle",
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
    "SqlHandle",
    "SshHandle",
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
    "__version__",
    "connection",
    "connections",
]

# Their modules; all other names are errors.
_MODULES = {
    "connection": "kernel.api",
    "connections": "kernel.api",
    "ConnectionSummary": "kernel.responses",
    "ConnectionTable": "kernel.display",
    "Handle": "kernel.handle",
    **dict.fromkeys(
        (
            "HttpHandle",
            "InClearHandle",
            "MysqlHandle",
            "ObjectStoreHandle",
            "PostgresqlHandle",
            "RedisHandle",
            "SqlHandle",
            "SshHandle",
        ),
        "kernel.families",
    ),
}


if not TYPE_CHECKING:
    # Unseen by type checkers, to which every name would be there.
    def __getattr__(name: str) -> Any:
        if name in __all__:
            module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
            return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "connvault-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.extension import ConnvaultExtension

    return [{"module": "connvault_jupyter", "app": ConnvaultExtension}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext connvault_jupyter`: registers `%connections` and the fix-it cards."""
    from .notebook import extension

    extension.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    from .notebook import extension

    extension.unload(shell)
