"""The panel and the form as ipywidgets, by name; imported on first use, because ipywidgets is heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .form import ConnectionForm
    from .panel import ConnectionsPanel

__all__ = ["ConnectionForm", "ConnectionsPanel"]


def __getattr__(name: str) -> Any:
    if name == "ConnectionForm":
        from .form import ConnectionForm

        return ConnectionForm
    if name == "ConnectionsPanel":
        from .panel import ConnectionsPanel

        return ConnectionsPanel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
