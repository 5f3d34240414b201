"""Removes a cell with a secret from IPython's memory and history. The notebook file and the browser still have it.

IPython stores a cell before it runs it: in memory under a dozen names, and in the history database.
"""

from __future__ import annotations

import contextlib
import linecache
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

INSTEAD = "# A secret was typed here. connvault has removed the cell from the history."

_INPUT_NAMES = re.compile(r"_i{1,3}|_i\d+")
# A shorter one would be found in unrelated cells; the running cell is found in any case.
_MIN_CHARS = 4


Tainted = Callable[[object], bool]


def scrub(shell: InteractiveShell, secrets: Iterable[str]) -> None:
    """Replaces the running cell, and every cell of this session that contains one of `secrets`, in `In`, `_ih`, `_i*`,
    IPython's caches and its history database. Never raises: the caller has an error to raise."""
    needles = {secret for secret in secrets if len(secret) >= _MIN_CHARS} | _running_cell(shell)

    def tainted(text: object) -> bool:
        return isinstance(text, str) and any(needle in text for needle in needles)

    manager: Any = shell.history_manager
    if manager is not None:
        _scrub_memory(manager, tainted)
        with contextlib.suppress(Exception):
            _scrub_database(manager, tainted)
    for name, value in list(shell.user_ns.items()):
        if _INPUT_NAMES.fullmatch(name) and tainted(value):
            shell.user_ns[name] = INSTEAD
    _scrub_source_lines(tainted)

    def after(result: ExecutionResult) -> None:
        shell.events.unregister("post_run_cell", after)
        if result.info is not None and tainted(result.info.raw_cell):
            result.info.raw_cell = INSTEAD

    shell.events.register("post_run_cell", after)


def _running_cell(shell: InteractiveShell) -> set[str]:
    """The whole cell, as typed and as transformed: a quoted or escaped secret looks different in it."""
    manager: Any = shell.history_manager
    if manager is None:
        return set()
    # The last ones, and not by the prompt's number, which IPython increments before or after a cell depending on the
    # version.
    cell = (manager.input_hist_raw[-1], manager.input_hist_parsed[-1])
    # A cell that runs without being stored is missing; then the last one is another cell.
    return {text for text in cell if len(text) >= _MIN_CHARS} if "connections" in cell[0] else set()


def _scrub_memory(manager: Any, tainted: Tainted) -> None:
    for cells in (manager.input_hist_raw, manager.input_hist_parsed):
        for index, cell in enumerate(cells):
            if tainted(cell):
                cells[index] = INSTEAD
    for name in ("_i00", "_i", "_ii", "_iii"):
        if tainted(getattr(manager, name, None)):
            setattr(manager, name, INSTEAD)


def _scrub_source_lines(tainted: Tainted) -> None:
    """Where tracebacks look up a cell's lines."""
    for file, entry in list(linecache.cache.items()):
        # (size, mtime, lines, name); a lazy entry has one item. A file on disk (with a time) stays as it is.
        if len(entry) == 4 and entry[1] is None and tainted("".join(entry[2])):
            linecache.cache[file] = (entry[0], entry[1], [INSTEAD + "\n"] * len(entry[2]), entry[3])


def _scrub_database(manager: Any, tainted: Tainted) -> None:
    if not manager.enabled:
        return
    with manager.db_input_cache_lock:
        manager.db_input_cache[:] = [
            (line, INSTEAD, INSTEAD) if tainted(source) or tainted(source_raw) else (line, source, source_raw)
            for line, source, source_raw in manager.db_input_cache
        ]
    manager.writeout_cache()
    # Overwritten with zeros, not only marked as free.
    manager.db.execute("PRAGMA secure_delete = ON")
    with manager.db:
        rows = manager.db.execute(
            "SELECT line, source, source_raw FROM history WHERE session = ?", (manager.session_number,)
        ).fetchall()
        for line, source, source_raw in rows:
            if tainted(source) or tainted(source_raw):
                manager.db.execute(
                    "UPDATE history SET source = ?, source_raw = ? WHERE session = ? AND line = ?",
                    (INSTEAD, INSTEAD, manager.session_number, line),
                )
    # Does nothing unless the database keeps a write-ahead log.
    manager.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
