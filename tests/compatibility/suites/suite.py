"""A public test suite, and how it is told where its server is: directly, and through a handle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..sources import Source


@dataclass(frozen=True)
class Way:
    """What tells it: arguments of pytest, variables, files in its folder."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Served:
    """A server: its connection as a person enters it, and the way to it with its own login."""

    fields: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    direct: Way = field(repr=False)


Cell = Callable[[str], Any]
"""Evaluates a line in the kernel, where `h` is the handle."""


@dataclass(frozen=True)
class Suite:
    """`serve` starts a fresh server for each run, given a folder of its own and the environment's Python.

    `way`: how the doc calls what the suite is told through a handle.
    """

    name: str
    source: Source
    requirements: tuple[str, ...]
    kind: str
    arguments: tuple[str, ...]
    serve: Callable[[Path, Path], AbstractContextManager[Served]]
    through: Callable[[Cell], Way]
    way: str
    deadline_s: float = 900.0
