"""Runs the targets of `guided_fuzz` with Atheris, for whoever has it: it mutates and looks on better than ours.

    pip install atheris          (in an environment of its own, with the package and its test dependencies)
    python -m tests.support.fuzz.atheris redis -max_total_time=600
    python -m tests.support.fuzz.atheris redis --keep

The options are libFuzzer's. `--keep` takes what was found into the corpus, and needs no Atheris. No test imports this.
"""

from __future__ import annotations

import importlib
import sys

from .guided import ROOT, Sample, Target, distil

# A parser that takes this long for an input hangs (libFuzzer counts in seconds), or has no bound for its memory.
_LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=65536")


def main(name: str, *options: str) -> None:
    """`name` is a protocol's."""
    place = ROOT / "build" / "fuzz" / name / "atheris"
    place.mkdir(parents=True, exist_ok=True)
    if "--keep" in options:
        target = _target(name)
        found = [
            _sample(target, path.read_bytes()) for path in sorted(place.iterdir()) if path.stat().st_size
        ]
        print(distil(target, found), "samples")  # noqa: T201 -- for a person
        return
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["connvault_jupyter.relays"]):
        target = _target(name)
    for number, (door, data) in enumerate(target.samples()):
        (place / f"sample-{number}").write_bytes(bytes([_acceptor(target).index(door)]) + data)
    words = place.with_name("atheris-words")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))

    def one(data: bytes) -> None:
        if data:
            door, rest = _sample(target, data)
            target.acceptor[door](rest)

    broken = f"-artifact_prefix={place.parent}/atheris-broke-"
    atheris.Setup([sys.argv[0], f"-dict={words}", broken, *_LIMITS, *options, str(place)], one)
    atheris.Fuzz()


def _target(name: str) -> Target:
    found: Target = importlib.import_module(f"tests.support.fuzz_{name}").TARGET
    return found


def _acceptor(target: Target) -> list[str]:
    return sorted(target.acceptor)


def _sample(target: Target, data: bytes) -> Sample:
    """The first byte picks the door."""
    acceptor = _acceptor(target)
    return acceptor[data[0] % len(acceptor)], data[1:]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(*sys.argv[1:])
