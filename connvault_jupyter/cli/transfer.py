"""`jupyter connvault export` and `jupyter connvault import`: connections in one encrypted file, for another machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts.transfer import MAX_FILE_CHARS
from ..errors import ConnectionNotFound, ExportFileInvalid, InvalidRequest
from . import private_output
from .prompts import Prompts
from .running_server import RunningServer, found
from .vault_calls import sealed_call, slot_proof
from .verbs import performed, told, with_passphrases, with_proof, with_server

_FILE = "Passphrase of the file"

_WITHOUT = {
    "not_asked": "without its secrets",
    "no_reveal": "WITHOUT its secrets, which it forbids to reveal; to have them too, repeat with "
    "--although-no-reveal {name}",
    "unreadable": "WITHOUT its secrets: one can't be read",
    "provider_missing": "WITHOUT its secrets: its kind of connection is not installed",
    "none_set": "has no secrets",
}
_LEFT_OUT = {
    "edited": "left out: it was changed outside connvault. Review it in the Connections panel first",
    "unconfirmed": "left out: nobody has confirmed it. Save it in the Connections panel first",
}
_WOULD = {
    "new": "new",
    "same": "is here already, just the same",
    "name_taken": "the name is taken by a connection to the same destination with other settings",
    "other_destination": "THE NAME IS TAKEN BY A CONNECTION TO SOMEWHERE ELSE: {there}",
    "unknown_kind": "its kind of connection ({kind}) is not installed here",
    "invalid": "its fields don't fit the kind of connection that is installed here",
}


def run_export(words: Sequence[str]) -> int:
    """Returns the exit status."""
    return performed(_export_parser().parse_args(words))


def run_import(words: Sequence[str]) -> int:
    """Returns the exit status."""
    return performed(_import_parser().parse_args(words))


def _export(asked: argparse.Namespace) -> int:
    server, prompts = found(asked.server), Prompts(from_stdin=asked.passphrase_stdin)
    with_secrets = asked.with_secrets or bool(asked.although_no_reveal)
    ids = _ids(server)
    request: dict[str, Any] = {
        "ids": [_known(ids, name) for name in asked.names] or None,
        "with_secrets": with_secrets,
        "although_no_reveal": [_known(ids, name) for name in asked.although_no_reveal],
    }
    made: dict[str, Any] = {}

    def file() -> Iterator[str]:
        # Not before there is a place for it: the activity log says that it was exported.
        request["passphrase"] = prompts.new_secret(_FILE)
        if with_secrets:
            request["proof"] = slot_proof(server, prompts, kind=asked.proof, key_file=asked.key_file)
        made.update(sealed_call(server, "connections.export", request))
        yield made.pop("file")

    private_output.write(asked.output, file(), replacing=asked.force)
    return told(asked, {"file": str(asked.output), **made}, _exported(asked.output, made))


def _exported(output: Path, made: Mapping[str, Any]) -> Iterator[str]:
    for one in made["connections"]:
        why = one["without_secrets"]
        yield f"{one['name']}: {'with its secrets' if why is None else _WITHOUT[why].format(name=one['name'])}"
    for one in made["left_out"]:
        yield f"{one['name']}: {_LEFT_OUT[one['reason']]}"
    yield f"Exported to {output}. Without its passphrase nobody can read it, you neither."


def _import(asked: argparse.Namespace) -> int:
    text = _text(asked.file)
    server, prompts = found(asked.server), Prompts(from_stdin=asked.passphrase_stdin)
    opening = {"file": text, "passphrase": prompts.secret(_FILE)}
    preview = sealed_call(server, "connections.import_preview", opening)
    decisions = _decisions(asked, preview["connections"])
    taken = [one for one in decisions if one["action"] != "skip"]
    plan = [*_planned(preview["connections"], decisions)]
    if asked.dry_run or not taken:
        return told(asked, {**preview, "decisions": decisions}, [*plan, "Nothing was imported."])
    if not asked.yes:
        if not prompts.has_person:
            raise InvalidRequest("Nobody can be asked. Look at it with --dry-run, then repeat with --yes.")
        if not prompts.agrees([*plan, "Import this?"]):
            return told(asked, {"connections": [], "skipped": []}, ["Nothing was imported."])
        plan = []
    done = sealed_call(server, "connections.import", {**opening, "decisions": decisions})
    return told(
        asked, done, [*plan, f"Imported: {len(done['connections'])}. Nobody has permission to use them yet."]
    )


def _decisions(asked: argparse.Namespace, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """New ones are added; nothing is replaced and nothing gets another name that was not named.

    Raises: ConnectionNotFound, InvalidRequest."""
    other = dict(_pair(text) for text in asked.rename)
    names = {entry["name"] for entry in entries}
    for name in (*other, *asked.replace, *asked.skip, *asked.only):
        if name not in names:
            raise ConnectionNotFound("The file has no connection of this name.", connection=name)
    return [_decision(entry, asked, other) for entry in entries]


def _decision(
    entry: Mapping[str, Any], asked: argparse.Namespace, other: Mapping[str, str]
) -> dict[str, Any]:
    name = entry["name"]
    if name in asked.skip or (asked.only and name not in asked.only):
        return {"name": name, "action": "skip"}
    if name in other:
        return {"name": name, "action": "add", "as_name": other[name]}
    if name in asked.replace:
        if entry["present"] is None:
            raise ConnectionNotFound("There is no connection of this name here to replace.", connection=name)
        return {"name": name, "action": "replace", "revision": entry["present"]["revision"]}
    return {"name": name, "action": "add" if entry["would"] == "new" else "skip"}


def _planned(entries: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry, decision in zip(entries, decisions, strict=True):
        there = (entry["present"] or {}).get("destination", "")
        secrets = "with its secrets" if entry["secrets"] else "without secrets"
        revealed = ", may be revealed" if entry["reveal_allowed"] and decision["action"] == "add" else ""
        yield f"{entry['name']}: {entry['destination'] or entry['provider_id']}, {secrets}{revealed}"
        yield f"    {_WOULD[entry['would']].format(there=there, kind=entry['provider_id'])}"
        yield f"    -> {_action(decision)}"


def _action(decision: Mapping[str, Any]) -> str:
    if decision["action"] == "add":
        return f"added as {decision.get('as_name', decision['name'])}"
    if decision["action"] == "replace":
        return "REPLACES the one that is here"
    return "skipped"


def _text(file: Path) -> str:
    """Raises: ExportFileInvalid, OSError."""
    with file.open("rb") as opened:
        # A device or a wrong file is not read to its end.
        content = opened.read(MAX_FILE_CHARS + 1)
    if len(content) > MAX_FILE_CHARS:
        raise ExportFileInvalid("This file is larger than any that connvault exports.", reason="too_large")
    try:
        return content.decode("ascii")
    except ValueError:
        raise ExportFileInvalid(reason="foreign") from None


def _ids(server: RunningServer) -> dict[str, str]:
    views = server.get("/connections")["connections"]
    return {view["connection"]["name"]: view["connection"]["id"] for view in views}


def _known(ids: Mapping[str, str], name: str) -> str:
    if name not in ids:
        raise ConnectionNotFound(connection=name)
    return ids[name]


def _pair(text: str) -> tuple[str, str]:
    name, separator, other = text.partition("=")
    if not separator:
        raise InvalidRequest("--rename takes a name of the file and another one, like warehouse=warehouse-2.")
    return name, other


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter connvault export",
        description="Writes connections into one encrypted file, to be imported on another machine.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which connections (default: all)")
    parser.add_argument("--output", "-o", type=Path, required=True, metavar="FILE", help="a new file")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--with-secrets", action="store_true", help="needs a key slot's secret again")
    parser.add_argument(
        "--although-no-reveal",
        action="append",
        default=[],
        metavar="NAME",
        help="with the secrets of this connection too, although it forbids to reveal them",
    )
    with_server(parser)
    with_passphrases(parser)
    with_proof(parser)
    parser.set_defaults(perform=_export)
    return parser


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter connvault import",
        description="Imports connections from an exported file: the new ones, and others as you say.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only these")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="all but these")
    parser.add_argument(
        "--rename", action="append", default=[], metavar="NAME=OTHER", help="import one under another name"
    )
    parser.add_argument(
        "--replace", action="append", default=[], metavar="NAME", help="replace the one of this name"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    with_server(parser)
    with_passphrases(parser)
    parser.set_defaults(perform=_import)
    return parser
