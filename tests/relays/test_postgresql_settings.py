"""Whether a kept session's settings are still those of new sessions, as the server's messages say it. No server."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from connvault_jupyter.relays.postgresql.login import Session
from connvault_jupyter.relays.postgresql.messages import Malformed, message, parameter_status
from connvault_jupyter.relays.postgresql.settings import ask_settings, note_settings, same_settings
from tests.support.servers.postgres_upstream import READY, read_message

DESCRIPTION = message(b"T", b"\0\x03")
ROW = message(b"D", b"seeded, loaded, settings")
DONE = message(b"C", b"SELECT 1\0")
ANSWER = DESCRIPTION + ROW + DONE + READY
NOTICE = message(b"N", b"SNOTICE\0\0")


@dataclass
class Kept:
    """A session, and its server's end."""

    session: Session
    server: socket.socket

    def says(self, *parts: bytes) -> Kept:
        self.server.sendall(b"".join(parts))
        return self

    def noted(self) -> bytes | None:
        note_settings(self.session, time.monotonic() + 10)
        return self.session.settings_seen


@pytest.fixture
def kept() -> Iterator[Kept]:
    near, server = socket.socketpair()
    with near, server:
        server.settimeout(10)
        yield Kept(Session(near, ("127.0.0.1", 1), {}, b"", {}, 1, b"key!"), server)


def test_the_settings_are_asked_for_in_one_query(kept: Kept) -> None:
    """With a seed of its own, between the two that `setseed` takes."""
    seeds = set()
    for _ in range(3):
        ask_settings(kept.session)
        kind, body = read_message(kept.server)
        seeds.add(body.partition(b"setseed(")[2].partition(b")")[0])
        assert kind == b"Q"
    assert len(seeds) == 3
    assert all(0 <= float(seed) < 1 for seed in seeds)


@pytest.mark.parametrize(
    ("drawn", "seed"), [("800000000000", 0.5), ("000000000000", 0.0), ("ffffffffffff", 1 - 2**-48)]
)
def test_a_seed_is_any_number_below_one(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, drawn: str, seed: float
) -> None:
    """As random as 48 bits are."""
    monkeypatch.setattr(os, "urandom", lambda size: bytes.fromhex(drawn)[:size])
    ask_settings(kept.session)
    assert f"setseed({seed:.15f})".encode() in read_message(kept.server)[1]


def test_a_session_has_the_settings_that_it_was_told(kept: Kept) -> None:
    """The row of the answer."""
    assert kept.says(ANSWER).noted() == b"seeded, loaded, settings"
    assert read_message(kept.server)[0] == b"Q"


def test_a_session_that_can_not_read_its_settings_has_none(kept: Kept) -> None:
    """An error, as of another product, is no failure of the login."""
    refused = message(b"E", b"SERROR\0C42501\0\0")
    assert kept.says(refused, READY).noted() is None
    kept.says(refused, READY)
    assert not same_settings(kept.session)


def test_an_unchanged_session_equals_a_new_one(kept: Kept) -> None:
    """Each time it is asked again."""
    kept.says(ANSWER).noted()
    for _ in range(2):
        kept.says(ANSWER)
        assert same_settings(kept.session)


def test_a_session_whose_settings_changed_is_another(kept: Kept) -> None:
    """By one byte of the row."""
    kept.says(ANSWER).noted()
    kept.says(ANSWER.replace(b"settings", b"settingz"))
    assert not same_settings(kept.session)


def test_a_session_that_the_server_has_closed_is_no_new_one(kept: Kept) -> None:
    """Asking it raises nothing, and its answer never comes."""
    kept.says(ANSWER).noted()
    kept.server.close()
    ask_settings(kept.session)
    ask_settings(kept.session)
    assert not same_settings(kept.session)


def test_what_follows_the_answer_is_kept_for_the_client(kept: Kept) -> None:
    """A notice right after it, whole or in part, is read before what comes later."""
    kept.says(ANSWER, NOTICE[:7]).noted()
    assert kept.session.early == NOTICE[:7]
    kept.says(NOTICE[7:], ANSWER)
    assert same_settings(kept.session)
    assert kept.session.early == b""


def test_a_session_waits_as_long_as_its_client_likes_afterwards(kept: Kept) -> None:
    """The time for the answer is no time for the client's own queries."""
    ask_settings(kept.session)
    assert kept.session.stream.gettimeout() is not None
    kept.says(ANSWER).noted()
    assert kept.session.stream.gettimeout() is None


def test_a_configuration_that_is_reloaded_meanwhile_is_told_to_the_client(kept: Kept) -> None:
    """As the server says it at a login."""
    status = parameter_status("TimeZone", "UTC")
    kept.says(status, ANSWER).noted()
    assert kept.session.greeting == status


ODD = {
    "in a transaction": DESCRIPTION + ROW + DONE + message(b"Z", b"T"),
    "in a failed one": DESCRIPTION + ROW + DONE + message(b"Z", b"E"),
    "a notification": DESCRIPTION + ROW + message(b"A", b"\0\0\0\x01x\0y\0") + DONE + READY,
    "a copy": DESCRIPTION + ROW + message(b"G", b"\0\0\0") + READY,
    "no message": b"\0\0\0\0\0",
    "notices without end": NOTICE * 50 + ANSWER,
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_a_login_whose_settings_are_answered_oddly_can_not_be_used(kept: Kept, answer: bytes) -> None:
    """Nobody knows what the next message would be about."""
    with pytest.raises(Malformed):
        kept.says(answer).noted()


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_a_kept_session_that_answers_oddly_is_no_new_one(kept: Kept, answer: bytes) -> None:
    """It is ended, and nobody hears of it."""
    kept.says(ANSWER).noted()
    kept.says(answer)
    assert not same_settings(kept.session)
