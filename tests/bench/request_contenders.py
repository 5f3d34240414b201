"""Asks for handles as code in a notebook does, in the process that the broker takes for its kernel."""

from __future__ import annotations

from collections.abc import Sequence

from connvault_jupyter.kernel.broker_client import BrokerClient

from .interleaved import Call, interleaved


def requests(names: Sequence[str], agent: str, pairs: int) -> tuple[list[int], list[int]]:
    """Of two connections by turns, always as this agent: a person has said yes to each once, before the first time."""
    client = BrokerClient()
    one, other = (_request(client, name, agent) for name in names)
    return interleaved(one, other, pairs)


def _request(client: BrokerClient, name: str, agent: str) -> Call:
    body = {"connection": name, "reason": None, "agent": agent, "timeout_s": 30}

    def call() -> None:
        ref = client.ask("access.request", body, timeout_s=40)["ref"]
        client.ask("access.release", {"ref": ref})

    return call
