"""`jupyter connvault lab`: starts a Jupyter server with its memory closed to other processes. It changes nothing else.

What is typed into a page passes through the server's process. A server that is started normally hardens itself when
its extension is loaded, a second after its start: files of it that another process of the user has opened until then
stay open, and an attached debugger stays attached. Here the interpreter is executed again so that it is closed from
its first instruction; if the system can't do that, it hardens itself first and continues in a copy. Pid, terminal and
exit status stay the same.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from collections.abc import Callable, Sequence

from ..broker.hardening import (
    become_non_dumpable,
    end_with_parent,
    is_open,
    note_closed_at_start,
    show_as,
    tracer_of,
)
from ..broker.unreadable_exec import unreadable_loader
from ..broker.waiting_parent import continue_in_child

APPS = ("lab", "notebook", "server")

# As in `jupyter lab`, the current folder is not on the module path; `-m` would put it there.
_RUN = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "from connvault_jupyter.cli.launch import run; sys.exit(run(sys.argv[1], sys.argv[2:]))"
)

# The name that ps shows, before the interpreter.
_NAME = "jupyter-connvault"

# sysexits(3): EX_UNAVAILABLE.
_UNAVAILABLE = 69


def launch(app: str, arguments: Sequence[str]) -> int:
    """Becomes `jupyter APP` with these arguments. Only returns if that ends in this process."""
    loader = unreadable_loader()
    if loader is not None:
        try:
            os.execve(  # noqa: S606 -- our own interpreter
                f"/proc/self/fd/{loader}",
                [_NAME, sys.executable, "-c", _RUN, app, *arguments],
                os.environ,
            )
        except OSError:
            # Some policies (noexec memory files, SELinux) forbid what the file's mode allows.
            os.close(loader)
    return run(app, arguments)


def run(app: str, arguments: Sequence[str]) -> int:
    """Runs it in this process, closed; returns the exit status."""
    was_open = is_open()
    show_as(f"jupyter-{app}")
    if become_non_dumpable():
        if _is_traced():
            return _fail(
                "A debugger is attached to this process and could read what is typed. Start it without the "
                "debugger.",
                _UNAVAILABLE,
            )
        if was_open:
            first = os.getpid()
            continue_in_child()
            # On SIGTERM, a server saves and stops its kernels.
            end_with_parent(signal.SIGTERM)
            if os.getppid() != first or _is_traced():
                return _UNAVAILABLE
        note_closed_at_start()
    main = _main_of(app)
    if main is None:
        return _fail(f"`jupyter {app}` is not installed in this environment.", _UNAVAILABLE)
    sys.argv = [f"jupyter-{app}", *arguments]
    status = main()
    return status if isinstance(status, int) else 0


def _is_traced() -> bool:
    try:
        return tracer_of() != 0
    except OSError:
        # Unknown without /proc.
        return True


def _main_of(app: str) -> Callable[[], object] | None:
    """The function that the command `jupyter-APP` runs."""
    for found in importlib.metadata.entry_points(group="console_scripts", name=f"jupyter-{app}"):
        main: Callable[[], object] = found.load()
        return main
    return None


def _fail(message: str, status: int) -> int:
    print(f"jupyter connvault: {message}", file=sys.stderr)  # noqa: T201 -- the person's answer
    return status
