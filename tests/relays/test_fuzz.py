"""What clients and hostile servers may send to the relays: anything at all. And that the fuzzer finds what there is.

The long run (`make fuzz`) is of `CONNVAULT_FUZZ_EXAMPLES` rounds a protocol, or of `CONNVAULT_FUZZ_SECONDS` each. With
`CONNVAULT_FUZZ_KEEP=1` what reaches something new joins the corpus.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.fuzz import (
    fuzz_http,
    fuzz_mysql,
    fuzz_postgresql,
    fuzz_redis,
    fuzz_ssh,
    guided,
)
from tests.support.fuzz.guided import (
    MOST_SAMPLES,
    Hang,
    Target,
    Ways,
    budget,
    checked,
    distil,
    fuzz,
)

TARGETS = {
    target.name: target
    for target in (
        fuzz_http.TARGET,
        fuzz_mysql.TARGET,
        fuzz_postgresql.TARGET,
        fuzz_redis.TARGET,
        fuzz_ssh.TARGET,
    )
}
every_protocol = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@every_protocol
def test_when_the_corpus_is_sent_nothing_is_broken(target: Target) -> None:
    """What once was interesting stays so; each door has a sample."""
    samples, ways = target.samples(), Ways(target.modules)
    for sample in samples:
        assert checked(target, sample, ways, memory=True)
    assert {door for door, _ in samples} == {*target.acceptor}
    assert len(samples) <= MOST_SAMPLES


@every_protocol
def test_when_samples_are_mutated_for_a_moment_nothing_is_broken(target: Target) -> None:
    """The long run's first rounds."""
    assert fuzz(target, rounds=100).rounds == 100


@pytest.mark.fuzz
@every_protocol
def test_when_samples_are_mutated_for_long_nothing_is_broken(target: Target) -> None:
    """Most of the code is reached."""
    report = fuzz(target, **budget())
    print(report)  # noqa: T201 -- shown with -rA
    if os.environ.get("CONNVAULT_FUZZ_KEEP"):
        print(distil(target, report.found), "samples")  # noqa: T201
    assert report.lines > 0.7 * report.code_lines


def test_when_the_agents_corpus_is_sent_something_is_signed_and_something_is_refused() -> None:
    """Mutants of conversations that are all refused would prove nothing."""
    folder = TARGETS["ssh"].folder
    signed = {path.name: fuzz_ssh.signatures(path.read_bytes()) for path in folder.glob("agent-*")}
    assert signed["agent-openssh-login"] == 1
    assert signed["agent-paramiko-login"] == 0
    assert fuzz_ssh.signatures((folder / "agent-paramiko-login").read_bytes(), bound=False) == 1
    assert signed["agent-sshsig"] == signed["agent-forwarded"] == signed["agent-other-user"] == 0


def parser(data: bytes) -> None:
    """With a mistake that shows after the right beginning only."""
    if data[:1] != b"o":
        return
    if data[1:2] != b"k":
        return
    if data[2:3] == b"x":
        raise KeyError(data[3:])


def endless(data: bytes) -> None:
    """Never comes to an end."""
    while data:
        pass


def greedy(data: bytes) -> None:
    """Takes what no connection may have."""
    assert bytes(32 * 1024 * 1024)


def target_of(folder: Path, *samples: bytes) -> Target:
    for number, sample in enumerate(samples):
        (folder / f"parser-{number}").write_bytes(sample)
    acceptor = {"parser": parser, "endless": endless, "greedy": greedy}
    return Target("itself", acceptor, (sys.modules[__name__],), corpus=folder)


def test_a_mistake_that_is_far_away_is_found(tmp_path: Path) -> None:
    """Step by step: what goes a new way is gone on from."""
    with pytest.raises(AssertionError) as failure:
        fuzz(target_of(tmp_path, b"on the way"), rounds=30_000)
    assert isinstance(failure.value.__cause__, KeyError)


def test_an_input_without_an_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang is a failure and ends by itself."""
    monkeypatch.setattr(guided, "LONGEST_S", 0.05)
    target = target_of(tmp_path)
    with pytest.raises(AssertionError) as failure:
        checked(target, ("endless", b"x"), Ways(target.modules))
    assert isinstance(failure.value.__cause__, Hang)


def test_an_input_that_takes_memory_is_found(tmp_path: Path) -> None:
    """More than a connection may have."""
    target = target_of(tmp_path)
    with pytest.raises(AssertionError) as failure:
        checked(target, ("greedy", b"x"), Ways(target.modules), memory=True)
    assert "bytes of memory" in str(failure.value.__cause__)


def test_the_same_seed_sends_the_same(tmp_path: Path) -> None:
    """A failure can be repeated."""
    target_of(tmp_path, b"on the way")

    def sent(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        fuzz(Target("itself", {"parser": inputs.append}, (), corpus=tmp_path), rounds=300, seed=seed)
        return inputs

    assert sent(3) == sent(3) != sent(4)


def test_of_what_was_found_the_few_that_reach_all_are_kept(tmp_path: Path) -> None:
    """And what a person has named stays."""
    target = target_of(tmp_path, b"a")
    found = [("parser", data) for data in (b"bb", b"okay", b"ok", b"on")]
    for more in (found, ()):
        assert distil(target, more) == 3
        assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"a", b"ok", b"on"}
