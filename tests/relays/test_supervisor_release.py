"""One handle of several is let go of: its own sockets end, at once, and nothing else does, whatever its worker does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

import psutil  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.relays.worker_client import WorkerClient
from connvault_jupyter.services.relay_ports import RelayEndpoint
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import HttpRelays, RawClient, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import wait_for_the_cut, workers
from tests.support.servers.web_server import WebServer, web_server


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with web_server() as found:
        yield found


@pytest.fixture
def relays(server: WebServer) -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found.point(server.origin)


@contextmanager
def stopped() -> Iterator[psutil.Process]:
    """The one worker answers nothing meanwhile, as one that is busy for seconds."""
    (worker,) = workers()
    worker.send_signal(signal.SIGSTOP)
    wait_until(lambda: worker.status() == psutil.STATUS_STOPPED, deadline_s=20, what="the worker to stop")
    try:
        yield worker
    finally:
        with suppress(psutil.NoSuchProcess):
            worker.send_signal(signal.SIGCONT)


def served(client: RawClient) -> bool:
    return client.get("/").answer().status == 200


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "port"])
def test_releasing_one_handle_leaves_the_others_of_a_slow_worker(relays: HttpRelays, tcp: bool) -> None:
    """A transaction of another one would be lost with the worker."""
    one, other = new_ref(), new_ref()

    def client(endpoint: RelayEndpoint) -> RawClient:
        made = RawClient(endpoint, tcp=tcp)
        if tcp:
            made.get("/", f"Authorization: Bearer {endpoint.token}").answer()
        return made

    def asked(made: RawClient, endpoint: RelayEndpoint) -> int:
        return made.get("/", f"Authorization: Bearer {endpoint.token}").answer().status

    first, second = relays.endpoint(one, tcp=tcp), relays.endpoint(other, tcp=tcp)
    with client(first) as mine, client(second) as others:
        assert (asked(mine, first), asked(others, second)) == (200, 200)
        with stopped() as worker:
            relays.revoke(one)
            # Its worker is still stopped.
            assert mine.rest() == b""
            assert worker.status() == psutil.STATUS_STOPPED
        assert asked(others, second) == 200
        assert workers() == [worker]


def test_a_worker_hears_of_what_was_released_while_it_was_slow(relays: HttpRelays) -> None:
    """Then nobody gets in there any more, and the same handle may be opened anew."""
    one, other = new_ref(), new_ref()
    first, second = relays.endpoint(one), relays.endpoint(other)
    with RawClient(first) as mine, RawClient(second) as others:
        assert served(mine)
        assert served(others)
        with stopped():
            relays.revoke(one)
            assert mine.rest() == b""
            wait_until(lambda: len(relays.supervisor._open) == 1, deadline_s=20, what="the end of the handle")
        relays.vault.ended.discard(one)
        with RawClient(relays.endpoint(one)) as again:
            assert served(again)
        assert served(others)


def test_releasing_many_handles_of_a_stopped_worker_holds_up_nobody(relays: HttpRelays) -> None:
    """More than its pipe has room for: another permission's handle is cut in the middle of it."""
    refs = [new_ref() for _ in range(150)]
    others = relays.endpoint()
    for ref in refs:
        relays.endpoint(ref)
    with RawClient(others) as kept, stopped() as worker:
        relays.endpoint(grant="two")
        (second,) = [one for one in workers() if one != worker]
        with RawClient(relays.endpoint(grant="two")) as mine:
            assert served(mine)
            relays.vault.ended.update(refs)
            relays.revoke("two")
            assert mine.rest() == b""
        wait_until(lambda: second not in workers(), deadline_s=20, what="the end of its worker")
        worker.send_signal(signal.SIGCONT)
        assert served(kept)


def test_the_last_handle_of_a_stopped_worker_ends_it(relays: HttpRelays) -> None:
    """Nothing else ends what it still does at the server, and nothing of another handle is lost."""
    ref = new_ref()
    with RawClient(relays.endpoint(ref)) as client:
        assert served(client)
        with stopped() as worker:
            relays.revoke(ref)
            assert client.rest() == b""
            wait_for_the_cut(relays.supervisor)
            wait_until(lambda: worker not in workers(), deadline_s=20, what="the stopped worker's end")


def test_no_client_waits_for_another_ones_worker(relays: HttpRelays, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that has ended is cut before the first worker is given its time to follow."""
    seen = Event()
    retire = WorkerClient.retire

    def patient(worker: WorkerClient, handle: str) -> None:
        assert seen.wait(10), "a client still waits"
        retire(worker, handle)

    monkeypatch.setattr(WorkerClient, "retire", patient)
    with RawClient(relays.endpoint(grant="one")) as one, RawClient(relays.endpoint(grant="two")) as two:
        assert served(one)
        assert served(two)
        relays.vault.ended.add("one")
        relays.revoke("two")
        assert (one.rest(), two.rest()) == (b"", b"")
        seen.set()
    wait_for_the_cut(relays.supervisor)


def test_who_comes_to_a_released_handle_is_told_why(relays: HttpRelays) -> None:
    """A slow worker still listens there; a login is given for nothing."""
    one = new_ref()
    with RawClient(relays.endpoint(one)) as mine, RawClient(relays.endpoint()) as others:
        assert served(mine)
        assert served(others)
        supervisor = relays.supervisor
        handle = next(name for name, found in supervisor._open.items() if found.order.ref == one)
        (key,) = supervisor._workers
        relays.revoke(one)
        wait_until(lambda: handle not in supervisor._open, deadline_s=20, what="the end of the handle")
        for refusal, why in ((HandleInvalid(reason="released"), "released"), (None, "revoked")):
            relays.vault.refusal = refusal
            with pytest.raises(HandleInvalid) as refused:
                supervisor._answer(key, handle, others.stream)
            assert refused.value.details == {"reason": why}


def test_a_handle_is_in_use_while_somebody_is_logged_in(relays: HttpRelays) -> None:
    """Who only connects counts for nothing: anybody of this user can."""
    ref = new_ref()
    endpoint = relays.endpoint(ref)
    relays.endpoint()
    assert set(relays.supervisor.in_use()) == set()
    with RawClient(endpoint):
        assert set(relays.supervisor.in_use()) == set()
    with RawClient(endpoint) as client:
        assert served(client)
        assert set(relays.supervisor.in_use()) == {ref}
    wait_until(lambda: not set(relays.supervisor.in_use()), deadline_s=20, what="the client to be gone")
