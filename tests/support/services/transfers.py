"""Connections exported from one world and imported into another."""

from __future__ import annotations

from typing import Any

from connvault_jupyter.contracts.transfer import (
    ExportConnections,
    ExportedConnections,
    ImportConnections,
    ImportedConnections,
    ImportPreview,
    PreviewImport,
)
from tests.support.services.service_world import PERSON, World
from tests.support.services.slots import key_proof

FILE_PASSPHRASE = "the passphrase of the file"


def proof(world: World) -> dict[str, str]:
    """Of the slot that a world has by itself."""
    return key_proof(world, "System keyring")


def exported(world: World, **given: Any) -> ExportedConnections:
    request = {"passphrase": FILE_PASSPHRASE, **given}
    return world.connection_exports.export(ExportConnections.model_validate(request), actor=PERSON)


def exported_with_secrets(world: World, **given: Any) -> ExportedConnections:
    """All of them, also those that forbid to reveal: they are withheld first."""
    return with_all_secrets(world, proof(world), **given)


def with_all_secrets(world: World, known: dict[str, Any], **given: Any) -> ExportedConnections:
    """`known`: a slot's secret."""
    exported(world, with_secrets=True, proof=known, **given)
    ids = [view.connection.id for view in world.connections.list().connections]
    return exported(world, with_secrets=True, proof=known, although_no_reveal=ids, **given)


def previewed(world: World, file: str, passphrase: str = FILE_PASSPHRASE) -> ImportPreview:
    return world.connection_imports.preview(
        PreviewImport.model_validate({"file": file, "passphrase": passphrase})
    )


def imported(world: World, file: str, *decisions: dict[str, Any]) -> ImportedConnections:
    request = {"file": file, "passphrase": FILE_PASSPHRASE, "decisions": [*decisions]}
    return world.connection_imports.take(ImportConnections.model_validate(request), actor=PERSON)


def add(name: str = "warehouse", **more: Any) -> dict[str, Any]:
    return {"name": name, "action": "add", **more}


def replace(world: World, name: str = "warehouse") -> dict[str, Any]:
    """As decided by somebody who sees what there is now."""
    (revision,) = [
        view.connection.revision
        for view in world.connections.list().connections
        if view.connection.name == name
    ]
    return {"name": name, "action": "replace", "revision": revision}
