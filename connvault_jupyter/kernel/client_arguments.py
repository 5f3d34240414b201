"""Client libraries: imported when an opener is used, and never given an argument that sets the server or the user."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any


class ArgumentRefused(TypeError):
    """An argument that sets the server or the user. Its message is complete, so a notebook shows no traceback."""


def imported(module: str, *, name: str, extra: str) -> Any:
    """The module. Raises: ImportError: it is not installed; which extra of ours brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ImportError(
            f'{name} is not installed in this kernel: pip install "connvault-jupyter[{extra}]"'
        ) from exc


def check_arguments(given: Iterable[str], allowed: frozenset[str]) -> None:
    """Raises: ArgumentRefused: one is not allowed; the message says why. This is a list of what is allowed, as one of
    what is dangerous would be out of date with the library's next release."""
    for name in given:
        if name not in allowed:
            raise ArgumentRefused(
                f"{name!r} is not accepted: {why(name)} Accepted are {', '.join(sorted(allowed))}."
            )


def why(name: str) -> str:
    """Why an argument of this name is refused, in one sentence; an unknown one is refused too."""
    for pattern, reason in _REASONS:
        if pattern.fullmatch(name):
            return reason
    return (
        "connvault does not know it, and it could change the server or the user, which come from the "
        "connection."
    )


# By the names that the libraries use; the first pattern that matches counts.
_REASONS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (
            r"creator|async_creator|module|.*pool|connection_class|transport|mounts|app|session",
            "it would log in without the broker, and the login comes from the connection.",
        ),
        (
            r"ssl.*|tls.*|verify|cert|client_cert|channel_binding|gss.*|krb.*|server_public_key",
            "encryption and verification come from the connection, and are set in its form.",
        ),
        (
            r"user|username|pass.*|auth.*|.*_auth|require.*|credential.*|.*token.*|.*key|.*key_id|.*secret.*|anon",
            "it sets the user or the way to log in, which come from the connection.",
        ),
        (
            r"trust_env|service.*|read_default.*|profile.*|.*_kwargs",
            "it loads settings from elsewhere, but server and user come from the connection.",
        ),
        (
            r".*host.*|port|.*url|.*uri|dsn|conninfo|.*path|.*socket|.*endpoint.*|.*address|uds|region.*|db|dbname|database|prox.*",
            "it sets where or by which route to connect, which comes from the connection.",
        ),
    )
)
