"""Replacements for widgets without a view: a listing, and a link that opens the panel in JupyterLab."""

from __future__ import annotations

import html
from typing import Any

from ..errors import ConnvaultError
from ..kernel.api import connections
from ..kernel.display import DEEP_LINK, PROPOSAL_LINK, plain


def listing_bundle() -> dict[str, Any]:
    """All connections as text and HTML; if the broker does not answer, the error."""
    try:
        table = connections()
        text, markup = repr(table), table._repr_html_()
    except ConnvaultError as exc:
        text = plain(exc.message)
        markup = f"<p>{html.escape(text)}</p>"
    return _with_link(text, markup, DEEP_LINK, "Open the Connections panel")


def form_bundle(provider: str, proposal: str = "") -> dict[str, Any]:
    """Where to fill in the form. Links end up in histories and logs, so this one contains only the id of suggested
    values, which is meaningless once this process has ended."""
    what = f"A new {plain(provider)} connection" if provider else "A new connection"
    text = f"{what} is created in JupyterLab's Connections panel."
    link = f"{PROPOSAL_LINK}{proposal}" if proposal else DEEP_LINK
    return _with_link(text, f"<p>{html.escape(text)}</p>", link, "Open the form")


def _with_link(text: str, markup: str, link: str, label: str) -> dict[str, Any]:
    return {
        "text/plain": f"{text}\n\n{label}: {link}",
        "text/html": f'{markup}<p><a href="{html.escape(link)}" target="_blank" rel="noopener">{label}</a></p>',
    }
