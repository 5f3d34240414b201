"""What the commands about the vault share: their options, their exit statuses, and what they print."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConnvaultError
from .prompts import printable
from .vault_calls import KINDS

# sysexits(3): EX_NOPERM, as for the other verbs; EX_CANTCREAT. 130: as a shell has it for Ctrl-C.
REFUSED = 77
NOT_WRITTEN = 73
INTERRUPTED = 130


def performed(asked: argparse.Namespace) -> int:
    """Runs the function of the verb; returns the exit status."""
    try:
        status: int = asked.perform(asked)
    except ConnvaultError as exc:
        return _fail(_said(exc), REFUSED)
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain about it while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        about = f"{exc.filename}: " if isinstance(exc.filename, str) else ""
        return _fail(f"{about}{exc.strerror or type(exc).__name__}.", NOT_WRITTEN)
    except KeyboardInterrupt:
        return _fail("Interrupted. What a server was asked before, it may still do.", INTERRUPTED)
    return status


def say(line: str) -> None:
    """Prints one line; nothing in it from outside can move the cursor, or hide what follows."""
    print(printable(line))  # noqa: T201 -- what the command is for


def told(asked: argparse.Namespace, found: Mapping[str, Any], lines: Iterable[str]) -> int:
    """Prints `found` as JSON if that was asked for, else the lines."""
    for line in [json.dumps(found)] if asked.json else lines:
        say(line)
    return 0


def with_server(parser: argparse.ArgumentParser) -> None:
    """The options of a verb that asks a running server."""
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument("--server", metavar="URL", help="which Jupyter server, if several are running")


def with_passphrases(parser: argparse.ArgumentParser) -> None:
    """The options of a verb that asks for passphrases."""
    parser.add_argument(
        "--passphrase-stdin",
        action="store_true",
        help="take passphrases from the standard input, one a line, in the order in which they would be asked for",
    )


def with_proof(parser: argparse.ArgumentParser) -> None:
    """The options of a verb that needs the secret of an existing key slot."""
    parser.add_argument(
        "--proof",
        choices=KINDS,
        help="by which key slot it is proven that you may (default: a passphrase, if the vault has one)",
    )
    parser.add_argument("--key-file", type=Path, metavar="PATH", help="the key file, for --proof key-file")


def _said(error: ConnvaultError) -> str:
    connection = error.details.get("connection")
    return f"{connection}: {error.message}" if isinstance(connection, str) else error.message


def _fail(message: str, status: int) -> int:
    print(printable(f"jupyter connvault: {message}"), file=sys.stderr)  # noqa: T201 -- the person's answer
    return status
