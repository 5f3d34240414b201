"""Tab completion after `%connections`. Quick and silent: never raises, and asks the broker at most every 2 s."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import ConnvaultError
from ..kernel import responses
from ..kernel.api import broker
from .command import VERBS

# After this time a person has typed on.
_PATIENCE_S = 0.3
_FRESH_S = 2.0


class Completer:
    """A `complete_command` hook. `monotonic` is a clock in seconds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}

    def __call__(self, _shell: object, event: Any) -> list[str]:
        """The possible next words. `event.text_until_cursor` is the line so far."""
        try:
            return self._candidates(str(event.text_until_cursor))
        except Exception:  # noqa: BLE001 - a completer that raises breaks the prompt, whatever it was
            return []

    def _candidates(self, text: str) -> list[str]:
        words = text.split()[1:]
        if text[-1:].isspace():
            words.append("")
        if len(words) <= 1:
            return list(VERBS)
        verb = words[0]
        if verb in ("use", "show", "revoke", "audit") and len(words) == 2:
            return [item.name for item in responses.summaries(self._asked("connections.list")).connections]
        if verb == "use" and len(words) == 3:
            return ["as", "--reason"]
        if verb == "use" and len(words) == 5:
            return ["--reason"]
        if verb == "new":
            kinds = responses.providers(self._asked("providers.list"))
            if len(words) == 2:
                return [kind.id for kind in kinds]
            given = {word.partition("=")[0] for word in words[2:-1]}
            for kind in kinds:
                if kind.id == words[1]:
                    plain = [name for name in kind.fields if name not in kind.secret_fields]
                    return [f"{name}=" for name in ("name", *plain) if name not in given]
        return []

    def _asked(self, operation: str) -> dict[str, Any]:
        now = self._monotonic()
        known = self._known.get(operation)
        if known is not None and now - known[0] < _FRESH_S:
            return known[1]
        try:
            found = broker().ask(operation, {}, timeout_s=_PATIENCE_S, reconnect_s=0)
        except ConnvaultError:
            found = {"connections": [], "vault": "absent", "providers": []}
        self._known[operation] = (now, found)
        return found
