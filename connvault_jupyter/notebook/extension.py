"""`%load_ext connvault_jupyter`: adds magic, completion and fix-its to a shell, and removes them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kernel.api import connection, connections
from .completion import Completer
from .fixit import FixIts
from .magic import NAME, ConnectionsMagic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Where a loaded extension is kept, so that a second load replaces it.
_MARK = "_connvault_loaded"

_NAMES: dict[str, Any] = {"connection": connection, "connections": connections}


@dataclass(frozen=True)
class _Loaded:
    fixits: FixIts
    magic: Any
    completer: Any


def load(shell: InteractiveShell) -> None:
    """Registers `%connections`, its completion and the fix-its; offers `connection` and `connections` as names, unless
    the notebook uses them for something else."""
    unload(shell)
    magic = ConnectionsMagic(shell=shell)
    completer = Completer()
    fixits = FixIts(shell=shell)
    # One object for both: each access to a bound method creates a new one.
    run = magic.run
    untyped: Any = shell
    untyped.register_magic_function(run, magic_kind="line", magic_name=NAME)
    untyped.set_hook("complete_command", completer, str_key=f"%{NAME}")
    fixits.install()
    names = {name: value for name, value in _NAMES.items() if name not in shell.user_ns}
    # Not interactive: %who should only list what the person defined.
    untyped.push(names, interactive=False)
    setattr(shell, _MARK, _Loaded(fixits, run, completer))


def unload(shell: InteractiveShell) -> None:
    """Undoes `load`; harmless if there was none."""
    loaded = getattr(shell, _MARK, None)
    if loaded is None:
        return
    delattr(shell, _MARK)
    loaded.fixits.remove()
    lines = shell.magics_manager.magics["line"]
    if lines.get(NAME) is loaded.magic:
        del lines[NAME]
    _remove_completer(shell, loaded.completer)
    for name, value in _NAMES.items():
        if shell.user_ns.get(name) is value:
            del shell.user_ns[name]


def _remove_completer(shell: InteractiveShell, completer: Any) -> None:
    # IPython can't remove a hook: its dispatcher maps the key to a chain of (priority, function).
    chain = shell.strdispatchers["complete_command"].strs.get(f"%{NAME}")
    if chain is not None:
        chain.chain[:] = [
            entry for entry in chain.chain if getattr(entry[1], "__func__", entry[1]) is not completer
        ]
