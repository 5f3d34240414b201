"""What the oracle of the consent machine keeps: permissions, what is held under them, questions and who waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.services.service_world import Caller

ONCE_S, FOR_S, COOLDOWN_S, GRACE_S, TIMEOUT_S, MAX_PENDING, UNUSED_S = 100, 300, 30, 3, 60, 2, 86_400


@dataclass(eq=False)
class Permission:
    decision: str
    name: str
    run: int | None
    agent: str | None
    ends: float | None
    used: float
    alive: bool = True

    def good(self, now: float) -> bool:
        if self.decision == "always":
            return self.alive and now < self.used + UNUSED_S
        return self.alive and (self.ends is None or now < self.ends)


@dataclass(eq=False)
class Held:
    name: str
    run: int
    permission: Permission
    ends: float | None
    shared: int
    alive: bool = True


@dataclass(eq=False)
class Waiting:
    caller: Caller
    deadline: float


@dataclass(eq=False)
class Asked:
    name: str
    run: int
    agent: str | None
    asked: float
    waiting: list[Waiting] = field(default_factory=list)


NOTHING = Permission("", "", None, None, None, 0, alive=False)
