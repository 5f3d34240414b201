"""The text of a project's connections.json, so that a change is a small diff and two changes merge.

    {
      "connections": {
        "<id>": {"display_name": "...", "fields": {...}, "name": "...", "provider_id": "..."}
      },
      "format": "connvault-workspace",
      "version": 1
    }

UTF-8; names sorted, an indent of two spaces, a newline at the end. Ids are random, and stay with their block.

Evolution: as of the other file (`storage.json.format`): names that are not known are refused, so whatever else may
stand in it is a new version, and a newer one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from ...contracts.contract import Id
from ...contracts.workspaces import WorkspaceBlock
from ...errors import StorageError, WorkspaceFileInvalid
from ...services.workspace_ports import WorkspaceFile
from ..json.strict import NotStrict, strict_json

FORMAT = "connvault-workspace"
VERSION = 1

# Each is checked, compared and listed while the broker holds its lock, 0.3 ms in all. Projects have a few.
MAX_BLOCKS = 500

_NAMES = {"connections", "format", "version"}
_HOW = "Correct it, or restore it from version control."
_ID: TypeAdapter[str] = TypeAdapter(Id)


def text_of(blocks: Mapping[str, WorkspaceBlock]) -> bytes:
    """The whole file. Raises: StorageError: JSON can't hold this."""
    whole = {
        "connections": {identity: block.model_dump(mode="json") for identity, block in blocks.items()},
        "format": FORMAT,
        "version": VERSION,
    }
    try:
        text = json.dumps(whole, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        # Half of a surrogate pair has no bytes.
        return f"{text}\n".encode()
    except (ValueError, TypeError, RecursionError):
        raise StorageError(
            "A connection has a value that the project's file can't hold. Change it."
        ) from None


def file_of(data: bytes, digest: bytes, name: str) -> WorkspaceFile:
    """What a file says. Nothing of `data` gets into a message.

    Raises: WorkspaceFileInvalid: says `name`, the line where that is known, and what to do.
    """
    try:
        text, whole = strict_json(data)
    except NotStrict as exc:
        _refuse(name, exc.what, how=_HOW if exc.mendable else "")
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        _refuse(name, "is not a project's file of connvault. Move it away.", how="")
    version = whole.get("version")
    if type(version) is not int or version < 1:
        _refuse(name, "does not say its version.")
    if version > VERSION:
        _refuse(
            name, "was written by a newer version of connvault-jupyter. Update connvault-jupyter.", how=""
        )
    if set(whole) != _NAMES or not isinstance(whole["connections"], dict):
        _refuse(name, "has other parts than connections, format and version.")
    if len(whole["connections"]) > MAX_BLOCKS:
        _refuse(name, f"has more than {MAX_BLOCKS} connections. Remove some.", how="")
    lines = _lines(text, whole["connections"])
    return WorkspaceFile(digest, _blocks(whole["connections"], lines, name), lines)


def _lines(text: str, identities: Iterable[str]) -> dict[str, int]:
    """The lines in which blocks begin, as far as they are spelt as usual. `identities` in the order of the text."""
    lines: dict[str, int] = {}
    at, line = 0, 1
    for identity in identities:
        found = text.find(f"{json.dumps(identity, ensure_ascii=False)}:", at)
        if found < 0:
            # Looking on for the others would read the rest of the text for each of them.
            break
        line += text.count("\n", at, found)
        lines[identity], at = line, found
    return lines


def _blocks(found: Mapping[str, Any], lines: Mapping[str, int], name: str) -> dict[str, WorkspaceBlock]:
    blocks: dict[str, WorkspaceBlock] = {}
    names: dict[str, str] = {}
    for identity, raw in found.items():
        where = _at(lines, identity)
        try:
            _ID.validate_python(identity)
            block = WorkspaceBlock.model_validate(raw)
        except ValidationError as exc:
            _refuse(name, f"has a connection{where} that can't be read: {_why(exc)}.")
        # 1e999 is a number for JSON, and none for whoever compares.
        if any(isinstance(value, float) and not isfinite(value) for value in block.fields.values()):
            _refuse(name, f"has a connection{where} with a number that is too large.")
        other = names.setdefault(block.name.lower(), identity)
        if other != identity:
            both = f"{_at(lines, other)} and{where}"
            _refuse(name, f"has two connections of one name{both}. Rename one of them.", how="")
        blocks[identity] = block
    return blocks


def _at(lines: Mapping[str, int], identity: str) -> str:
    return f" at line {lines[identity]}" if identity in lines else ""


def _why(error: ValidationError) -> str:
    """Names only what the contract names: the rest is input."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return "it has a name that this version does not know"
    found = ".".join(str(part) for part in first["loc"] if part in WorkspaceBlock.model_fields)
    what = "is missing" if first["type"] == "missing" else "has a wrong type or value"
    return f"`{found}` {what}" if found else "it has a wrong type, value or id"


def _refuse(name: str, what: str, *, how: str = _HOW) -> NoReturn:
    raise WorkspaceFileInvalid(f"{name} {what} {how}".rstrip()) from None
