"""Invalid values in the configuration: finds them, and words the error. It starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from traitlets import Float, HasTraits, Int, TraitError
from traitlets.config import Config

from ..errors import BrokerUnavailable


def take_the_others(take: Callable[[Config], None], config: Config, section: str) -> list[str]:
    """Passes each value of `section` to `take`; returns the names of those refused with a TraitError."""
    wrong = []
    for name, value in config.get(section, {}).items():
        try:
            take(Config({section: {name: value}}))
        except TraitError:
            wrong.append(name)
    return wrong


def refusal(owner: HasTraits, names: Sequence[str]) -> BrokerUnavailable:
    """Says what each setting accepts. Never quotes the value: somebody may have put a passphrase there."""
    told = "; ".join(
        f"{type(owner).__name__}.{name} takes {_taken_by(owner.traits()[name])}" for name in sorted(names)
    )
    return BrokerUnavailable(
        f"connvault's settings can't be used: {told}. Correct this in the configuration of the server, and restart it."
    )


def _taken_by(trait: Any) -> str:
    if not isinstance(trait, Int | Float):
        return str(trait.info())
    number = "a whole number" if isinstance(trait, Int) else "a number"
    return (
        f"{number} of at least {trait.min}"
        if trait.max is None
        else f"{number} from {trait.min} to {trait.max}"
    )
