"""Another process that asks: runs lines of Python one after the other, as a notebook's kernel runs cells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.broker.processes import clean_environment, end

_LOOP = """
import json, sys, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from connvault_jupyter import connection, connections
names = {"connection": connection, "connections": connections}
for line in sys.stdin:
    try:
        code = json.loads(line)
        try:
            value = eval(compile(code, "<cell>", "eval"), names)
        except SyntaxError:
            value = exec(compile(code, "<cell>", "exec"), names)
        answer = {"value": value if isinstance(value, (str, int, float, list, dict, type(None))) else repr(value)}
    except BaseException as exc:
        details = getattr(exc, "details", {})
        answer = {"error": type(exc).__name__, "message": str(exc), "details": {k: repr(v) for k, v in details.items()}}
    print(json.dumps(answer), flush=True)
"""


class Refused(Exception):
    """The line raised: `kind` is the error's type, by name."""

    def __init__(self, kind: str, message: str, details: dict[str, str]) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.details = details


@dataclass
class RequesterProcess:
    """`run` waits for the line to end; `begin` and `finish` are its two halves."""

    process: subprocess.Popen[bytes] = field(repr=False)

    def run(self, code: str) -> Any:
        self.begin(code)
        return self.finish()

    def begin(self, code: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(code).encode() + b"\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        """The value, or its repr. Raises: Refused."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the requester has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"], answer["message"], answer["details"])
        return answer["value"]


@contextmanager
def requester_process(
    home: Path, socket_path: str, *, inside: Sequence[str] = ()
) -> Iterator[RequesterProcess]:
    """A process of its own, that finds the broker at `socket_path`. `inside`: a command that runs it in surroundings of
    its own.
    """
    with subprocess.Popen(
        [*inside, sys.executable, "-c", _LOOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(home, {"CONNVAULT_SOCKET": socket_path}),
        cwd=Path(__file__).resolve().parents[3],
    ) as process:
        try:
            yield RequesterProcess(process)
        finally:
            end(process)
