"""The settings panel in a cell. Its view lives in the labextension and talks to the server; traits carry names only."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget
from traitlets import Unicode

from .fallback import listing_bundle

MODULE = "connvault-jupyter"
# Any version: kernel and server may have different environments, and only names and states are exchanged.
MODULE_VERSION = "*"


class ConnectionsPanel(DOMWidget):  # type: ignore[misc]
    """The Connections panel as a widget.

    `selected` is the name of the connection that is open in it, empty for the list; setting it opens one.
    """

    _model_module = Unicode(MODULE).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _model_name = Unicode("ConnectionsPanelModel").tag(sync=True)
    _view_module = Unicode(MODULE).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ConnectionsPanelView").tag(sync=True)

    selected = Unicode("", help="Name of the open connection; empty: the list.").tag(sync=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_fallback(super()._repr_mimebundle_(**kwargs), listing_bundle())


def with_fallback(bundle: Any, fallback: dict[str, Any]) -> Any:
    """The widget's bundle with text and HTML for front ends without a view for it."""
    if isinstance(bundle, tuple):
        return ({**bundle[0], **fallback}, *bundle[1:])
    return {**(bundle or {}), **fallback}
