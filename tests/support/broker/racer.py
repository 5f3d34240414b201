"""A process of the same user that is there first: it takes what it can of a process that has only just been executed.

In nature it would have to win a race of some milliseconds. Here the process waits for it: `gate` puts a
`sitecustomize` on the module path, which a user may do to the own interpreters, and which runs before anything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Waits, in the first process that has `marker` among its arguments, until the racer has taken what it wanted. `pid` and
# `go` are pipes: the one says who waits, and the other ends when the wait does.
_GATE = """
import os, sys
folder, marker = {folder!r}, {marker!r}
def wait():
    try:
        os.mkdir(folder + "/claimed")
    except FileExistsError:
        return
    go = os.open(folder + "/go", os.O_RDONLY)
    with open(folder + "/pid", "w") as pid:
        pid.write(str(os.getpid()))
    os.read(go, 1)
    os.close(go)
if marker in " ".join(sys.orig_argv):
    wait()
del wait
"""

# Says as JSON lines what it got. `seize`: stays attached as a tracer instead of taking descriptors; `answer`: speaks
# for the process.
RACER = r"""
import array, ctypes, json, os, re, select, signal, socket, stat, sys, time
folder, how = sys.argv[1], sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
# Before the process can open it, which then waits for its end.
go = os.open(folder + "/go", os.O_RDWR)
pid = int(open(folder + "/pid").read())

def say(**what):
    print(json.dumps(what), flush=True)

def opened(name):
    try:
        return open(f"/proc/{pid}/{name}", "rb", buffering=0)
    except OSError:
        return None

took = {}
if how == "seize":
    # PTRACE_SEIZE, with PTRACE_O_TRACEFORK: children of the process would be traced too.
    if libc.ptrace(0x4206, pid, None, ctypes.c_void_p(2)) == 0:
        took["ptrace"] = True
else:
    for name in ("mem", "maps", "environ"):
        file = opened(name)
        if file is not None:
            took[name] = file
    pidfd = os.pidfd_open(pid)
    sockets = []
    for number in range(64):
        copy = libc.syscall(438, pidfd, number, 0)
        if copy >= 0 and stat.S_ISSOCK(os.fstat(copy).st_mode):
            sockets.append(socket.socket(fileno=copy))
    if sockets:
        took["sockets"] = sockets

def answer():
    # In the place of the process: one end of a socketpair of one's own, passed on as the process passes on its own.
    answered = []
    for taken in took.get("sockets", []):
        ours, theirs = socket.socketpair()
        socket.send_fds(taken, [b"+"], [theirs.fileno()])
        answered.append(ours)
    return answered

if how == "answer":
    took["sockets"] = answer()
say(took=sorted(took), pid=pid)
os.close(go)

def family():
    # The process, and whatever of its children shows the same arguments (it may have forked).
    found, known = [pid], open(f"/proc/{pid}/cmdline").read()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[1])
            if parent == pid and open(f"/proc/{entry}/cmdline").read() == known:
                found.append(int(entry))
        except OSError:
            pass
    return found

def in_memory(needles):
    if not {"mem", "maps"} <= set(took):
        return []
    took["maps"].seek(0)
    text = b""
    while part := took["maps"].read(65536):
        text += part
    found = set()
    for line in text.decode().splitlines():
        span, rights = line.split()[:2]
        begin, end = (int(number, 16) for number in span.split("-"))
        if rights[0] != "r" or end - begin > 1 << 28:
            continue
        try:
            data = os.pread(took["mem"].fileno(), end - begin, begin)
        except (OSError, OverflowError):
            continue
        found.update(needle for needle in needles if needle.encode() in data)
    return sorted(found)

def in_sockets(needles):
    # All that comes, and what comes by descriptors that come with it.
    data, ends = b"", [socket_.dup() for socket_ in took.get("sockets", [])]
    until = time.monotonic() + 3
    while (left := until - time.monotonic()) > 0 and not all(needle.encode() in data for needle in needles):
        for end in select.select(ends, [], [], left)[0]:
            try:
                part, ancillary, _, _ = end.recvmsg(65536, 1024, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                part, ancillary = b"", []
            if not part:
                ends.remove(end)
            data += part
            for frame in re.findall(rb'\{"fork":[^}]*\}', part):
                # As the zygote does when it has forked a worker; what follows is said to the worker.
                told = json.dumps({"forked": json.loads(frame)["fork"], "pid": os.getpid()}).encode()
                end.sendall(len(told).to_bytes(4, "big") + told)
            for level, kind, passed in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    numbers = array.array("i")
                    numbers.frombytes(passed[: len(passed) // 4 * 4])
                    for number in numbers:
                        if stat.S_ISSOCK(os.fstat(number).st_mode):
                            ends.append(socket.socket(fileno=number))
    return [needle for needle in needles if needle.encode() in data]

for line in sys.stdin:
    order, *needles = json.loads(line)
    if order == "memory":
        say(found=in_memory(needles))
    elif order == "stop":
        stopped = family()
        for one in stopped:
            os.kill(one, signal.SIGSTOP)
        say(stopped=len(stopped))
    elif order == "sockets":
        say(found=in_sockets(needles))
    elif order == "continue":
        for one in stopped:
            os.kill(one, signal.SIGCONT)
        say(continued=True)
"""


class Racer:
    """Ready before the process is started that it waits for: the next one with `marker` among its arguments."""

    def __init__(self, folder: Path, *, marker: str, how: str = "take") -> None:
        """`how`: `take` memory and descriptors, `seize` it as a tracer, `answer` for it."""
        folder.mkdir()
        for pipe in ("pid", "go"):
            os.mkfifo(folder / pipe)
        self.gate = folder / "modules"
        self.gate.mkdir()
        (self.gate / "sitecustomize.py").write_text(_GATE.format(folder=str(folder), marker=marker))
        self._process = subprocess.Popen(
            [sys.executable, "-c", RACER, str(folder), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )

    def at_its_gate(self, module: str) -> tuple[str, str]:
        """Arguments of an interpreter that runs a module behind the gate, where no module path is passed on."""
        gate = (self.gate / "sitecustomize.py").read_text()
        return "-c", f"{gate}\nimport runpy\nrunpy.run_module({module!r}, run_name='__main__')"

    def on_the_path(self) -> str:
        """A `PYTHONPATH` that has the gate in it."""
        return os.pathsep.join(filter(None, (str(self.gate), os.environ.get("PYTHONPATH"))))

    def took(self) -> dict[str, Any]:
        """What it got of the process when that had just been started, by name; and the process's `pid`."""
        found: dict[str, Any] = self._heard()
        return found

    def told(self, order: str, *needles: str) -> Any:
        """`memory`, `sockets`: which of the needles are there. `stop`, `continue`: the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *needles]) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def end(self) -> None:
        """It ends, and as a tracer lets go."""
        self._process.communicate()

    def _heard(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())
