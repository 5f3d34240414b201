"""Writes the vectors of this folder, once a format version: `python -m tests.vault.make_vectors envelope_v2`.

An existing file is never written again: the files say what was written to people's disks.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, get_args

from cryptography.hazmat.primitives.asymmetric import ec

from connvault_jupyter.services.ports import Position
from connvault_jupyter.services.secrets.slots import place_of
from connvault_jupyter.services.vault_ports import MacPurpose, SealContext
from connvault_jupyter.vault.envelope import check_value, derive_keys
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from connvault_jupyter.vault.sealed_requests import SealedRequests
from connvault_jupyter.vault.slot_keys import X25519SlotKeys
from tests.support.browser.sealing import padded, sealed

FOLDER = Path(__file__).parent / "vectors"

BASE = SealContext(
    vault_id="6f1c8a",
    scope="user",
    connection_id="Zm9vYmFy",
    field="password",
    provider_id="postgresql",
    destination={"host": "db.internal", "port": 5432, "sslmode": "verify-full", "ca_certificate": None},
)


def counting(start: int) -> Any:
    """Bytes in a row instead of random ones."""
    return lambda length: bytes((start + at) % 256 for at in range(length))


def envelope_cases() -> list[dict[str, Any]]:
    contexts = {
        "a password": (b"correct horse", BASE),
        "an empty secret": (b"", BASE),
        "no destination": (
            bytes(range(256)),
            dataclasses.replace(BASE, provider_id="secret", field="value", destination={}),
        ),
        "every kind of value": (
            "pässwörd \U0001f600".encode(),
            dataclasses.replace(
                BASE, destination={"a": True, "b": False, "c": 1.5, "d": -3, "e": 'q"\\\n', "ü": "\u2028é"}
            ),
        ),
    }
    cases = []
    for number, (name, (secret, context)) in enumerate(contexts.items()):
        master_key, random = counting(number * 16)(32), counting(number + 1)
        keys = derive_keys(master_key, context.vault_id, random=random)
        message = f"message {number}".encode()
        cases.append(
            {
                "name": name,
                "master_key": master_key.hex(),
                "nonce": random(12).hex(),
                "context": dataclasses.asdict(context),
                "secret": secret.hex(),
                "envelope": keys.seal(secret, context).hex(),
                "message": message.hex(),
                "mac_grant": keys.mac("grant", message).hex(),
                "mac_audit": keys.mac("audit", message).hex(),
                "check": check_value(master_key, context.vault_id).hex(),
            }
        )
    return cases


def generations_cases() -> list[dict[str, Any]]:
    """Two generations of a vault each; the older of the first case has no epoch, as before there were generations."""
    cases = []
    for number, older_epoch in enumerate((b"", (7).to_bytes(8, "big") + counting(90)(32))):
        context = dataclasses.replace(BASE, field=("password", "tökén")[number])
        generation = (2, 8)[number]
        master_key, random = counting(number * 16)(32), counting(number + 1)
        epoch = generation.to_bytes(8, "big") + counting(number + 40)(32)
        older = derive_keys(master_key, context.vault_id, older_epoch, random=random)
        keys = derive_keys(master_key, context.vault_id, epoch, random=random)
        secret, message = b"correct horse", f"message {number}".encode()
        ended = Position((258, 1)[number], counting(number + 70)(32))
        cases.append(
            {
                "name": ("from before there were generations", "the eighth")[number],
                "master_key": master_key.hex(),
                "nonce": random(12).hex(),
                "older_epoch": older_epoch.hex(),
                "epoch": epoch.hex(),
                "generation": generation,
                "context": dataclasses.asdict(context),
                "secret": secret.hex(),
                "message": message.hex(),
                "check": check_value(master_key, context.vault_id, epoch).hex(),
                "macs": {name: keys.mac(name, message).hex() for name in get_args(MacPurpose)},
                "envelope": keys.seal(secret, context).hex(),
                "claim": keys.seal_claim(message, b"reason").hex(),
                "taken_over": keys.wrap(older, older.seal(secret, context), context).hex(),
                "ended": [ended.sequence, ended.digest.hex()],
                "kept": keys.keep_record(older, context.vault_id, ended).hex(),
            }
        )
    return cases


def passphrase_cases() -> list[dict[str, Any]]:
    cases = []
    for number, (name, passphrase) in enumerate(
        {"plain": "correct horse battery", "composed": "pässwörter für éine"}.items()
    ):
        master_key = counting(number * 32)(32)
        custodian = PassphraseCustodian(random=counting(number + 1))
        kept = custodian.keep("6f1c8a", master_key, passphrase)
        cases.append(
            {
                "name": name,
                "vault_id": "6f1c8a",
                "passphrase": passphrase,
                "master_key": master_key.hex(),
                "parameters": dict(kept),
            }
        )
    return cases


def _same(private: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    return private


def sealed_request_cases() -> list[dict[str, Any]]:
    """Each under an encapsulated key of its own, which can't be chosen: what is written once stays."""
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "a passphrase": ("vault.unlock", {"passphrase": "correct horse battery"}),
        "two passphrases": ("vault.passphrase", {"current": "pässwört \U0001f600", "new": 'q"\\\n'}),
        "a secret": (
            "secrets.set",
            {"id": "Zm9vYmFy", "field": "password", "revision": 3, "value": "x" * 3000},
        ),
    }
    cases = []
    for number, (name, (operation, request)) in enumerate(requests.items()):
        private = ec.derive_private_key(int.from_bytes(counting(number * 16 + 1)(32), "big"), ec.SECP256R1())
        opener = SealedRequests(randomness=counting(number + 1), generate=partial(_same, private))
        key = opener.key().model_dump()
        cases.append(
            {
                "name": name,
                "private_key": f"{private.private_numbers().private_value:064x}",
                "key": key,
                "operation": operation,
                "plaintext": padded(request).decode(),
                **sealed(key, operation, request),
            }
        )
    return cases


def slot_keys_cases() -> list[dict[str, Any]]:
    """Each under an encapsulated key of its own, which can't be chosen: what is written once stays."""
    keys, cases = X25519SlotKeys(), []
    for number, slot_id in enumerate(("6f1c8a", "Zm9vYmFy")):
        secret, master_key, message = counting(number * 16)(32), counting(100)(32), counting(number)(40)
        place, generation = place_of("6f1c8a", slot_id), number + 2
        public_key = keys.public_key(secret, place)
        cases.append(
            {
                "name": ("the first slot", "another slot")[number],
                "secret": secret.hex(),
                "place": place.decode(),
                "generation": generation,
                "public_key": public_key.hex(),
                "master_key": master_key.hex(),
                "wrapped": keys.wrap(master_key, public_key, place, generation).hex(),
                "message": message.hex(),
                "pin": keys.pin(secret, place, message).hex(),
            }
        )
    return cases


def export_file_cases() -> list[dict[str, Any]]:
    """Of the services' format, so that what is in the files is kept too."""
    connection = {
        "provider_id": "postgresql",
        "name": "warehouse",
        "display_name": "W\u00e4rehouse",
        "fields": {"host": "db.example.org", "port": 5432, "database": "sales", "user": "ada"},
        "reveal_allowed": False,
        "secrets": {"password": {"value": "p\u00e4ss \U0001f600"}},
        "without_secrets": None,
    }
    without = {**connection, "name": "ware-2", "secrets": {}, "without_secrets": "no_reveal"}
    contents = {
        "with a secret": ("correct horse battery", [connection, without]),
        "empty": ("p\u00e4ssw\u00f6rter f\u00fcr \u00e9ine", []),
    }
    cases = []
    for number, (name, (passphrase, connections)) in enumerate(contents.items()):
        content = json.dumps({"made_at": "2026-11-30T12:00:00+00:00", "connections": connections}).encode()
        file = Argon2ExportFiles(random=counting(number + 1)).sealed(content, passphrase)
        cases.append({"name": name, "passphrase": passphrase, "content": content.hex(), "file": file})
    return cases


def main(name: str) -> None:
    make = {
        "envelope": envelope_cases,
        "generations": generations_cases,
        "passphrase": passphrase_cases,
        "sealed_request": sealed_request_cases,
        "slot_keys": slot_keys_cases,
        "export_file": export_file_cases,
    }[name.rpartition("_")[0]]
    with (FOLDER / f"{name}.json").open("x", encoding="utf-8") as file:
        json.dump({"cases": make()}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
