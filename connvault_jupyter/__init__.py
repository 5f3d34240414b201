"""Use databases, APIs and buckets from notebooks without touching a password.

Only names that a notebook needs; everything heavy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .kernel.api import connection, connections

__all__ = ["__version__", "connection", "connections"]


def __getattr__(name: str) -> Any:
    if name in ("connection", "connections"):
        from .kernel import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "connvault-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.extension import ConnvaultExtension

    return [{"module": "connvault_jupyter", "app": ConnvaultExtension}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext connvault_jupyter`: registers `%connections` and the fix-it cards."""
    from .notebook import extension

    extension.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    from .notebook import extension

    extension.unload(shell)
