"""A handle against an authenticated REST call to the same running server, both from one of its kernels."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.broker.in_clear import IN_CLEAR, WITH_PROVIDERS
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import Rest

from .approver import approver
from .children import kernel_of
from .figures import Figure, Plan, faster
from .sample import NAME, SECRETS, fields

IDS = ("resolve_vs_rest",)


def measure(plan: Plan) -> Iterator[Figure]:
    config = {"Application": {"log_level": "INFO"}}
    with serve(plan.home, app="server", config=config, env=WITH_PROVIDERS) as server:
        rest = Rest(server)
        rest.set_up()
        rest.create(NAME, IN_CLEAR, fields(), SECRETS)
        options = {"connection": NAME, "url": server.url, "token": server.token}
        rounds = plan.rounds_or(15)
        with approver(server), kernel_of(server, "asker.ipynb") as kernel:
            found = kernel.value(
                f"contenders.compare(['rest', 'deliver'], {rounds}, {options!r})",
                "from tests.bench import contenders",
            )
    yield faster("resolve_vs_rest", found["deliver"], found["rest"])
