"""What a process has of handles: dropped ones are let go of, used ones are not, and a loop gets the same one again."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter import connection
from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.kernel import api, held_handles
from connvault_jupyter.kernel.families import HttpHandle
from connvault_jupyter.kernel.handle import Handle
from tests.support.broker.processes import wait_until
from tests.support.broker.scripted_broker import Handles, ScriptedBroker

WAIT_S = 10.0


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    """Under a permission that stands."""
    return Handles(
        fields={"base_url": "https://api.test"},
        secrets={},
        provider_id="http",
        mode="brokered",
        client="http",
        openers=("base_url", "token"),
        protocol="http",
        decision="session",
        variables={"API_URL": "{base_url}"},
    ).install(scripted_broker)


@pytest.fixture
def once(scripted_broker: ScriptedBroker) -> Handles:
    """A person is asked each time."""
    return Handles(fields={}, secrets={}, decision="once").install(scripted_broker)


def let_go(handles: Handles, left: int = 0) -> None:
    wait_until(
        lambda: len(handles.refs) == left, deadline_s=WAIT_S, what="the dropped handle to be let go of"
    )


def settled(handles: Handles) -> None:
    """Whatever was dropped before is let go of: what is dropped later is, after it."""
    before = set(handles.refs)
    marker = connection("warehouse", agent="marker")
    (ref,) = handles.refs - before
    del marker
    wait_until(lambda: ref not in handles.refs, deadline_s=WAIT_S, what="a later one to be let go of")


def ref(handle: Handle) -> str:
    return str.__str__(handle._handle_ref.ref)


def test_a_dropped_handle_is_let_go_of(handles: Handles) -> None:
    """Code rarely releases one."""
    handle = connection("warehouse")
    assert len(handles.refs) == 1
    del handle
    let_go(handles)


def test_a_handle_in_a_reference_cycle_is_let_go_of_with_the_cycle(handles: Handles) -> None:
    """By whatever thread, and whatever that was about to do."""
    circle: list[Any] = [connection("warehouse")]
    circle.append(circle)
    del circle
    gc.collect()
    let_go(handles)


def test_this_time_ends_when_its_handle_is_dropped(once: Handles) -> None:
    """And the next one is another one, whatever is left of the first."""
    first = connection("warehouse")
    kept = first._handle_ref
    one = ref(first)
    del first
    second = connection("warehouse")
    assert ref(second) != one
    del kept, second
    let_go(once)


def test_a_handle_whose_client_is_used_is_kept(handles: Handles) -> None:
    """A client that was opened by it, whoever has that one."""

    class Client:
        pass

    client = Client()
    handle = connection("warehouse")
    handle._handle_ref.opens(client)
    del handle
    settled(handles)
    assert len(handles.refs) == 1
    del client
    let_go(handles)


GIVEN_OUT: dict[str, Callable[[HttpHandle], object]] = {
    "base_url": lambda handle: handle.base_url,
    "token": lambda handle: handle.token,
    "env": lambda handle: handle.env(),
}


@pytest.mark.parametrize("give_out", GIVEN_OUT.values(), ids=GIVEN_OUT)
def test_a_handle_that_gave_out_an_address_is_kept(
    handles: Handles, give_out: Callable[[HttpHandle], object]
) -> None:
    """Nobody can tell who uses it. Released by name it ends all the same."""
    handle = connection("warehouse", kind="http")
    give_out(handle)
    del handle
    settled(handles)
    assert len(handles.refs) == 1
    again = connection("warehouse", kind="http")
    assert ref(again) in handles.refs
    other = connection("warehouse", kind="http")
    give_out(other)
    other.release()
    assert ref(other) not in handles.refs


def test_a_loop_gets_the_same_handle_again(handles: Handles) -> None:
    """Its relay and its warm login with it."""
    assert len({ref(connection("warehouse", kind="http")) for _ in range(20)}) == 1
    seen = set()
    for _ in range(20):
        handle = connection("warehouse", kind="http")
        seen.add(handle.base_url)
        seen.add(ref(handle))
    # One that is still bound while the next is asked for, and that one.
    assert len(handles.refs) <= 2
    assert len(api.held().handle_refs()) <= 3


def test_asking_for_somebody_else_gets_another_one(handles: Handles) -> None:
    """An agent's permission is its own."""
    assert ref(connection("warehouse")) != ref(connection("warehouse", agent="helper"))


def test_two_that_are_held_are_two(handles: Handles) -> None:
    """Each is released alone."""
    one, other = connection("warehouse"), connection("warehouse")
    assert ref(one) != ref(other)
    one.release()
    assert handles.refs == {ref(other)}
    other._handle_ref.check()


def test_many_clients_of_dropped_handles_are_not_all_of_one(handles: Handles) -> None:
    """A relay serves so many clients of a handle, and no more."""

    class Client:
        pass

    clients = [Client() for _ in range(40)]
    for client in clients:
        connection("warehouse")._handle_ref.opens(client)
    assert len(handles.refs) == 3
    clients.clear()
    del client
    let_go(handles)


def test_very_many_that_are_held_share_some(handles: Handles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker has room for a number, and none may be lost for want of it. The last who has one ends it."""
    monkeypatch.setattr(held_handles, "_OWN", 3)
    many = [connection("warehouse") for _ in range(9)]
    assert len(handles.refs) == 3
    assert all(one._handle_ref.check() for one in many)
    released, *others = many
    released.release()
    released.release()
    assert len(handles.refs) == 3
    with pytest.raises(HandleInvalid) as refused:
        released._handle_ref.check()
    assert refused.value.details["reason"] == "released"
    assert all(one._handle_ref.check() for one in others)
    for one in others:
        one.release()
    assert handles.refs == set()


def test_who_releases_a_shared_handle_ends_what_it_has_opened(handles: Handles) -> None:
    """And nothing that another part of the notebook has: it got the same one, because its object was dropped."""
    theirs, at_them = socket.socketpair()
    mine, at_me = socket.socketpair()
    with theirs, at_them, mine, at_me:
        first = connection("warehouse")
        first._handle_ref.opens(theirs)
        one = ref(first)
        del first
        with connection("warehouse") as second:
            assert ref(second) == one
            second._handle_ref.opens(mine)
        assert at_me.recv(1) == b""
        theirs.sendall(b"!")
        assert at_them.recv(1) == b"!"
        assert handles.refs == {one}


def test_a_child_lets_go_of_nothing_of_its_parent(handles: Handles) -> None:
    """It inherits the objects, and drops them; what it asks for itself is its own."""
    handle = connection("warehouse")
    pid = os.fork()
    if not pid:
        try:
            of_the_parent = ref(handle)
            del handle
            gc.collect()
            mine = connection("warehouse")
            os._exit(of_the_parent == ref(mine))
        except BaseException:  # noqa: BLE001 -- the child must not go on as a second test run
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    settled(handles)
    assert ref(handle) in handles.refs


def test_a_handle_that_has_ended_is_not_asked_for_again(handles: Handles) -> None:
    """Neither is the broker told to end it."""
    handle = connection("warehouse")
    one = ref(handle)
    handles.refs.discard(one)
    with pytest.raises(HandleInvalid):
        handle._handle_ref.check()
    del handle
    assert ref(connection("warehouse")) != one


def test_dropping_while_the_lock_is_held_waits_for_nothing(handles: Handles) -> None:
    """The collector may run in the middle of anything."""
    handle = connection("warehouse")
    with api.held()._lock:
        del handle
    let_go(handles)


def test_a_drop_that_the_next_question_has_met_is_one(handles: Handles) -> None:
    """Whoever asks next takes the note of it; the dropped one is let go of all the same."""
    handle = connection("warehouse")
    one = ref(handle)
    dropped = api.held()._dropped
    with api.held()._lock:
        del handle
        # Before the thread that waits for it, which needs the lock.
        api.held()._note_drops()
    assert dropped is api.held()._dropped
    wait_until(lambda: one not in handles.refs, deadline_s=WAIT_S, what="it to be let go of")
