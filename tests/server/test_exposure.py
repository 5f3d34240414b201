"""What a server says and does about those who could read what is typed into its page."""

from __future__ import annotations

import pytest

from connvault_jupyter.errors import BrokerUnavailable, ProcessTraced
from connvault_jupyter.server import exposure


@pytest.fixture(autouse=True)
def as_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux, closed from the start, no debugger; this process itself is left as it is."""
    monkeypatch.setattr(exposure, "become_non_dumpable", lambda: True)
    monkeypatch.setattr(exposure, "tracer_of", lambda: 0)
    monkeypatch.setattr(exposure, "closed_at_start", lambda: True)


def test_a_launched_server_has_nothing_to_say() -> None:
    """There is nothing that a person could do better."""
    assert exposure.looked_at(allow_debuggers=False) == exposure.Exposure()


def test_an_ordinary_one_names_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "closed_at_start", lambda: False)
    found = exposure.looked_at(allow_debuggers=False)
    assert "jupyter connvault lab" in found.detail
    assert found.refusal is None


def test_where_a_process_can_not_be_closed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS: also of a launched one."""
    monkeypatch.setattr(exposure, "become_non_dumpable", lambda: False)
    found = exposure.looked_at(allow_debuggers=False)
    assert "close a server" in found.detail
    assert found.refusal is None


def test_with_a_debugger_nothing_is_to_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could read each secret and answer each question."""
    monkeypatch.setattr(exposure, "tracer_of", lambda: 7)
    assert isinstance(exposure.looked_at(allow_debuggers=False).refusal, ProcessTraced)


def test_where_nobody_can_tell_nothing_is_to_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> int:
        raise FileNotFoundError

    monkeypatch.setattr(exposure, "tracer_of", hidden)
    refusal = exposure.looked_at(allow_debuggers=False).refusal
    assert isinstance(refusal, BrokerUnavailable)
    assert "/proc" in refusal.message


def test_who_allows_debuggers_is_told_what_that_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while one is attached: it was asked for."""
    monkeypatch.setattr(exposure, "tracer_of", lambda: 7)
    found = exposure.looked_at(allow_debuggers=True)
    assert "non_dumpable_server" in found.detail
    assert found.refusal is None
