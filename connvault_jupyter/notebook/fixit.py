"""Typed errors in a notebook: one plain line instead of a traceback, and a card with the button that leads on.

The cell stays an error, for nbconvert and papermill too. A card can only open a form or a screen: its data is part of
the notebook and could have been written by anyone. Nothing here asks the broker, and no secret comes near.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConnvaultError, SecretInCode
from ..kernel.listing import plain

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

FIXIT_MIME = "application/vnd.connvault.fixit+json"
OPEN_COMMAND = "connvault:open"

# What the card says above the message, by code.
_TITLES = {
    "access_denied": "Access was denied.",
    "access_request_changed": "The question has changed.",
    "authentication_off": "This server has no authentication.",
    "broker_unavailable": "The broker does not answer.",
    "connection_not_found": "No such connection.",
    "connection_not_ready": "The connection is not complete.",
    "consent_interrupted": "The question was interrupted.",
    "consent_timeout": "Nobody answered in time.",
    "custodian_unavailable": "The system keyring does not answer.",
    "handle_invalid": "This handle is no longer valid.",
    "no_approver": "No browser tab could ask.",
    "provider_not_found": "This kind of connection is not installed.",
    "reveal_forbidden": "Plain text is switched off.",
    "secret_in_code": "A secret was typed into a cell.",
    "secret_invalid": "The secret can't be read.",
    "secret_missing": "The secret is missing.",
    "storage_full": "The disk is full.",
    "too_many_questions": "Too many questions are waiting.",
    "upstream_auth_failed": "The login was refused.",
    "upstream_unreachable": "The service can't be reached.",
    "vault_locked": "The vault is locked.",
    "vault_not_set_up": "Secrets are not protected yet.",
    "version_mismatch": "Two versions of connvault-jupyter meet.",
}

# Code -> (label, screen). `None` as screen: the connection that the error is about.
_SCREENS: Mapping[str, tuple[str, str | None]] = {
    "vault_locked": ("Unlock", "unlock"),
    "custodian_unavailable": ("Unlock", "unlock"),
    "vault_not_set_up": ("Set up", "setup"),
    "secret_missing": ("Enter the secret", None),
    "secret_invalid": ("Replace secret", None),
    "upstream_auth_failed": ("Replace secret", None),
    "connection_not_ready": ("Open connections", None),
    "access_denied": ("Open connections", None),
    "upstream_unreachable": ("Open connections", None),
    "upstream_tls_failed": ("Open connections", None),
    "upstream_timeout": ("Open connections", None),
    "upstream_refused": ("Open connections", None),
    "too_many_questions": ("Open connections", "questions"),
    "consent_timeout": ("Open connections", "questions"),
    "no_approver": ("Open connections", "questions"),
}


def card(error: ConnvaultError) -> dict[str, Any]:
    """`{code, title, message, action: {label, command, args} | None}` for the front end."""
    code = _code(error)
    return {
        "code": code,
        "title": _TITLES.get(code, "connvault"),
        "message": plain(error.message),
        "action": _action(code, error.details),
    }


def _action(code: str, details: Mapping[str, Any]) -> dict[str, Any] | None:
    name = details.get("connection")
    named = {"name": name} if isinstance(name, str) else {}
    if code == "connection_not_found":
        return _open("Create it", {"new": True, **named})
    if code == "secret_in_code":
        provider = details.get("provider")
        return _open("Create it", {"new": provider if isinstance(provider, str) else True, **named})
    if code in _SCREENS:
        label, screen = _SCREENS[code]
        return _open(label, {"screen": screen} if screen else named)
    return None


def _open(label: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "command": OPEN_COMMAND, "args": args}


def _code(error: ConnvaultError) -> str:
    known = error.details.get("code")
    return known if isinstance(known, str) else error.code


def bundle(error: ConnvaultError) -> dict[str, Any]:
    """The card as a MIME bundle; without the labextension the text or the HTML is shown."""
    found = card(error)
    action = found["action"]
    hint = (
        f"In JupyterLab's Connections panel: {action['label']}."
        if action
        else "Run the cell again afterwards."
    )
    return {
        FIXIT_MIME: found,
        "text/plain": hint,
        "text/html": (
            '<div style="border-left:4px solid var(--jp-warn-color1);padding:4px 12px;color:var(--jp-ui-font-color1)">'
            f"<b>{html.escape(found['title'])}</b><br><small>{html.escape(hint)}</small></div>"
        ),
    }


class FixIts:
    """Renders `ConnvaultError` short and adds the card, in one shell, between `install` and `remove`."""

    def __init__(self, *, shell: InteractiveShell) -> None:
        self._shell = shell

    def install(self) -> None:
        shell = self._shell

        def _render_traceback_(error: ConnvaultError) -> list[str]:
            return render(error, shell)

        # Set from here and not in errors.py: the errors know no front end.
        ConnvaultError._render_traceback_ = _render_traceback_  # type: ignore[attr-defined]
        shell.events.register("post_run_cell", self.show_card)

    def remove(self) -> None:
        if "_render_traceback_" in vars(ConnvaultError):
            del ConnvaultError._render_traceback_  # type: ignore[attr-defined]
        if self.show_card in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.unregister("post_run_cell", self.show_card)

    def show_card(self, result: ExecutionResult) -> None:
        """After a cell that ended with one of our errors, or with an error that one of ours caused."""
        error: BaseException | None = result.error_in_exec or result.error_before_exec
        for _ in range(8):
            if error is None or isinstance(error, ConnvaultError):
                break
            error = error.__cause__
        if isinstance(error, ConnvaultError):
            self._shell.display_pub.publish(data=bundle(error), metadata={})


def render(error: ConnvaultError, shell: InteractiveShell) -> list[str]:
    """One line: the error's name and what to do. With `%xmode Verbose` the traceback as well.

    Called twice for an error by some front ends, so it must change nothing.
    """
    line = f"{type(error).__name__}: {plain(error.message)}"
    # Of this one no frame is shown in any mode: the magic's own arguments have the secret.
    if shell.InteractiveTB.mode != "Verbose" or isinstance(error, SecretInCode):
        return [line]
    frames = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__, tb_offset=1)
    return list(frames)
