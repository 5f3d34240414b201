"""`jupyter connvault`: brokered connections for programs in any language. It holds no secrets: it asks like any code.

jupyter connvault env NAME             variables for the notebook's own shell or another language's kernel
jupyter connvault run NAME -- COMMAND  one command that may use the connection, also in a terminal
jupyter connvault activity ...         the activity log: list, export, verify, head
jupyter connvault export | import      connections in one encrypted file, for another machine
jupyter connvault slots | rotate       what opens the vault, and another master key for it
jupyter connvault migrate --to STORE   the connections move between database and JSON file
jupyter connvault lab ...              `jupyter lab` (or notebook, server) with its memory closed from the start
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from .._version import __version__
from ..errors import ConnvaultError
from ..kernel.api import connection
from ..kernel.handle import Handle
from .launch import APPS, launch

# Set by Jupyter's launchers in each kernel, and inherited by its children.
_KERNEL_MARK = "JPY_PARENT_PID"

_ON_THE_VAULT = {
    "activity": (".activity", "run"),
    "export": (".transfer", "run_export"),
    "import": (".transfer", "run_import"),
    "slots": (".slots", "run"),
    "rotate": (".slots", "run_rotate"),
    "migrate": (".migrate", "run"),
}

# sysexits(3) has none for "a person said no"; 77 is EX_NOPERM.
_REFUSED = 77
_NOT_FOUND = 127


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status. `run` does not return: the command replaces this process."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in APPS:
        # All following arguments belong to the application.
        return launch(words[0], words[1:])
    if words and words[0] in _ON_THE_VAULT:
        # Imported only here: they need the contracts, and a program that asks for a connection does not.
        module, name = _ON_THE_VAULT[words[0]]
        run: Callable[[Sequence[str]], int] = getattr(import_module(module, __package__), name)
        return run(words[1:])
    # Our own arguments end at the first `--`; argparse would parse the command's options too.
    end = words.index("--") if "--" in words else len(words)
    asked = _parser().parse_args(words[:end])
    try:
        handle = connection(asked.name, reason=asked.reason, timeout_s=asked.timeout)
        found = handle.env(tcp=asked.tcp)
    except ConnvaultError as exc:
        return _fail(exc.message)
    except ValueError as exc:
        return _fail(str(exc))
    if asked.verb == "run":
        return _run(words[end + 1 :], found)
    return _show(handle, found, asked.format)


def written(variables: Mapping[str, str], form: str) -> str:
    """`shell`: lines for `eval` in a POSIX shell; `json`: one object."""
    if form == "json":
        return json.dumps(dict(variables), indent=2)
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def _show(handle: Handle, found: Mapping[str, str], form: str) -> int:
    if _KERNEL_MARK not in os.environ:
        # The handle belongs to this process, which is about to end: the variables would lead nowhere.
        handle.release()
        return _fail(
            "`env` works only below a notebook's kernel: a handle is valid for the process that asked and "
            "for what that process starts. In a terminal, use: jupyter connvault run NAME -- COMMAND"
        )
    print(written(found, form))  # noqa: T201 -- what the command is for
    return 0


def _run(command: Sequence[str], found: Mapping[str, str]) -> int:
    try:
        # The same process becomes the command, so the handle stays valid for it.
        os.execvpe(command[0], list(command), {**os.environ, **found})  # noqa: S606 -- the person's own command
    except (OSError, ValueError, IndexError):
        return _fail("The command can't be started. Is it installed, and written after `--`?", _NOT_FOUND)


def _fail(message: str, status: int = _REFUSED) -> int:
    print(f"jupyter connvault: {message}", file=sys.stderr)  # noqa: T201 -- the person's answer
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jupyter connvault", description="Connections without passwords.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for app in APPS:
        verbs.add_parser(
            app, help=f"start jupyter {app} with its memory closed to other programs from the beginning"
        )
    verbs.add_parser("activity", help="list, export and verify the activity log, and publish where it ends")
    verbs.add_parser("export", help="write connections into one encrypted file, for another machine")
    verbs.add_parser("import", help="import connections from such a file")
    verbs.add_parser("slots", help="list, add and remove what opens the vault")
    verbs.add_parser("rotate", help="make another master key")
    verbs.add_parser("migrate", help="move the connections between the database and a JSON file")
    env = verbs.add_parser("env", help="print environment variables that let other programs use a connection")
    env.add_argument("--format", choices=("shell", "json"), default="shell")
    run = verbs.add_parser(
        "run",
        help="run a command that may use a connection",
        usage="jupyter connvault run [--reason REASON] [--timeout SECONDS] [--tcp] NAME -- COMMAND",
    )
    for verb in (env, run):
        verb.add_argument("name", help="the connection's name")
        verb.add_argument("--reason", help="one sentence shown to the person who is asked")
        verb.add_argument(
            "--timeout",
            type=float,
            default=60,
            metavar="SECONDS",
            help="how long to wait for the answer (default: 60)",
        )
        verb.add_argument(
            "--tcp",
            action="store_true",
            help="use a loopback TCP port, with a token, for tools that can't use Unix sockets",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
