"""What was asked does not fit: the contract, what is there, or what has become of it meanwhile."""

from __future__ import annotations

from .error import ConnvaultError


class InvalidRequest(ConnvaultError):
    """The request does not match the contract; `details["errors"]` lists `{path, message}`."""

    code = "invalid_request"
    status_hint = 400
    default_message = "The request does not match the API. Compare it with openapi.json."


class MalformedFrame(InvalidRequest):
    code = "malformed_frame"
    default_message = (
        "The message is not a valid frame (a length, then a JSON object), so the channel was closed."
    )


class RequestTooLarge(InvalidRequest):
    code = "request_too_large"
    status_hint = 413
    default_message = "The request is larger than 1 MiB. Send less at a time."


class VersionMismatch(InvalidRequest):
    code = "version_mismatch"
    default_message = (
        "The kernel and the server have different versions of connvault-jupyter. Install the same version "
        "in both environments and restart the kernel."
    )


class UnknownOperation(InvalidRequest):
    code = "unknown_operation"
    status_hint = 404
    default_message = "Unknown operation."


class SealedRequestInvalid(InvalidRequest):
    """The message does not say which part was wrong: that would only help an attacker."""

    code = "sealed_request_invalid"
    default_message = "The sealed request can't be opened. Reload the page and enter the secret again."


class InvalidFields(InvalidRequest):
    code = "invalid_fields"
    status_hint = 422
    default_message = "Some fields are not valid. See the message at each field."


class ExportFileInvalid(InvalidRequest):
    """A file of exported connections can't be read.

    `details["reason"]`: `foreign` | `newer` | `truncated` | `changed` | `too_large`.
    """

    code = "export_file_invalid"
    status_hint = 422
    default_message = "This is not a file of connections that connvault has exported."


class ExportTooLarge(InvalidRequest):
    code = "export_too_large"
    status_hint = 413
    default_message = "This is more than fits into one file. Export some of the connections into another one."


class NotFound(ConnvaultError):
    code = "not_found"
    status_hint = 404
    default_message = "Not found."


class ConnectionNotFound(NotFound):
    """`details["suggestion"]` names a connection with a similar name, where there is one."""

    code = "connection_not_found"
    default_message = "No connection has this name. Create it in the Connections panel."


class ProviderNotFound(NotFound):
    code = "provider_not_found"
    default_message = "This kind of connection is not installed. Install the package that provides it."


class GrantNotFound(NotFound):
    code = "grant_not_found"
    default_message = "This permission no longer exists."


class AccessRequestNotFound(NotFound):
    code = "access_request_not_found"
    default_message = "This request is no longer open."


class SecretNotFound(NotFound):
    code = "secret_not_found"
    default_message = "This connection has no such secret field."


class ProposalNotFound(NotFound):
    code = "proposal_not_found"
    default_message = "This suggestion has expired. Run the cell again."


class SlotNotFound(NotFound):
    code = "slot_not_found"
    default_message = "The vault has no such key slot."


class Conflict(ConnvaultError):
    code = "conflict"
    status_hint = 409
    default_message = "This was changed in the meantime. Reload it."


class NameTaken(Conflict):
    code = "name_taken"
    default_message = "Another connection has this name. Choose another one."


class RevisionConflict(Conflict):
    code = "revision_conflict"
    status_hint = 412
    default_message = "The connection was changed in the meantime. Reload it, then repeat your change."


class RevisionRequired(Conflict):
    code = "revision_required"
    status_hint = 428
    default_message = "Send the revision that you last read, in the If-Match header."


class AccessRequestChanged(Conflict):
    code = "access_request_changed"
    default_message = "The request changed after it was shown. Review it again."


class AccessRequestDecided(Conflict):
    code = "access_request_decided"
    default_message = "This request has already been answered."


class ConnectionNotReady(Conflict):
    code = "connection_not_ready"
    default_message = "The connection is incomplete. Edit it in the Connections panel."


class NameClash(Conflict):
    """Two connections that a notebook can see have one name; the message names both places."""

    code = "name_clash"
    default_message = "Your own connections and this project's have one of this name. Rename one of them."


class WorkspaceNotAccepted(Conflict):
    code = "workspace_not_accepted"
    default_message = (
        "This project has the connection, but you have not accepted it yet. Review it in the Connections "
        "panel, and enter your own secret there."
    )


class WorkspaceFileInvalid(Conflict):
    """The message names the file, the line where that is known, and what to do."""

    code = "workspace_file_invalid"
    default_message = "The project's file of connections can't be used. Correct it, or restore it."


class WorkspaceFileChanged(Conflict):
    code = "workspace_file_changed"
    default_message = "The project's file was changed in the meantime. Review it again."


class SealingKeyChanged(Conflict):
    """The broker was restarted in the meantime; the page fetches the new key and tries once more."""

    code = "sealing_key_changed"
    default_message = "connvault was restarted after the page was loaded. Try again."


class VaultExists(Conflict):
    code = "vault_exists"
    default_message = "The vault is already set up. Unlock it instead."


class LastSlot(Conflict):
    code = "last_slot"
    default_message = (
        "This key slot has to stay: without it nobody could open the vault. Add another one first."
    )


class WrongKind(ConnvaultError):
    """`details["kind"]` is the kind that the connection has."""

    code = "wrong_kind"
    status_hint = 409
    default_message = "The connection is of another kind. Ask for it with its own kind, or without one."
