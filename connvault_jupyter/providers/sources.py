"""Loads definitions of providers: from the catalogue in this package, installed packages, and data folders.

They are validated elsewhere (`definition_rules`). A source that fails becomes a candidate with a failure, never an
exception for the others.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..contracts.providers import ProviderDefinition

ENTRY_POINT_GROUP = "connvault_jupyter.providers_v1"

# The largest sensible definition (a long enum, a detailed icon) has a tenth of that.
MAX_DEFINITION_BYTES = 64 * 1024

# A faulty package must not fill the panel.
MAX_DEFINITIONS_PER_ENTRY_POINT = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A definition as found. `text` is its JSON; `None` if it could not be read, and `failure` says why."""

    source: str
    text: str | None
    failure: str = ""


def built_in() -> Iterator[Candidate]:
    """The catalogue of this package."""
    for file in sorted(files(__package__).joinpath("catalogue").iterdir(), key=lambda found: found.name):
        if file.name.endswith(".json"):
            yield Candidate(f"built in: {file.name}", file.read_text(encoding="utf-8"))


def in_directories(directories: Iterable[str]) -> Iterator[Candidate]:
    """`*.json` of each directory, by name; a directory that does not exist has none."""
    for directory in directories:
        try:
            found = sorted(path for path in Path(directory).iterdir() if path.suffix == ".json")
        except OSError:
            continue
        for path in found:
            yield _read(path)


def installed() -> Iterator[Candidate]:
    """What the entry points of the group return: definitions as dicts or `ProviderDefinition`s."""
    # Sorted by name: the order on the search path differs between machines, and the first of two with the same id
    # wins.
    for entry_point in sorted(
        entry_points(group=ENTRY_POINT_GROUP), key=lambda found: (found.name, found.value)
    ):
        yield from _called(entry_point)


def _read(path: Path) -> Candidate:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DEFINITION_BYTES + 1)
    except OSError as error:
        return Candidate(str(path), None, f"The file can't be read ({type(error).__name__}).")
    if len(content) > MAX_DEFINITION_BYTES:
        return Candidate(str(path), None, "The file is larger than 64 KiB.")
    try:
        return Candidate(str(path), content.decode("utf-8"))
    except UnicodeDecodeError:
        return Candidate(str(path), None, "The file is not UTF-8 text.")


def _called(entry_point: EntryPoint) -> Sequence[Candidate]:
    package = entry_point.dist.name if entry_point.dist else "unknown package"
    source = f"package {package}: {entry_point.name}"
    try:
        found = list(entry_point.load()())
    # SystemExit too: third-party code may try to end the process during import.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        _log.debug("provider source %s failed", source, exc_info=True)
        return [Candidate(source, None, f"The package's code failed with {type(error).__name__}.")]
    if len(found) > MAX_DEFINITIONS_PER_ENTRY_POINT:
        return [
            Candidate(source, None, f"It returns more than {MAX_DEFINITIONS_PER_ENTRY_POINT} definitions.")
        ]
    return [_written(source, at, definition) for at, definition in enumerate(found, start=1)]


def _written(source: str, at: int, definition: Any) -> Candidate:
    """Converted to JSON text, so that all sources are validated alike and keep no reference to the result."""
    source = f"{source} ({at})"
    if isinstance(definition, ProviderDefinition):
        return Candidate(source, definition.model_dump_json())
    if not isinstance(definition, Mapping):
        return Candidate(source, None, "It returns something that is not a definition.")
    try:
        text = json.dumps(dict(definition), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return Candidate(source, None, "The definition can't be written as JSON.")
    if len(text) > MAX_DEFINITION_BYTES:
        return Candidate(source, None, "The definition is larger than 64 KiB.")
    return Candidate(source, text)
