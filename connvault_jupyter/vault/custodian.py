"""What all custodians share: checks of lengths, versions and error types. How a key is kept is in each custodian's own
file. Never put a fallback here: a missing custodian is an error, never a reason to use a weaker one.

Parameters (stored with the vault) are a flat JSON object with a `version`; a custodian may add names within a version,
and refuses an unknown version.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from ..contracts.vault import CustodianKind
from ..errors import CustodianUnavailable, VaultError
from ..services.vault_ports import Availability
from .envelope import KEY_BYTES

T = TypeVar("T")

_log = logging.getLogger(__name__)

DAMAGED = (
    "The stored settings of the vault are damaged, or were written by a newer version. Update "
    "connvault-jupyter, or restore its data folder from a backup."
)


class MasterKeyCustodian(ABC):
    """Holds keys of 32 bytes (the port `Custodian`). Slow: call it without holding a lock. Thread-safe.

    A subclass defines `kind`, `parameters_version` and the four methods with an underscore.
    """

    kind: ClassVar[CustodianKind]
    parameters_version: ClassVar[int] = 1

    @abstractmethod
    def availability(self) -> Availability:
        """Whether it is available here. Cheap; never prompts, never writes, never raises."""

    def keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        """Takes a new key into custody; returns the parameters to store, as JSON values and not secret by themselves.

        A second call for the same name replaces the old key.

        Raises:
            WeakPassphrase: it is missing or too short (custodians that need a passphrase).
            CustodianUnavailable: it is unavailable, and nothing was kept. The message says what to do.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        kept = _typed(lambda: self._keep(name, key, passphrase))
        return {**kept, "version": self.parameters_version}

    def recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        """The key, 32 bytes.

        Raises:
            WrongPassphrase: it is missing or wrong (custodians that need a passphrase).
            CustodianUnavailable: it is unavailable, has no such key, or can't use the parameters.
        """
        if type(parameters.get("version")) is not int or parameters["version"] != self.parameters_version:
            raise CustodianUnavailable(DAMAGED)
        key = _typed(lambda: self._recover(name, parameters, passphrase))
        if len(key) != KEY_BYTES:
            raise CustodianUnavailable(DAMAGED)
        return key

    def forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Undoes `keep` (a lost setup race, a removed slot). Never raises."""
        with contextlib.suppress(Exception):
            self._forget(name, parameters)

    @abstractmethod
    def _keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]: ...

    @abstractmethod
    def _recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes: ...

    @abstractmethod
    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a custodian can't be pickled or copied")


def _typed(call: Callable[[], T]) -> T:
    """Passes the vault's own errors and turns every other one into `CustodianUnavailable`.

    The cause is only named by its type and not attached: its text and frames could hold the key.
    """
    try:
        return call()
    except VaultError:
        raise
    except Exception as error:  # noqa: BLE001 - backends raise whatever their platform raises
        cause = type(error).__name__
    _log.warning("the custodian failed with %s", cause)
    raise CustodianUnavailable("The master key can't be reached. See the server log.", cause=cause)
