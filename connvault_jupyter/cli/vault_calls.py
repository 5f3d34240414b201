"""What commands about the vault ask of a running server. Whatever a person types goes sealed to the broker, so that the
server's process, which forwards it, can't read it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..contracts.operations import BY_DOOR
from ..errors import InvalidRequest, SealingKeyChanged, SlotProofRefused
from ..services.secrets.slots import name_of
from ..vault.held_secrets import from_key_file, from_keyring
from ..vault.request_sealing import sealed_request
from .prompts import Prompts
from .running_server import RunningServer

# What is typed, and what the table of slots says.
KINDS = {"passphrase": "passphrase", "keyring": "os_keyring", "key-file": "key_file"}


def sealed_call(server: RunningServer, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Performs an operation that has a POST route; its answer. Raises: ConnvaultError."""
    http = BY_DOOR["operator"][operation].http
    if http is None or http.method != "POST":
        raise ValueError(operation)
    in_path = {name: value for name, value in request.items() if f"{{{name}}}" in http.path}
    path = http.path.format(**in_path)
    for last in (False, True):
        body = sealed_request(server.get("/vault/sealing-key"), operation, request)
        try:
            return server.post(path, body)
        except SealingKeyChanged:
            # The broker was started again in between.
            if last:
                raise
    raise AssertionError


def slots_of(server: RunningServer) -> list[dict[str, Any]]:
    """As `contracts.vault.SlotView` in JSON. Raises: ConnvaultError."""
    found: list[dict[str, Any]] = server.get("/vault/slots")["slots"]
    return found


def slot_proof(
    server: RunningServer, prompts: Prompts, *, kind: str | None, key_file: Path | None
) -> dict[str, str]:
    """The secret of an existing slot: typed, or read from the keyring or the key file as this user.

    `kind`: one of `KINDS`; `None`: a passphrase if the vault has one, else what it has.

    Raises: SlotProofRefused: the vault has no such slot. CustodianUnavailable, InvalidRequest.
    """
    slots = slots_of(server)
    kinds = [slot["kind"] for slot in slots]
    if kind is None:
        kind = next((one for one, of in KINDS.items() if of in kinds), "passphrase")
    if kind == "passphrase":
        return {"passphrase": prompts.secret("Passphrase of the vault")}
    if kind == "key-file" and key_file is None:
        raise InvalidRequest("Name the key file with --key-file.")
    slot = next((slot for slot in slots if slot["kind"] == KINDS[kind]), None)
    if slot is None:
        raise SlotProofRefused(
            f"The vault has no key slot of the kind {kind}. `jupyter connvault slots list` shows it."
        )
    name = name_of(server.get("/audit/head")["vault_id"], slot["id"])
    secret = from_keyring(name) if key_file is None else from_key_file(name, key_file.absolute())
    return {"slot": slot["id"], "key": base64.b64encode(secret).decode()}
