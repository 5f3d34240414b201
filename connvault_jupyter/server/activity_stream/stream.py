"""Sends the activity log on, event by event, in its order, as far as the destination takes it.

It reads what is committed, so it neither delays nor fails an operation. An event is sent again only where it is not
known whether it arrived: after a failed connection, or if this process was killed between sending and noting it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ...broker.locks import Held
from ...errors import ConnvaultError
from ...services.audit import chain, exported
from .cursor import Cursor, CursorFile
from .destinations import Sender
from .messages import REPLACED, message

Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Calls an operation of the broker and waits for it. Raises: ConnvaultError."""

Tell = Callable[[Mapping[str, Any]], None]
"""Passes on the state (`contracts.audit.StreamState`). Never raises."""

# Messages in one go: a few hundred KB.
BATCH = 200

# The broker tells when something was written; this is for when that was missed, and for who waits for the lock.
LOOK_EVERY_S = 30.0

# Several events in a row make one round.
_GATHER_S = 0.5

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class ActivityStream:
    """`start` it once the broker runs; `poke` it when something was written; `stop` it before the broker ends."""

    def __init__(
        self,
        *,
        label: str,
        sender: Sender,
        cursors: CursorFile,
        ask: Ask,
        tell: Tell,
        log: logging.Logger,
    ) -> None:
        self._label = label
        self._sender = sender
        self._cursors = cursors
        self._ask = ask
        self._tell = tell
        self._log = log
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._held: Held | None = None
        self._cursor = Cursor()
        self._failing_since: str | None = None
        self._told: dict[str, Any] | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="connvault-activity-stream", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Never blocks."""
        self._written.set()

    def stop(self, grace_s: float = 2.0) -> None:
        """What is not sent yet is sent by the next server."""
        self._stopping.set()
        self._written.set()
        if self._thread is not None:
            self._thread.join(grace_s)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._stopping.is_set():
                if self.round():
                    pause_s = _FIRST_PAUSE_S
                    self._written.wait(LOOK_EVERY_S)
                    self._stopping.wait(_GATHER_S)
                    self._written.clear()
                else:
                    self._stopping.wait(pause_s)
                    pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        finally:
            self._sender.close()
            if self._held is not None:
                self._held.release()

    def round(self) -> bool:
        """Sends what there is; whether that worked."""
        try:
            # First, as the broker makes the folder of the lock.
            head = self._ask("audit.head", {})
            if self._held is None:
                self._held = self._cursors.hold()
                if self._held is None:
                    # Another server sends, and this one takes its place when it ends.
                    return True
                self._cursor = self._cursors.read()
            self._send_all(head)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the server goes on, and this tries again
            self._failed(exc)
            return False
        if self._failing_since is not None:
            self._failing_since = None
            self._log.warning("connvault: the activity log is sent to %s again", self._label)
        self._tell_state()
        return True

    def _send_all(self, head: Mapping[str, Any]) -> None:
        cursor = self._cursor
        if cursor.vault_id not in (None, head["vault_id"]):
            # Another vault in this folder, with a log of its own.
            cursor = replace(Cursor(), lost=cursor.lost, refused=cursor.refused)
        self._cursor = replace(cursor, vault_id=head["vault_id"])
        if self._is_replaced(head):
            self._alarm(head)
        while self._cursor.sequence < head["sequence"] and not self._stopping.is_set():
            text = self._ask(
                "audit.export",
                {"format": "jsonl", "first": self._cursor.sequence + 1, "last": head["sequence"]},
            )["text"]
            batches = list(self._batches(text.split("\n")))
            if not batches:
                # What is left was pruned, or can't be read.
                self._note(
                    replace(self._cursor, sequence=head["sequence"], digest=head["digest"]), head["sequence"]
                )
                return
            for batch in batches:
                if not self._send(batch, head):
                    return

    def _batches(self, lines: list[str]) -> Iterator[list[Mapping[str, Any]]]:
        # `split` leaves an empty text after the last line break.
        records = (json.loads(line) for line in lines if line)
        events = [one for one in records if one["record"] == "event"]
        for at in range(0, len(events), BATCH):
            yield events[at : at + BATCH]

    def _send(self, batch: list[Mapping[str, Any]], head: Mapping[str, Any]) -> bool:
        """Whether to continue with the next one. Raises: OSError."""
        digest, sequence = self._cursor.digest, self._cursor.sequence
        for one in batch:
            event = one["event"]
            follows = event["sequence"] == sequence + 1
            if (
                follows
                and chain.digest_of(bytes.fromhex(digest), exported.body_of(event)).hex() != one["digest"]
            ):
                self._alarm(head)
                return False
            digest, sequence = one["digest"], event["sequence"]
        while batch and not self._stopping.is_set():
            sent = self._sender.send([message(one, self._cursor.vault_id) for one in batch])
            last = batch[sent.done - 1]
            missed = last["event"]["sequence"] - self._cursor.sequence - sent.done
            self._note(
                replace(
                    self._cursor,
                    digest=last["digest"],
                    refused=self._cursor.refused + sent.refused,
                ),
                last["event"]["sequence"],
                missed,
            )
            batch = batch[sent.done :]
        return True

    def _note(self, cursor: Cursor, sequence: int, missed: int | None = None) -> None:
        lost = sequence - self._cursor.sequence if missed is None else missed
        if lost:
            self._log.warning(
                "connvault: %d events of the activity log could not be sent to %s: they were removed before, or "
                "can't be read",
                lost,
                self._label,
            )
        if cursor.refused > self._cursor.refused:
            self._log.warning(
                "connvault: %s refused %d events of the activity log",
                self._label,
                cursor.refused - self._cursor.refused,
            )
        self._cursor = replace(cursor, sequence=sequence, lost=self._cursor.lost + lost)
        self._cursors.write(self._cursor)

    def _is_replaced(self, head: Mapping[str, Any]) -> bool:
        """Whether the log ends before what was sent of it, or ends there with another event."""
        ended, at = head["sequence"], self._cursor.sequence
        return bool(ended < at or (ended == at and at and head["digest"] != self._cursor.digest))

    def _alarm(self, head: Mapping[str, Any]) -> None:
        """The log is not the one that was sent: said there, where nobody can take it back. It goes on from here.

        Raises: OSError."""
        self._log.error(
            "connvault: the activity log is not the one that was sent to %s: its end was cut off or changed, or an "
            "older copy was put back",
            self._label,
        )
        self._sender.send(
            [
                {
                    "type": REPLACED,
                    "at": head["at"],
                    "sent_sequence": self._cursor.sequence,
                    "sent_digest": self._cursor.digest,
                    "sequence": head["sequence"],
                    "digest": head["digest"],
                    **({} if head["vault_id"] is None else {"vault_id": head["vault_id"]}),
                }
            ]
        )
        self._cursor = replace(self._cursor, sequence=head["sequence"], digest=head["digest"])
        self._cursors.write(self._cursor)

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = datetime.fromtimestamp(time.time(), timezone.utc).isoformat()
            reason = error.message if isinstance(error, ConnvaultError) else _reason(error)
            self._log.warning(
                "connvault: the activity log can't be sent to %s (%s). It is tried again", self._label, reason
            )
        self._tell_state()

    def _tell_state(self) -> None:
        state = {
            "destination": self._label,
            "sent": self._cursor.sequence,
            "failing_since": self._failing_since,
            "lost": self._cursor.lost,
            "refused": self._cursor.refused,
        }
        # While it works, how far it is concerns nobody.
        if self._told is None or {**state, "sent": 0} != {**self._told, "sent": 0}:
            self._told = state
            self._tell(state)


def _reason(error: Exception) -> str:
    """Never the text of an error that is not the system's: it could quote what was sent."""
    if isinstance(error, OSError):
        return error.strerror or (str(error.args[0])[:60] if error.args else type(error).__name__)
    return type(error).__name__
