"""Every error of the package, in one tree. No framework, no secrets, no I/O.

    ConnvaultError
    ├── InvalidRequest            400  the request does not match the contract
    │   ├── MalformedFrame        400
    │   ├── RequestTooLarge       413
    │   ├── VersionMismatch       400  the two ends come from different package versions
    │   ├── UnknownOperation      404
    │   ├── SealedRequestInvalid  400  a sealed request that can't be opened, or was used before
    │   └── InvalidFields         422  the provider's schema refuses the fields
    ├── NotFound                  404
    │   ├── ConnectionNotFound
    │   ├── ProviderNotFound
    │   ├── GrantNotFound
    │   ├── AccessRequestNotFound
    │   ├── SecretNotFound
    │   └── ProposalNotFound           it has expired, or whoever made it has ended
    ├── Conflict                  409
    │   ├── NameTaken
    │   ├── RevisionConflict      412
    │   ├── RevisionRequired      428
    │   ├── AccessRequestChanged       the request changed after it was shown
    │   ├── AccessRequestDecided
    │   ├── ConnectionNotReady         draft or invalid for another reason than its secret
    │   ├── SealingKeyChanged          sealed to a key that the broker no longer has
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
    │   └── CustodianUnavailable  503
    ├── AuthenticationOff         403  the server runs without authentication
    ├── StorageError              500
    │   ├── StorageFull           507
    │   ├── StorageBusy           503
    │   └── SchemaTooNew          500
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
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from .handle_ends import WORDS


class ConnvaultError(Exception):
    """Base of every error that this package raises on purpose.

    `details` carries names and numbers that help (a suggestion, seconds to wait); never a secret and
    never text from outside that was not cleaned.
    """

    code: ClassVar[str] = "internal_error"
    status_hint: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong inside connvault. See the server log."

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.message = message or self.default_message
        self.details: dict[str, Any] = details
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.details))


def _rebuild(kind: type[ConnvaultError], message: str, details: dict[str, Any]) -> ConnvaultError:
    return kind(message, **details)


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


class SealingKeyChanged(Conflict):
    """The broker was restarted in the meantime; the page fetches the new key and tries once more."""

    code = "sealing_key_changed"
    default_message = "connvault was restarted after the page was loaded. Try again."


class VaultExists(Conflict):
    code = "vault_exists"
    default_message = "The vault is already set up. Unlock it instead."


class NotAllowed(ConnvaultError):
    code = "not_allowed"
    status_hint = 403
    default_message = "This is not allowed."


class AccessDenied(NotAllowed):
    """`details["reason"]`: `denied` (a person), `never` (a stored no) or `cooldown` (asked too soon after a no)."""

    code = "access_denied"
    default_message = (
        "Access was denied. If that was a mistake, wait a little, then run the cell again and allow it."
    )


class ConsentTimeout(NotAllowed):
    code = "consent_timeout"
    status_hint = 408
    default_message = (
        "Nobody answered in time. Wait a little, then run the cell again and answer the request in the "
        "browser."
    )


class ConsentInterrupted(NotAllowed):
    code = "consent_interrupted"
    status_hint = 409
    default_message = "The request was interrupted. Run the cell again."


class ConsentWithdrawn(NotAllowed):
    code = "consent_withdrawn"
    status_hint = 409
    default_message = "The request was cancelled before it was answered."


class NoApprover(NotAllowed):
    code = "no_approver"
    status_hint = 503
    default_message = "No browser tab is open to show the request. Open JupyterLab and run the cell again."


class TooManyQuestions(NotAllowed):
    code = "too_many_questions"
    status_hint = 429
    default_message = "Too many requests are already waiting. Answer them in the browser first."


class TooManyProposals(NotAllowed):
    code = "too_many_proposals"
    status_hint = 429
    default_message = (
        "Too many suggestions for new connections were made in the last ten minutes. Wait a few minutes, "
        "then run the cell again."
    )


class TooManyHandles(NotAllowed):
    """All are in use, so none can make room without ending somebody's session."""

    code = "too_many_handles"
    status_hint = 429
    default_message = (
        "256 handles of this connection are in use here. Release some, or close the clients that they "
        "opened, then run the cell again."
    )


class HandleInvalid(NotAllowed):
    """`details["reason"]` is one of `handle_ends.HandleEnd`; without a `message`, the reason's own words are used."""

    code = "handle_invalid"
    default_message = "This handle is no longer valid. Call connection() again."

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        super().__init__(message or WORDS.get(details.get("reason", "")), **details)


class RevealForbidden(NotAllowed):
    code = "reveal_forbidden"
    default_message = (
        "Code may not reveal this secret as plain text. To allow it, edit the connection in the Connections "
        "panel, unless the server's configuration forbids it."
    )


class DecisionNotOffered(NotAllowed):
    code = "decision_not_offered"
    default_message = "This duration is not available for this notebook or process."


class SecretMissing(ConnvaultError):
    code = "secret_missing"
    status_hint = 409
    default_message = "The connection has no secret yet. Enter it in the Connections panel."


class SecretInvalid(ConnvaultError):
    code = "secret_invalid"
    status_hint = 409
    default_message = "The stored secret can't be read. Replace it in the Connections panel."


class SecretInCode(ConnvaultError):
    code = "secret_in_code"
    status_hint = 400
    default_message = (
        "Secrets don't belong in a cell. Delete the secret from the cell, change the password, and enter "
        "the new one in the form."
    )


class WrongKind(ConnvaultError):
    """`details["kind"]` is the kind that the connection has."""

    code = "wrong_kind"
    status_hint = 409
    default_message = "The connection is of another kind. Ask for it with its own kind, or without one."


class VaultError(ConnvaultError):
    code = "vault_error"


class VaultLocked(VaultError):
    code = "vault_locked"
    status_hint = 423
    default_message = "The vault is locked. Unlock it, then run the cell again."


class VaultNotSetUp(VaultError):
    code = "vault_not_set_up"
    status_hint = 423
    default_message = "Secrets are not protected yet. Choose a passphrase in the Connections panel."


class WrongPassphrase(VaultError):
    code = "wrong_passphrase"
    status_hint = 403
    default_message = "The passphrase is wrong. Try again."


class WeakPassphrase(VaultError):
    code = "weak_passphrase"
    status_hint = 422
    default_message = "The passphrase is too short. Use at least 10 characters."


class CustodianUnavailable(VaultError):
    """The configured holder of the master key does not answer. It is never replaced by another one."""

    code = "custodian_unavailable"
    status_hint = 503
    default_message = "The system keyring does not answer. Unlock it and try again."


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


def _walk(kind: type[ConnvaultError]) -> Iterator[type[ConnvaultError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _walk(child)


def every_error() -> dict[str, type[ConnvaultError]]:
    """All errors by their stable code."""
    return {kind.code: kind for kind in _walk(ConnvaultError)}


def from_problem(problem: Mapping[str, Any]) -> ConnvaultError:
    """The typed error that a Problem (RFC 9457) describes; an unknown code becomes a `ConnvaultError`.

    The unknown code is kept in `details["code"]`, so that an older kernel can still show it.
    """
    code = problem.get("code")
    kind = every_error().get(code if isinstance(code, str) else "", ConnvaultError)
    detail = problem.get("detail")
    details = problem.get("details")
    found = kind(
        detail if isinstance(detail, str) and detail else None,
        **{str(key): value for key, value in details.items()} if isinstance(details, Mapping) else {},
    )
    if kind is ConnvaultError and isinstance(code, str):
        found.details.setdefault("code", code)
    return found
