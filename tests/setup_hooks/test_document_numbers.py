"""Numbers that a document says are those of the code. What a person can set, a document links instead: the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connvault_jupyter.broker import broker_process, channel
from connvault_jupyter.relays import ended_ports, limits
from connvault_jupyter.relays.http import post_form
from connvault_jupyter.relays.masking import holding
from connvault_jupyter.relays.postgresql import authentication, pool
from connvault_jupyter.relays.redis import answers, resp
from connvault_jupyter.server.extension import ConnvaultExtension
from connvault_jupyter.services.access import refusal_log
from connvault_jupyter.services.audit import sightings
from connvault_jupyter.services.connections import proposals
from connvault_jupyter.services.consent import throttle
from connvault_jupyter.services.grants import handle_limit
from connvault_jupyter.services.secrets import guessability
from connvault_jupyter.vault import argon2

ROOT = Path(__file__).resolve().parents[2]
SPELT = {
    "two": 2,
    "five": 5,
    "six": 6,
    "ten": 10,
    "twelve": 12,
    "sixteen": 16,
    "twenty-one": 21,
    "a quarter of": 0.25,
}
KIB, MIB = 1024, 1024 * 1024

NUMBERS: list[tuple[str, str, float]] = [
    ("README.md", r"A suggestion ends with its kernel, or after (\w+) minutes", proposals.KEPT_S / 60),
    ("SECURITY.md", r"all (\d+) places taken", channel.MAX_CONNECTIONS),
    ("SECURITY.md", r"Idle connections make room after (\d+) s", channel._EVICT_AFTER_S),
    ("SECURITY.md", r"(\w+) in ten minutes for a notebook", proposals.MAX_OF_ONE),
    ("SECURITY.md", r"sixteen in (\w+) minutes for a notebook", proposals.KEPT_S / 60),
    ("SECURITY.md", r"together; (\d+) in all; one event each", proposals.MAX_IN_ALL),
    ("SECURITY.md", r"(\w+) that end without an answer in 30 s", throttle.MAX_UNANSWERED + 1),
    ("SECURITY.md", r"about all together, ([\w-]+);", throttle.MAX_UNANSWERED_IN_ALL + 1),
    ("SECURITY.md", r"(\w+) events in 30 s for one requester", refusal_log.MAX_NOTED),
    ("SECURITY.md", r"ten events in (\d+) s for one requester", refusal_log.NOTED_EVERY_S),
    (
        "SECURITY.md",
        r"one event in (\d+) minutes for a requester and connection",
        sightings.NOTED_EVERY_S / 60,
    ),
    ("SECURITY.md", r"a requester and connection, (\d+) a day", sightings.NOTED_A_DAY),
    ("SECURITY.md", r"t=(\d+), 64 MiB, p=4", argon2.ITERATIONS),
    ("SECURITY.md", r"t=3, (\d+) MiB, p=4", argon2.MEMORY_KIB / 1024),
    ("SECURITY.md", r"t=3, 64 MiB, p=(\d+)", argon2.LANES),
    ("SECURITY.md", r"SCRAM with fewer than ([\d,]+) iterations", authentication._MIN_ITERATIONS),
    ("SECURITY.md", r"\((\d+) characters or more, about 72 bits", guessability.MIN_CHARS),
    ("SECURITY.md", r"16 characters or more, about (\d+) bits", guessability.MIN_BITS),
    ("SECURITY.md", r"about 72 bits, (\d+) in each part", guessability._MIN_PART_BITS),
    ("SECURITY.md", r"A secret of fewer than (\d+) characters", guessability.MIN_CHARS),
    ("SECURITY.md", r"pauses for ([\d.]+) s within it", holding.HOLD_S),
    ("SECURITY.md", r"with more than (\d+) KiB of arguments", resp.MAX_COMMAND_BYTES / KIB),
    ("SECURITY.md", r"all (\d+) places of a handle", limits.LIMITS.connections),
    ("SECURITY.md", r"stopped for (\w+) minutes \| the broker keeps it", ended_ports._KEPT_S / 60),
    ("docs/deliveries.md", r"its session is kept for (\w+) seconds", pool.IDLE_S),
    ("docs/deliveries.md", r"a session that is at most (\w+) minutes old", pool.MAX_AGE_S / 60),
    ("docs/deliveries.md", r"They share the (\d+) seconds that one server has", limits.LIMITS.connect_s),
    ("docs/deliveries.md", r"keeps saying so for (\w+) minutes", ended_ports._KEPT_S / 60),
    ("docs/deliveries.md", r"with ([\d,]+) iterations or more", authentication._MIN_ITERATIONS),
    ("docs/deliveries.md", r"fewer than (\d+) characters; or words", guessability.MIN_CHARS),
    ("docs/deliveries.md", r"otherwise the last (\d+) KiB", holding.HOLD_BYTES / KIB),
    ("docs/deliveries.md", r"each for (a quarter of) a second at most", holding.HOLD_S),
    ("docs/deliveries.md", r"with more than (\d+) KiB of arguments", resp.MAX_COMMAND_BYTES / KIB),
    ("docs/deliveries.md", r"A kernel can have (\d+) handles of a connection", handle_limit.MAX_LIVE),
    ("docs/processes.md", r"with growing pauses, (\w+) times", broker_process._MAX_STARTS),
    ("DECISIONS.md", r"kept in the broker's memory for (\w+) minutes", proposals.KEPT_S / 60),
    ("DECISIONS.md", r"(\w+) questions in 30 s about one connection", throttle.MAX_UNANSWERED + 1),
    ("DECISIONS.md", r"Refusals make (\w+) rows in 30 s", refusal_log.MAX_NOTED),
    ("DECISIONS.md", r"We refuse fewer than ([\d,]+) SCRAM iterations", authentication._MIN_ITERATIONS),
    ("DECISIONS.md", r"limit stays at (\d+) for a run and a connection", handle_limit.MAX_LIVE),
    ("DECISIONS.md", r"held until it is complete, (\d+) MiB at most", answers._MAX_ANSWER_BYTES / MIB),
    ("DECISIONS.md", r"which are read \((\d+) KiB at most\)", post_form.MAX_START_BYTES / KIB),
    ("DECISIONS.md", r"(\w+) seconds, less than the five", pool.IDLE_S),
]


def number(text: str) -> float:
    words = text.lower()
    return SPELT[words] if words in SPELT else float(words.replace(",", ""))


@pytest.mark.parametrize(("document", "pattern", "value"), NUMBERS)
def test_a_number_in_a_document_is_that_of_the_code(document: str, pattern: str, value: float) -> None:
    """Each sentence is there, and says what the constant says."""
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split())
    found = re.findall(pattern, text)
    assert found, "the sentence is not there (any more)"
    assert {number(one) for one in found} == {value}


def test_no_document_repeats_the_default_of_a_setting() -> None:
    """A person can change it: the page of settings, which is made from the traits, says what it is."""
    repeated = {
        "consent_timeout_s": r"60 s\b|a minute for an answer",
        "cooldown_s": r"half a minute the cell|30 s(?:econds)? after a no",
        "for_s": r"8 hours",
        "always_unused_days": r"30 days",
        "audit_max_bytes": r"64 MiB(?!, p=)",
    }
    assert set(repeated) <= set(ConnvaultExtension.class_own_traits(config=True))
    for name in (
        "README.md",
        "SECURITY.md",
        "docs/deliveries.md",
        "docs/processes.md",
        "notebooks/first_steps.ipynb",
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        for setting, pattern in repeated.items():
            assert re.findall(pattern, text) == [], (
                f"{name} repeats {setting}: link docs/reference/settings.md"
            )
