"""What connvault relies on fails: how it was started, its database, its processes, the service of a connection."""

from __future__ import annotations

from .error import ConnvaultError


class AuthenticationOff(ConnvaultError):
    code = "authentication_off"
    status_hint = 403
    default_message = (
        "This Jupyter Server runs without authentication, so anyone could use the secrets. "
        "Start it with a token or a password."
    )


class StorageError(ConnvaultError):
    code = "storage_error"
    default_message = "The connvault database can't be used. See the server log."


class StorageFull(StorageError):
    code = "storage_full"
    status_hint = 507
    default_message = "The disk is full, so this use can't be logged and was refused. Free some space."


class StorageBusy(StorageError):
    code = "storage_busy"
    status_hint = 503
    default_message = "The connvault database is busy. Try again."


class SchemaTooNew(StorageError):
    code = "schema_too_new"
    default_message = "The connvault database was written by a newer version. Update connvault-jupyter."


class ConnectionsFileInvalid(StorageError):
    code = "connections_file_invalid"
    default_message = "The file of the connections can't be used. Correct it, or restore it from a backup."


class WorkspaceReadOnly(StorageError):
    code = "workspace_read_only"
    status_hint = 403
    default_message = "The project's folder can't be written. Nothing was changed."


class UpstreamError(ConnvaultError):
    code = "upstream_error"
    status_hint = 502
    default_message = "The service did not accept the connection."


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    default_message = "The service can't be reached. Check host, port and network."


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_auth_failed"
    default_message = "The service refused the login. Check the user and replace the secret."


class UpstreamTlsFailed(UpstreamError):
    code = "upstream_tls_failed"
    default_message = "The encrypted connection failed. Check the TLS mode and the CA certificate."


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    status_hint = 504
    default_message = "The service did not answer in time. Check host and port."


class UpstreamRefused(UpstreamError):
    code = "upstream_refused"
    default_message = (
        "The service answered, but refused the request. Check the database or path, and what the user is "
        "allowed to do."
    )


class BrokerUnavailable(ConnvaultError):
    code = "broker_unavailable"
    status_hint = 503
    default_message = "connvault's broker does not answer. It is being restarted; run the cell again."


class ProcessTraced(ConnvaultError):
    """A process that has secrets, or is about to get them, has a debugger attached to it."""

    code = "process_traced"
    status_hint = 503
    default_message = (
        "A debugger is attached to a connvault process and could read secrets, so connvault does not start. "
        "Detach the debugger, then reload the page."
    )
