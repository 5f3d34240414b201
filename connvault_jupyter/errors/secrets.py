"""A secret, or the vault that keeps it, can't be used."""

from __future__ import annotations

from .error import ConnvaultError


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


class VaultReplaced(VaultError):
    """The slot opens, but the keys behind it are not of the vault for which the slot was made."""

    code = "vault_replaced"
    status_hint = 409
    default_message = (
        "This is not the vault that this key slot was made for: somebody has put another one in its place. Enter no "
        "secrets. Restore the data folder from a backup."
    )


class ForeignSlot(VaultError):
    """`details["slots"]`: their ids."""

    code = "foreign_slot"
    status_hint = 409
    default_message = "The vault has a key slot that was put there or changed from outside. Remove it first."


class SlotProofRefused(VaultError):
    code = "slot_proof_refused"
    status_hint = 403
    default_message = "The secret of an existing key slot is needed again: a passphrase, or a slot's own key."
