"""A coverage-guided fuzzer: mutates samples, and keeps what goes a way through the code that none has gone before.

It is our own because Atheris, which is better at it (`atheris_fuzz` gives it the same targets), is built for few
machines and ends its process; `make test` must run on all of them. No protocol is known here.

A target is a protocol with some doors, such as `client` and `server`. A door is a function that is given bytes and
raises for what must not be. The samples are files `tests/relays/corpus/<protocol>/<door>-<name>`.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import os
import random
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from .mutations import mutated, smaller

ROOT = Path(__file__).parents[3]

# No parser may take longer than this for an input, in processor time.
LONGEST_S = 1.0
LONGEST_BYTES = 64 * 1024
# What a connection may need in a relay.
MOST_MEMORY_BYTES = 16 * 1024 * 1024

# How often memory is looked at, which makes a round several times slower.
_MEMORY_EVERY = 500

# Larger samples make every round slow; what only they reach is reached by repetition.
_LONGEST_SAMPLE_BYTES = 4096
_MINIMISING_TRIES = 40

# Of a protocol, on disk.
MOST_SAMPLES = 80
_FOUND = "found"

Way = int
Sample = tuple[str, bytes]


class Hang(BaseException):
    """An input takes too long. No Exception: nothing that catches those may catch it."""


@dataclass(frozen=True)
class Target:
    """`modules` are the ones whose ways count; `words` are what the protocol is made of."""

    name: str
    acceptor: Mapping[str, Callable[[bytes], None]]
    modules: tuple[ModuleType, ...]
    words: tuple[bytes, ...] = ()
    corpus: Path | None = None

    @property
    def folder(self) -> Path:
        return self.corpus or ROOT / "tests" / "relays" / "corpus" / self.name

    def samples(self) -> list[Sample]:
        """All of them, in the order of their names."""
        return [(path.name.partition("-")[0], path.read_bytes()) for path in sorted(self.folder.iterdir())]


@dataclass
class Report:
    """What a run has done. `lines` were reached, of all the `code_lines` of the modules' functions."""

    target: str
    rounds: int = 0
    seconds: float = 0.0
    ways: int = 0
    lines: int = 0
    code_lines: int = 0
    found: list[Sample] = field(default_factory=list)
    by_door: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        acceptor = ", ".join(f"{name} {count}" for name, count in sorted(self.by_door.items()))
        return (
            f"{self.target}: {self.rounds} rounds in {self.seconds:.0f} s ({acceptor}); "
            f"{self.lines} of {self.code_lines} lines, {self.ways} ways, {len(self.found)} samples found"
        )


class Ways:
    """Which line of the given modules comes after which, in one function. On this thread only."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._files = {str(module.__file__): number << 40 for number, module in enumerate(modules)}

    def of(self, run: Callable[[], object]) -> set[Way]:
        """The ways that a run takes."""
        found: set[Way] = set()
        files = self._files

        def entered(frame: FrameType, _event: str, _argument: object) -> Any:
            file = files.get(frame.f_code.co_filename)
            if file is None:
                return None
            last = file

            def stepped(frame: FrameType, event: str, _argument: object) -> Any:
                nonlocal last
                if event == "line":
                    line = frame.f_lineno
                    found.add(last | line)
                    last = file | line << 20
                return stepped

            return stepped

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            run()
        finally:
            sys.settrace(before)
        return found

    def lines(self, ways: Iterable[Way]) -> int:
        """How many lines they lead to."""
        return len({way & ~(0xFFFFF << 20) for way in ways})

    def code_lines(self) -> int:
        """How many lines the functions of the modules have."""
        count = 0
        for file in self._files:
            waiting = [compile(Path(file).read_bytes(), file, "exec")]
            while waiting:
                inner = [one for one in waiting.pop().co_consts if isinstance(one, CodeType)]
                waiting += inner
                for code in inner:
                    # A class's body runs when it is imported.
                    if code.co_flags & inspect.CO_NEWLOCALS:
                        lines = {line for _, _, line in code.co_lines() if line}
                        count += len(lines - {code.co_firstlineno})
        return count


def fuzz(target: Target, *, rounds: int | None = None, seconds: float | None = None, seed: int = 1) -> Report:
    """So many rounds, or as many as fit in so many seconds; the same ones for the same seed.

    Raises: AssertionError: an input did what must not be; it lies in `build/fuzz/<protocol>`.
    """
    chance = random.Random(seed)  # noqa: S311 -- to be repeated
    report, ways = Report(target.name, by_door=dict.fromkeys(target.acceptor, 0)), Ways(target.modules)
    pool = target.samples()
    seen: set[Way] = set()
    for sample in pool:
        seen |= checked(target, sample, ways)
    began = time.monotonic()
    for number in itertools.count() if rounds is None else range(rounds):
        if seconds is not None and time.monotonic() - began > seconds:
            break
        door, data = _picked(pool, chance)
        others = [data for _, data in chance.sample(pool, min(8, len(pool)))]
        data = mutated(data, chance, others, target.words, longest=LONGEST_BYTES)
        new = checked(target, (door, data), ways, memory=number % _MEMORY_EVERY == 0) - seen
        report.rounds += 1
        report.by_door[door] += 1
        if new:
            data = _minimised(target, (door, data), ways, new)
            seen |= new
            if len(data) <= _LONGEST_SAMPLE_BYTES:
                pool.append((door, data))
                report.found.append((door, data))
    report.seconds = time.monotonic() - began
    report.ways, report.lines, report.code_lines = len(seen), ways.lines(seen), ways.code_lines()
    return report


def checked(target: Target, sample: Sample, ways: Ways, *, memory: bool = False) -> set[Way]:
    """The ways that a sample takes. Raises: AssertionError: it did what must not be."""
    door, data = sample
    check = target.acceptor[door]
    try:
        try:
            with limited(LONGEST_S):
                found = ways.of(lambda: check(data))
        except Hang:
            # Looking on makes it many times slower: once more without.
            found = set()
            with limited(LONGEST_S):
                check(data)
        if memory:
            _measured(lambda: check(data))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        place = ROOT / "build" / "fuzz" / target.name
        place.mkdir(parents=True, exist_ok=True)
        path = place / file_name(door, data, "broke")
        path.write_bytes(data)
        raise AssertionError(f"{path.relative_to(ROOT)}: {data[:200]!r}") from exc
    return found


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """Ends what takes longer, in this process's own processor time. In the main thread only. Raises: Hang."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def distil(target: Target, found: Iterable[Sample]) -> int:
    """Keeps on disk, of what was ever found, the few that go the most ways together; how many samples there are then.

    Samples that a person has named stay as they are.
    """
    ways = Ways(target.modules)
    seen: set[Way] = set()
    count = 0
    candidates: dict[Sample, set[Way]] = {}
    paths = sorted(target.folder.iterdir())
    unnamed = [path for path in paths if path.name.split("-")[1] == _FOUND]
    for path, sample in zip(paths, target.samples(), strict=True):
        taken = checked(target, sample, ways)
        if path in unnamed:
            candidates[sample] = taken
        else:
            seen |= taken
            count += 1
    for sample in found:
        candidates.setdefault(sample, checked(target, sample, ways))
    # Now that none of them has broken anything.
    for path in unnamed:
        path.unlink()
    while candidates and count < MOST_SAMPLES:
        best = max(candidates, key=lambda one: (len(candidates[one] - seen), -len(one[1]), one))
        if not candidates[best] - seen:
            break
        seen |= candidates.pop(best)
        (target.folder / file_name(*best, _FOUND)).write_bytes(best[1])
        count += 1
    return count


def file_name(door: str, data: bytes, kind: str) -> str:
    """A sample that nobody has named."""
    return f"{door}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}"


def budget() -> dict[str, Any]:
    """Of a long run: `CONNVAULT_FUZZ_SECONDS` if it is set, else `CONNVAULT_FUZZ_EXAMPLES` rounds; and its seed."""
    seed = int(os.environ.get("CONNVAULT_FUZZ_SEED", "1"))
    if seconds := os.environ.get("CONNVAULT_FUZZ_SECONDS"):
        return {"seconds": float(seconds), "seed": seed}
    return {"rounds": int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000")), "seed": seed}


def _picked(pool: list[Sample], chance: random.Random) -> Sample:
    """Half of the time one that was found late, as what is new about it is little explored; else any door's."""
    if chance.random() < 0.5:
        return pool[-1 - int(len(pool) * chance.random() ** 3)]
    door = chance.choice(sorted({door for door, _ in pool}))
    return chance.choice([sample for sample in pool if sample[0] == door])


def _minimised(target: Target, sample: Sample, ways: Ways, new: set[Way]) -> bytes:
    door, data = sample
    return smaller(
        data, lambda shorter: new <= checked(target, (door, shorter), ways), tries=_MINIMISING_TRIES
    )


def _measured(run: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY_BYTES, f"{peak} bytes of memory"
