"""`jupyter connvault migrate`: moves a vault's connections between its database and connections.json, without a server.

Nothing is unsealed, so no passphrase is needed. The event in the activity log has no MAC of its own; the next one that
is written with the keys covers it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from ..broker.pid_namespaces import PidNamespaces
from ..errors import StorageBusy
from ..storage.migration import Migrated, migrate
from .verbs import performed, told

_HELD = (
    "A server has this vault open, and what it has in memory would not fit any more. Stop all Jupyter servers that use "
    "this vault, then try again."
)


def run(words: Sequence[str]) -> int:
    """Returns the exit status."""
    return performed(_parser().parse_args(words))


def _migrate(asked: argparse.Namespace) -> int:
    data_dir = asked.data_dir.expanduser().absolute()
    if not asked.dry_run and PidNamespaces(data_dir).somebody_anywhere():
        raise StorageBusy(_HELD)
    done = migrate(data_dir=data_dir, to=asked.to, dry_run=asked.dry_run, clock=_now)
    backups = [str(path) for path in done.backups]
    return told(asked, {**asdict(done), "dry_run": asked.dry_run, "backups": backups}, _lines(done, asked))


def _lines(done: Migrated, asked: argparse.Namespace) -> Iterator[str]:
    where = "connections.json" if done.to == "json" else "the database"
    if done.already:
        yield f"Nothing to do: the connections are in {where} already."
        return
    moved = "would move" if asked.dry_run else "moved"
    yield f"{done.connections} connections with {done.secrets} sealed secrets {moved} to {where}."
    for path in done.backups:
        yield f"As it was before: {path}"
    if not asked.dry_run:
        yield f'Now set c.ConnvaultExtension.connection_store = "{done.to}", then start the servers.'


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter connvault migrate",
        description="Moves the connections of a vault between its database and connections.json.",
    )
    parser.add_argument("--to", choices=("json", "sqlite"), required=True)
    parser.add_argument("--dry-run", action="store_true", help="read, convert and compare all, then undo it")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(jupyter_data_dir(), "connvault"),
        metavar="FOLDER",
        help="the vault, if ConnvaultExtension.data_dir is set (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(perform=_migrate)
    return parser
