"""A handle against what people call today: the OS keyring, here a real Secret Service."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.servers.secret_service import secret_service_session

from .children import contest
from .figures import Figure, Plan, faster
from .sample import NAME, broker_with_connection

IDS = ("resolve_vs_keyring",)


def measure(plan: Plan) -> Iterator[Figure]:
    with (
        broker_with_connection(plan.home) as (_, socket_path),
        secret_service_session(plan.home / "k") as service,
    ):
        found = contest(
            ("keyring", "deliver"),
            rounds=plan.rounds_or(15),
            options={"socket": socket_path, "connection": NAME},
            home=plan.home / "child",
            env=service.env,
        )
    yield faster("resolve_vs_keyring", found["deliver"], found["keyring"])
