"""`jupyter connvault slots` and `jupyter connvault rotate`: what opens the vault, and another master key for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import SlotNotFound
from .prompts import Prompts
from .running_server import RunningServer, found
from .vault_calls import KINDS, sealed_call, slot_proof, slots_of
from .verbs import performed, told, with_passphrases, with_proof, with_server

_STANDINGS = {
    "genuine": "",
    "foreign": "  FOREIGN: put there or changed from outside; remove it",
    "unchecked": "  (not checked: the vault is locked)",
}
_WORDS = {of: kind for kind, of in KINDS.items()}


def run(words: Sequence[str]) -> int:
    """Returns the exit status."""
    return performed(_parser().parse_args(words))


def run_rotate(words: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="jupyter connvault rotate", description="Makes another master key for the same key slots."
    )
    _complete(parser)
    parser.set_defaults(perform=_rotate)
    return performed(parser.parse_args(words))


def _list(asked: argparse.Namespace) -> int:
    listed = found(asked.server).get("/vault/slots")
    return told(asked, listed, _lines(listed))


def _add(asked: argparse.Namespace) -> int:
    server, prompts = found(asked.server), Prompts(from_stdin=asked.passphrase_stdin)
    request: dict[str, Any] = {"kind": KINDS[asked.kind]}
    if asked.label is not None:
        request["label"] = asked.label
    if asked.kind == "passphrase":
        request["passphrase"] = prompts.new_secret("Passphrase of the new key slot")
    return _changed(asked, server, prompts, "slots.add", request)


def _remove(asked: argparse.Namespace) -> int:
    server, prompts = found(asked.server), Prompts(from_stdin=asked.passphrase_stdin)
    named = [slot["id"] for slot in slots_of(server) if asked.slot in (slot["id"], slot["label"])]
    if len(named) != 1:
        raise SlotNotFound("Name one key slot by its id. `jupyter connvault slots list` shows them.")
    return _changed(asked, server, prompts, "slots.remove", {"id": named[0]})


def _rotate(asked: argparse.Namespace) -> int:
    server, prompts = found(asked.server), Prompts(from_stdin=asked.passphrase_stdin)
    return _changed(asked, server, prompts, "vault.rotate", {})


def _changed(
    asked: argparse.Namespace,
    server: RunningServer,
    prompts: Prompts,
    operation: str,
    request: Mapping[str, Any],
) -> int:
    proof = slot_proof(server, prompts, kind=asked.proof, key_file=asked.key_file)
    listed = sealed_call(server, operation, {**request, "proof": proof})
    return told(asked, listed, _lines(listed))


def _lines(listed: Mapping[str, Any]) -> Iterator[str]:
    for slot in listed["slots"]:
        yield (
            f"{slot['id']}  {_WORDS.get(slot['kind'], slot['kind'])}  {slot['label']}  "
            f"since {slot['created_at'][:10]}{_STANDINGS[slot['standing']]}"
        )
    if listed["changed_outside"]:
        yield "The key slots were changed outside connvault."


def _complete(parser: argparse.ArgumentParser) -> None:
    with_server(parser)
    with_passphrases(parser)
    with_proof(parser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter connvault slots", description="The key slots: what opens a running server's vault."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the key slots, in the order in which they are tried")
    with_server(listing)
    listing.set_defaults(perform=_list)
    adding = verbs.add_parser("add", help="another way to open the vault")
    adding.add_argument("kind", choices=KINDS)
    adding.add_argument("--label", metavar="TEXT", help="what it is called in the list")
    adding.set_defaults(perform=_add)
    removing = verbs.add_parser(
        "remove", help="a way to open the vault ends; the others get another master key"
    )
    removing.add_argument("slot", metavar="SLOT", help="its id, or its label if no other has it")
    removing.set_defaults(perform=_remove)
    for verb in (adding, removing):
        _complete(verb)
    return parser
