"""Client libraries: imported when an opener is used, and given no argument that says where or as whom to log in."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any


class ArgumentRefused(TypeError):
    """An argument that says where or as whom. Its message says all, so a notebook shows it without a traceback."""


def imported(module: str, *, name: str, extra: str) -> Any:
    """The module. Raises: ImportError: it is not installed; which extra of ours brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ImportError(
            f'{name} is not installed in this kernel: pip install "connvault-jupyter[{extra}]"'
        ) from exc


def check_arguments(given: Iterable[str], allowed: frozenset[str]) -> None:
    """Raises: ArgumentRefused: one that is not allowed. What would lead elsewhere is never listed: a list of that
    would be out of date with the library's next release."""
    for name in given:
        if name not in allowed:
            raise ArgumentRefused(
                f"{name!r} can't be given: where and as whom to log in comes from the connection. "
                f"Allowed are {', '.join(sorted(allowed))}."
            )
