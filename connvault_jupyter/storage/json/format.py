"""The text of connections.json: connections with their MACs and sealed secrets, so that a change is a small diff.

    {
      "connections": {
        "<id>": {
          "connection": {"provider_id": ..., "name": ..., ...},
          "mac": "<base64>",
          "secrets": {"<field>": {"envelope": "<base64>", "ref": "...", "set_at": "2026-11-24T12:00:00.123456Z"}}
        }
      },
      "format": "connvault-connections",
      "version": 1
    }

UTF-8; names sorted, an indent of two spaces, a newline at the end. `connection` is the contract without its id, which
is the block's name. `mac` and `secrets` may be missing: a connection that was stored without keys has no MAC, and a
file that people share has neither. The last use and the last test are not here: each use would change the file.

Evolution: a file says its version. Whatever else may stand in it, or means something else, is a new version, as names
that are not known are refused; a step in `UPGRADES` brings the version before it forward. A newer one is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NoReturn

from pydantic import Field, ValidationError

from ...contracts.connections import Connection
from ...contracts.contract import ConnectionId, Contract, SecretRef, Timestamp
from ...errors import ConnectionsFileInvalid, SchemaTooNew, StorageError
from ...services.ports import SealedSecret, StoredConnection
from ..connections import parsed
from ..rows import canonical_json
from .strict import NotStrict, line_of, strict_json

FORMAT = "connvault-connections"

Blocks = dict[str, Any]
Upgrade = Callable[[Blocks], Blocks]

UPGRADES: Sequence[Upgrade] = ()
"""The step at index n takes the parsed file from version n + 1 to n + 2. Raises: ValueError, TypeError, LookupError."""


def newest_version() -> int:
    """The version that is written."""
    return len(UPGRADES) + 1


_NAMES = {"connections", "format", "version"}
_UNWRITABLE = "A connection has a value that connections.json can't hold. Change it."
_HOW = "Correct it, or restore it from a backup; connvault changes nothing in it until then."


class _Secret(Contract):
    envelope: str
    ref: str
    set_at: Timestamp


class _Block(Contract):
    connection: dict[str, Any]
    mac: str | None = None
    secrets: dict[str, _Secret] = Field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A connection with its secrets by field."""

    stored: StoredConnection
    secrets: Mapping[str, SealedSecret] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """Its block, without its name. Made once: most entries are the same before and after a change.

        Raises: StorageError: JSON can't hold this."""
        try:
            # Half of a surrogate pair has no bytes.
            (
                text := json.dumps(
                    self._block(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False
                )
            ).encode()
        except (ValueError, TypeError, RecursionError):
            raise StorageError(_UNWRITABLE) from None
        return text

    def _block(self) -> Blocks:
        connection = self.stored.connection
        # A connection of the person's own has no such line.
        left_out = {"id", "workspace"} if connection.workspace is None else {"id"}
        block: Blocks = {"connection": connection.model_dump(mode="json", exclude=left_out)}
        if self.stored.mac is not None:
            block["mac"] = _base64(self.stored.mac)
        if self.secrets:
            block["secrets"] = {
                name: _Secret(
                    envelope=_base64(secret.envelope), ref=secret.ref, set_at=secret.set_at
                ).model_dump(mode="json")
                for name, secret in self.secrets.items()
            }
        return block

    def check(self) -> None:
        """That it can be read again: one entry that can't makes the whole file unreadable.

        Raises: StorageError."""
        try:
            if _entry(self.stored.connection.id, json.loads(self.text)) == self:
                return
        except (ValueError, TypeError, RecursionError):
            pass
        raise StorageError(_UNWRITABLE)


def text_of(entries: Mapping[str, Entry]) -> bytes:
    """The whole file. Raises: StorageError."""
    blocks = (
        f"    {json.dumps(identity)}: {entries[identity].text.replace(_NEWLINE, _NEWLINE + '    ')}"
        for identity in sorted(entries)
    )
    inside = f"{{\n{_JOIN.join(blocks)}\n  }}" if entries else "{}"
    text = f'{{\n  "connections": {inside},\n  "format": "{FORMAT}",\n  "version": {newest_version()}\n}}\n'
    return text.encode()


_NEWLINE = "\n"
_JOIN = ",\n"


def entries_of(data: bytes, path: object) -> tuple[dict[str, Entry], int]:
    """The entries of a file by id, and the version that it was written in. Nothing of `data` gets into a message.

    Raises:
        ConnectionsFileInvalid: names `path`, the line where that is known, and what to do.
        SchemaTooNew: a newer version of the package wrote it.
    """
    try:
        text, whole = strict_json(data)
    except NotStrict as exc:
        _refuse(path, exc.what, how=_HOW if exc.mendable else "")
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        _refuse(path, "is not a file of connvault. Move it away, and put yours in its place.", how="")
    version, newest = whole.get("version"), newest_version()
    if type(version) is not int or version < 1:
        _refuse(path, "does not say its version.")
    if version > newest:
        raise SchemaTooNew(
            f"{path} was written by a newer version of connvault-jupyter. Update connvault-jupyter.",
            found=version,
            newest=newest,
        )
    try:
        for upgrade in UPGRADES[version - 1 :]:
            whole = upgrade(whole)
    except (ValueError, TypeError, LookupError, AttributeError):
        _refuse(path, f"has something that its version {version} does not allow.")
    if set(whole) != _NAMES or not isinstance(whole["connections"], dict):
        _refuse(path, "has other parts than connections, format and version.")
    return _entries(whole["connections"], text, path), version


def _entries(blocks: Mapping[str, Any], text: str, path: object) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    names: dict[tuple[str, str], str] = {}
    refs: set[str] = set()
    for identity, block in blocks.items():
        try:
            entry = _entry(identity, block)
        except (ValueError, TypeError, RecursionError) as exc:
            _refuse(path, f"has a connection{_line(text, identity)} that can't be read: {_why(exc)}.")
        connection = entry.stored.connection
        other = names.setdefault((connection.name.lower(), connection.place), identity)
        if other != identity:
            where = f"{_line(text, other)} and{_line(text, identity)}"
            _refuse(path, f"has two connections of one name{where}. Rename one of them.")
        for secret in entry.secrets.values():
            if secret.ref in refs:
                _refuse(path, f"has a secret twice, the second time{_line(text, identity)}.")
            refs.add(secret.ref)
        entries[identity] = entry
    return entries


def _entry(identity: str, block: Any) -> Entry:
    if not isinstance(block, dict):
        raise TypeError
    return _parsed(identity, canonical_json(block))


# Cached by content, as in `storage.connections`: of a file that another broker has changed, few blocks are new.
@lru_cache(maxsize=2048)
def _parsed(identity: str, block: str) -> Entry:
    found = _Block.model_validate_json(block)
    if "id" in found.connection:
        raise ValueError
    connection = parsed(canonical_json({"id": identity, **found.connection}))
    mac = None if found.mac is None else _bytes(found.mac)
    secrets = {
        name: SealedSecret(
            ref=SecretRef(secret.ref),
            connection_id=ConnectionId(identity),
            field=name,
            envelope=_bytes(secret.envelope),
            set_at=secret.set_at,
        )
        for name, secret in found.secrets.items()
    }
    return Entry(StoredConnection(connection, mac), secrets)


def _why(error: Exception) -> str:
    """Names only what the contracts name: the rest is input."""
    if not isinstance(error, ValidationError):
        return "its MAC or a secret is not Base64, or it has an id inside"
    known = {*Connection.model_fields, *_Block.model_fields, *_Secret.model_fields}
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return "it has a name that this version does not know"
    found = ".".join(str(part) for part in first["loc"] if part in known)
    what = "is missing" if first["type"] == "missing" else "has a wrong type or value"
    return f"`{found}` {what}" if found else "it has a wrong type or value"


def _line(text: str, identity: str) -> str:
    found = line_of(text, identity)
    return "" if found is None else f" at line {found}"


def _refuse(path: object, what: str, *, how: str = _HOW) -> NoReturn:
    raise ConnectionsFileInvalid(f"{path} {what} {how}".rstrip()) from None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError from None
