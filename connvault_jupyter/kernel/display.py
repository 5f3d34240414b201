"""Shows connections and audit events as tables, in plain text and in HTML. Never holds a secret.

Everything shown comes from outside: control and bidirectional characters are stripped, HTML is escaped.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from . import responses

# The server's own page; without a browser tab on it there is no panel.
DEEP_LINK = "/lab?connvault=new"

# The id of a suggestion follows.
PROPOSAL_LINK = "/lab?connvault="

_STATUS = {
    "secret_missing": "needs password",
    "fields_missing": "draft",
    "destination_changed": "needs password",
    "secret_unreadable": "replace secret",
    "provider_missing": "provider missing",
    "provider_changed": "edit it",
    "edited": "changed outside",
    "unconfirmed": "not confirmed",
    "workspace_new": "needs your own secret",
    "workspace_changed": "changed in the project",
    "workspace_gone": "gone from the project",
    "workspace_unreadable": "the project's file can't be read",
}


def plain(text: str) -> str:
    """`text` without characters that move, hide or reorder others (Unicode Cc, Cf, Zl, Zp)."""
    return "".join(
        character for character in text if unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp")
    )


def status_words(status: str, reason: str | None, *, vault: str) -> str:
    """The state in a word or two, as in the panel."""
    if status == "ready":
        return "ready" if vault == "unlocked" else "locked"
    return _STATUS.get(reason or "", status)


class Table:
    """Rows with headings; renders as text and as HTML."""

    def __init__(self, heading: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
        self.heading = tuple(heading)
        self.rows = tuple(tuple(plain(cell) for cell in row) for row in rows)
        self.empty = empty

    def __repr__(self) -> str:
        if not self.rows:
            return self.empty
        table = [self.heading, *self.rows] if any(self.heading) else list(self.rows)
        widths = [max(len(row[column]) for row in table) for column in range(len(self.heading))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        )

    def _repr_html_(self) -> str:
        import html

        if not self.rows:
            return f"<p>{html.escape(self.empty)}</p>"
        cell = 'style="text-align:left;padding:2px 12px 2px 0;color:var(--jp-ui-font-color1)"'
        head = "".join(f"<th {cell}>{html.escape(name)}</th>" for name in self.heading)
        head = f"<thead><tr>{head}</tr></thead>" if any(self.heading) else ""
        body = "".join(
            "<tr>" + "".join(f"<td {cell}>{html.escape(value)}</td>" for value in row) + "</tr>"
            for row in self.rows
        )
        return f"<table>{head}<tbody>{body}</tbody></table>"


class ConnectionTable(Sequence[responses.ConnectionSummary]):
    """The connections, as a read-only list that renders as a table. Returned by `connections()`."""

    def __init__(self, connections: Iterable[responses.ConnectionSummary], *, vault: str) -> None:
        self._connections = tuple(connections)
        self.vault = vault
        """`absent`, `locked` or `unlocked`."""

    @property
    def names(self) -> list[str]:
        return [item.name for item in self._connections]

    @overload
    def __getitem__(self, index: int) -> responses.ConnectionSummary: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[responses.ConnectionSummary]: ...
    def __getitem__(
        self, index: int | slice
    ) -> responses.ConnectionSummary | Sequence[responses.ConnectionSummary]:
        return self._connections[index]

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[responses.ConnectionSummary]:
        return iter(self._connections)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectionTable) and self._connections == other._connections

    def __hash__(self) -> int:
        return hash(self._connections)

    def table(self) -> Table:
        return Table(
            ("name", "kind", "destination", "status", "delivery"),
            (
                (
                    item.name,
                    item.provider_name,
                    item.destination,
                    status_words(item.status, item.status_reason, vault=self.vault),
                    responses.how_by(item.delivery),
                )
                for item in self._connections
            ),
            empty=f"No connections yet. Create one in JupyterLab's Connections panel: {DEEP_LINK}",
        )

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


# Type of an event -> what happened and the result, in the panel's words (labextension/src/words/events.ts).
_EVENTS: Mapping[str, tuple[str, str]] = {
    "access:asked": ("asked", "waiting"),
    "access:granted": ("asked", "allowed"),
    "access:denied": ("asked", "denied"),
    "access:expired": ("asked", "no answer"),
    "access:withdrawn": ("asked", "withdrawn"),
    "access:interrupted": ("asked", "interrupted"),
    "access:refused": ("asked", "refused"),
    "access:checked": ("used", ""),
    "grant:revoked": ("permission revoked", ""),
    "grant:voided": ("permission void", ""),
}
_ANSWERS = frozenset(kind for kind, (what, _) in _EVENTS.items() if what == "asked") - {
    "access:asked",
    "access:refused",
}


def audit_table(events: Iterable[responses.Event]) -> Table:
    """The audit events in the given order (newest first), times in the local zone.

    An answered question is shown as its answer; others are still waiting.
    """

    def cells(event: responses.Event) -> tuple[str, ...]:
        kind, _, action = event.type.partition(":")
        what, outcome = _EVENTS.get(event.type, (action.replace("_", " ") or kind, ""))
        if event.outcome != "ok" and not outcome:
            outcome = event.outcome
        # A "no" has no duration, and the outcome shows it already.
        lasts = "" if event.decision == "deny" else responses.DECISIONS.get(event.decision or "", "")
        mode = responses.MODES.get(event.mode or "", event.mode or "")
        return (
            event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            event.connection or "",
            what,
            ", ".join(part for part in (outcome, lasts) if part),
            mode,
        )

    return Table(
        ("when", "connection", "what", "outcome", "how"),
        map(cells, _told_once(events)),
        empty="No activity of this notebook yet.",
    )


def _told_once(events: Iterable[responses.Event]) -> Iterator[responses.Event]:
    """`events` without the questions whose answers are included."""
    answered: Counter[tuple[str | None, str | None]] = Counter()
    for event in events:
        subject = (event.connection, event.mode)
        if event.type in _ANSWERS:
            answered[subject] += 1
        if event.type == "access:asked" and answered[subject] > 0:
            answered[subject] -= 1
            continue
        yield event
