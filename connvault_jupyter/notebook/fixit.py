"""Typed errors in a notebook: one plain line instead of a traceback, and a card with a button for the next step.

The cell stays an error, for nbconvert and papermill too. A card can only open a form or a screen: its data is part of
the notebook and could have been written by anyone. So it does not contain a form's name and kind; these are suggested
to the broker. No secrets are involved. Otherwise the broker is only asked whether it has ended the handle that an
error is about.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConnvaultError, SecretInCode, VaultLocked
from ..kernel import api
from ..kernel.client_arguments import ArgumentRefused
from ..kernel.display import plain

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

# One line is enough.
_SHORT: tuple[type[Exception], ...] = (ConnvaultError, ArgumentRefused)

FIXIT_MIME = "application/vnd.connvault.fixit+json"
OPEN_COMMAND = "connvault:open"

# Code -> (label, screen) of the button.
_SCREENS: Mapping[str, tuple[str, str]] = {
    "vault_locked": ("Unlock", "unlock"),
    "custodian_unavailable": ("Unlock", "unlock"),
    "vault_not_set_up": ("Set up", "setup"),
    "too_many_questions": ("Show the requests", "questions"),
    "workspace_not_accepted": ("Review the project's connections", "workspaces"),
    "workspace_file_invalid": ("Review the project's connections", "workspaces"),
    "name_clash": ("Review the project's connections", "workspaces"),
}

# The same for errors that are about one connection: without its name nothing can be opened.
_OF_CONNECTION: Mapping[str, tuple[str, str]] = {
    "secret_missing": ("Enter the secret", "secret"),
    "secret_invalid": ("Replace secret", "secret"),
    "upstream_auth_failed": ("Replace secret", "secret"),
    "connection_not_ready": ("Edit connection", "edit"),
    "upstream_unreachable": ("Edit connection", "edit"),
    "upstream_tls_failed": ("Edit connection", "edit"),
    "upstream_timeout": ("Edit connection", "edit"),
    "upstream_refused": ("Edit connection", "edit"),
}

# The same for a handle that has ended, by reason.
_OF_HANDLE: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "revoked": ("Who may use it", {"tab": "grants"}),
    "changed": ("Show the connection", {}),
    "document_gone": ("Who may use it", {"tab": "grants"}),
}

# Errors whose button opens the form for a new connection.
_FORMS = frozenset({"connection_not_found", "secret_in_code"})

# Why a handle has ended.
_WHY_ENDED: Mapping[str, str] = {
    "revoked": "its permission was revoked",
    "expired": "its permission expired",
    "changed": "the connection was changed",
    "deleted": "the connection was deleted",
    "document_gone": "its notebook was moved, replaced or deleted",
    "kernel_gone": "its kernel has ended",
    "evicted": "it made room for a newer handle",
    "released": "it was released",
    "foreign": "it belongs to another process",
}
_LOCKED = "the vault was locked"

# Our messages are "What happened. What to do."; a name may contain a full stop, but no space.
_FIRST_SENTENCE = re.compile(r"(.+?[.!?])\s+(.+)", re.DOTALL)


def card(error: ConnvaultError, *, proposal: str = "", instead: bool = False) -> dict[str, Any]:
    """The data that the front end draws: `{code, error, title, message, actions: [{label, command, args}], instead}`.

    Args:
        error: the title says what happened, the message what to do (may be empty).
        proposal: id of the suggestion for the form that a button opens; empty: an empty form.
        instead: whether the card repeats everything in the line above it, so that one of them is enough.
    """
    what, then = _sentences(error)
    code = _code(error)
    return {
        "code": code,
        "error": type(error).__name__,
        "title": what,
        "message": then,
        "actions": _actions(code, error.details, proposal),
        "instead": instead,
    }


def _sentences(error: ConnvaultError) -> tuple[str, str]:
    message = plain(error.message)
    found = _FIRST_SENTENCE.fullmatch(message)
    what, then = found.groups() if found else (message, "")
    wait_s = error.details.get("retry_after_s")
    if error.details.get("reason") == "cooldown" and isinstance(wait_s, int):
        then = f"Wait {wait_s} s, then run the cell again."
    return what, then


def _actions(code: str, details: Mapping[str, Any], proposal: str) -> list[dict[str, Any]]:
    name = details.get("connection")
    named = {"name": name} if isinstance(name, str) else {}
    if code == "connection_not_found" and named:
        similar = details.get("suggestion")
        known = [_open(f"Show “{similar}”", {"name": similar})] if isinstance(similar, str) else []
        return [*known, _open(f"Create “{name}”", {"proposal": proposal} if proposal else {"new": True})]
    if code == "secret_in_code":
        provider = details.get("provider")
        empty = {"new": provider if isinstance(provider, str) else True}
        return [_open("Open the form", {"proposal": proposal} if proposal else empty)]
    if code == "provider_not_found":
        return [_open("Show all kinds", {"new": True})]
    if code == "access_denied" and details.get("reason") == "never" and named:
        return [_open("Who may use it", {**named, "tab": "grants"})]
    if code == "handle_invalid" and named:
        if details.get("reason") == "deleted":
            return [_open(f"Create “{name}”", {"proposal": proposal} if proposal else {"new": True})]
        if details.get("reason") in _OF_HANDLE:
            label, args = _OF_HANDLE[details["reason"]]
            return [_open(label, {**named, **args})]
    if (found := _screen(code, details)) is not None:
        label, screen = found
        return [_open(label, {"screen": screen})]
    if code in _OF_CONNECTION and named:
        label, screen = _OF_CONNECTION[code]
        return [_open(label, {"screen": screen, **named})]
    return []


def _screen(code: str, details: Mapping[str, Any]) -> tuple[str, str] | None:
    if code == "connection_not_ready" and str(details.get("reason")).startswith("workspace_"):
        # What the project changed is reviewed, not edited.
        code = "workspace_not_accepted"
    return _SCREENS.get(code)


def _open(label: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "command": OPEN_COMMAND, "args": args}


def _code(error: ConnvaultError) -> str:
    known = error.details.get("code")
    return known if isinstance(known, str) else error.code


def suggested(error: ConnvaultError) -> str:
    """Suggests the error's name for the form that its card opens; returns the suggestion's id, or nothing."""
    name, provider = error.details.get("connection"), error.details.get("provider")
    gone = _code(error) == "handle_invalid" and error.details.get("reason") == "deleted"
    if (_code(error) not in _FORMS and not gone) or not isinstance(name, str) or not api.valid_name(name):
        return ""
    try:
        return api.propose(provider=provider if isinstance(provider, str) else "", name=name)
    except ConnvaultError:
        # The form then opens empty; the card's own error is more important.
        return ""


def bundle(error: ConnvaultError, *, proposal: str = "", instead: bool = False) -> dict[str, Any]:
    """The card as a MIME bundle. Without the labextension the line stays, with a hint in text or HTML."""
    found = card(error, proposal=proposal, instead=instead)
    labels = " or ".join(action["label"] for action in found["actions"])
    if not labels:
        return {FIXIT_MIME: found, "text/plain": found["message"] or found["title"]}
    hint = f"In JupyterLab's Connections panel: {labels}."
    return {
        FIXIT_MIME: found,
        "text/plain": hint,
        "text/html": (
            '<div style="border-left:4px solid var(--jp-warn-color1);padding:4px 12px;'
            f'color:var(--jp-ui-font-color1)">{html.escape(hint)}</div>'
        ),
    }


class FixIts:
    """Renders `ConnvaultError` as one line and adds the card, in one shell, between `install` and `remove`."""

    def __init__(self, *, shell: InteractiveShell) -> None:
        self._shell = shell

    def install(self) -> None:
        shell = self._shell

        def _render_traceback_(error: ConnvaultError | ArgumentRefused) -> list[str]:
            return render(error, shell)

        # Set here and not in errors.py, which knows no front end.
        for kind in _SHORT:
            kind._render_traceback_ = _render_traceback_  # type: ignore[attr-defined]
        shell.events.register("post_run_cell", self.show_card)

    def remove(self) -> None:
        for kind in _SHORT:
            if "_render_traceback_" in vars(kind):
                del kind._render_traceback_  # type: ignore[attr-defined]
        if self.show_card in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.unregister("post_run_cell", self.show_card)

    def show_card(self, result: ExecutionResult) -> None:
        """Shows a card after a cell that ended with one of our errors, with an error caused by one of ours, or with an
        error of a client whose handle has ended."""
        raised = error = result.error_in_exec or result.error_before_exec
        for _ in range(8):
            if error is None or isinstance(error, ConnvaultError):
                break
            error = error.__cause__
        if isinstance(error, ConnvaultError):
            # In a terminal the line is enough, unless there is something to open.
            if card(error)["actions"] or hasattr(self._shell, "kernel"):
                self._show(
                    error,
                    # A terminal has no buttons.
                    proposal=suggested(error) if hasattr(self._shell, "kernel") else "",
                    instead=error is raised and _one_line(error, self._shell),
                )
        elif raised is not None and (ended := _ended(raised)) is not None:
            self._show(ended)

    def _show(self, error: ConnvaultError, *, proposal: str = "", instead: bool = False) -> None:
        self._shell.display_pub.publish(data=bundle(error, proposal=proposal, instead=instead), metadata={})


def _ended(raised: BaseException) -> ConnvaultError | None:
    """Our own error for what a library can only report as a lost connection, if the broker has ended it."""
    found = api.ended(raised)
    if not found:
        return None
    names: dict[str, list[str]] = {}
    for one in found:
        of = names.setdefault(_why(one), [])
        name = str(one.details.get("connection"))
        if name not in of:
            of.append(name)
    (why, first), *others = names.items()
    what = f"The open clients of {_listed(first)} were closed: {why}."
    also = [f"So were those of {_listed(more)}: {cause}." for cause, more in others]
    # The error is about the first one.
    return type(found[0])(" ".join([what, *also, _then(found)]), **found[0].details)


def _why(ended: ConnvaultError) -> str:
    if isinstance(ended, VaultLocked):
        return _LOCKED
    return _WHY_ENDED.get(str(ended.details.get("reason")), "its permission has ended")


def _listed(names: list[str]) -> str:
    *most, last = [f"“{name}”" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _then(found: Sequence[ConnvaultError]) -> str:
    first = found[0]
    if isinstance(first, VaultLocked):
        return "Unlock it, then run the cell again."
    if first.details.get("reason") == "deleted":
        return "Create it again in the Connections panel."
    if len({one.details.get("connection") for one in found}) > 1:
        return "Call connection() for each to ask again."
    return f'Call connection("{first.details.get("connection")}") to ask again.'


def render(error: ConnvaultError | ArgumentRefused, shell: InteractiveShell) -> list[str]:
    """One line: the error's name and what to do. With `%xmode Verbose` the traceback as well.

    Some front ends call it twice for an error, so it must have no side effects.
    """
    said = error.message if isinstance(error, ConnvaultError) else str(error)
    line = f"{type(error).__name__}: {plain(said)}"
    if _one_line(error, shell):
        return [line]
    frames = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__, tb_offset=1)
    return list(frames)


def _one_line(error: ConnvaultError | ArgumentRefused, shell: InteractiveShell) -> bool:
    # For this one no frame is shown in any mode, as the magic's own arguments contain the secret.
    return shell.InteractiveTB.mode != "Verbose" or isinstance(error, SecretInCode)
