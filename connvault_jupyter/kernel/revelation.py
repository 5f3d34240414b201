"""Plain text for a `with` block: the question that `Handle.reveal()` and `reveal_all()` ask, and what the block gets.

Nothing is asked before the block begins, and no secret is kept here after it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import RevealForbidden, SecretMissing, SecretNotFound
from . import responses
from .handle_ref import HandleRef
from .masked import MaskedStr

T = TypeVar("T")

_UNNAMED = (
    "reveal() without the name of a secret field will be removed in the next version. Name it, as in "
    "reveal('password', reason='...'), or take all of them: reveal_all(reason='...')."
)


class Revelation(Generic[T]):
    """A request for plain text, made when the `with` block begins. A mapping is emptied after the block.

    `field` is the secret that the block gets; `whole`: all of them, by name. Without either, which will be removed in
    the next version, a connection with one secret gives a string, one with several a mapping.
    """

    __slots__ = ("_field", "_granted", "_handle_ref", "_reason", "_timeout_s", "_values", "_whole")

    def __init__(
        self,
        *,
        handle_ref: HandleRef,
        granted: responses.Granted,
        field: str | None,
        whole: bool,
        reason: str | None,
        timeout_s: float,
    ) -> None:
        self._handle_ref = handle_ref
        self._granted = granted
        self._field = field
        self._whole = whole
        self._reason = reason
        self._timeout_s = timeout_s
        self._values: dict[str, MaskedStr] = {}

    def __enter__(self) -> T:
        if not self._granted.reveal_allowed:
            raise RevealForbidden(connection=self._handle_ref.connection)
        field, reason = self._field_and_reason()
        if field is None and not self._whole:
            warnings.warn(_UNNAMED, DeprecationWarning, stacklevel=2)
        secrets = self._handle_ref.reveal(reason, self._timeout_s).secrets
        given: Any
        if field is not None:
            if field not in secrets:
                raise SecretMissing(connection=self._handle_ref.connection)
            given = secrets[field]
        elif len(secrets) == 1 and not self._whole:
            (given,) = secrets.values()
        else:
            self._values.update(secrets)
            given = RevealedSecrets(self._values)
        return given  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.clear()

    def __repr__(self) -> str:
        return "<asks for plain text when used in a with block>"

    def _field_and_reason(self) -> tuple[str | None, str | None]:
        """Raises: SecretNotFound: the kind has no such field."""
        field = self._field
        if field is None:
            return None, self._reason
        names = self._handle_ref.secret_fields(self._granted.provider_id)
        if field in names:
            return field, self._reason
        if self._reason is not None:
            raise _no_such_field(self._handle_ref.connection, names)
        from .api import shortened

        # The first argument used to be the reason.
        return None, shortened(field)


def _no_such_field(connection: str, names: Iterable[str]) -> SecretNotFound:
    """It lists the fields that exist and does not quote what was given, which could be anything."""
    there_are = ", ".join(sorted(names)) or "none"
    return SecretNotFound(
        f"“{connection}” has no secret field of this name. It has: {there_are}.", connection=connection
    )


class RevealedSecrets(Mapping[str, MaskedStr]):
    """Secrets by field name, while the `with` block lasts."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, MaskedStr]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> MaskedStr:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<revealed: {', '.join(self._values)}>"
