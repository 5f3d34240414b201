"""The notebook side against the real broker: consent, revoking, rotation, a killed broker, other processes."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import ends, wait_until
from tests.support.broker.requester import Refused, RequesterProcess, requester_process
from tests.support.browser.rest import PASSPHRASE, postgresql_fields
from tests.support.canary import CANARY, found_in
from tests.support.servers.echo_api import echo_api


@dataclass(frozen=True)
class World:
    operator: Operator
    socket_path: str
    process: RequesterProcess
    home: Path


Running = tuple[Operator, str]


def _rule(question: dict[str, Any]) -> str:
    """The code's own words say what the person answers."""
    reason = question["reasons"][-1] if question["reasons"] else "session"
    return str(reason) if reason in ("deny", "once", "session") else "session"


@pytest.fixture(scope="module")
def login(postgres: PostgresServer) -> Iterator[Login]:
    """A user whose password is the canary."""
    made = postgres.create_login("reader_broker", database="shop_broker", password=CANARY)
    yield made
    postgres.drop_login(made)


@pytest.fixture(scope="module")
def ruled(login: Login) -> Iterator[Running]:
    """A broker with the connection `warehouse` and a person by rule. Started once: it takes a second or two."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), rule=_rule, consent=ConsentSettings(cooldown_s=0)) as (operator, path),
    ):
        operator.create(
            "warehouse", "postgresql", postgresql_fields(login), {"password": CANARY}, reveal_allowed=True
        )
        yield operator, path


@pytest.fixture(scope="module")
def unanswered() -> Iterator[Running]:
    """A broker whose questions stay open. After one that nobody has answered the next one does not have to wait."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), rule=None, consent=ConsentSettings(cooldown_s=0)) as (operator, path),
    ):
        operator.create("api", "http", {"base_url": "https://api.test", "auth": "bearer"}, {"token": CANARY})
        yield operator, path


@pytest.fixture
def world(ruled: Running, tmp_path: Path) -> Iterator[World]:
    """With a process that asks, of the test's own."""
    operator, path = ruled
    operator.asked.clear()
    with requester_process(tmp_path, path) as process:
        yield World(operator, path, process, tmp_path)


@pytest.fixture
def patient(unanswered: Running, tmp_path: Path) -> Iterator[World]:
    """The same, where nobody answers."""
    operator, path = unanswered
    with requester_process(tmp_path, path) as process:
        yield World(operator, path, process, tmp_path)


def _question(operator: Operator) -> dict[str, Any]:
    def pending() -> Any:
        return operator.call("access_requests.list")["access_requests"]

    found: dict[str, Any] = wait_until(pending, deadline_s=10, what="the question")[0]
    return found


def _unlock_the_next(operator: Operator, killed: int) -> None:
    wait_until(lambda: operator.broker.pid not in (None, killed), deadline_s=10, what="the next broker")
    operator.call("vault.unlock", {"passphrase": PASSPHRASE})


def _audit(operator: Operator) -> list[str]:
    return [event["type"] for event in reversed(operator.call("audit.list")["events"])]


def test_a_query_through_the_handle(world: World) -> None:
    """The story: ask, be granted, use; every step on record."""
    shown = world.process.run("h = connection('warehouse', reason='session'); None") or world.process.run("h")
    assert "PostgreSQL" in shown
    assert "brokered, hand-over, until this kernel stops" in shown
    world.process.run("import sqlalchemy")
    assert world.process.run("h.engine().connect().execute(sqlalchemy.text('select 41 + 1')).scalar()") == 42
    world.process.run("h.engine().dispose()")
    assert {"access:asked", "access:granted", "access:used", "access:checked"} <= set(_audit(world.operator))


def test_a_no_is_a_typed_error(world: World) -> None:
    """With the connection's name for the card."""
    with pytest.raises(Refused) as caught:
        world.process.run("connection('warehouse', reason='deny')")
    assert caught.value.kind == "AccessDenied"
    assert caught.value.details["connection"] == "'warehouse'"


def test_a_misspelt_name_leads_on(world: World) -> None:
    """Without a question to anyone."""
    with pytest.raises(Refused, match="Did you mean “warehouse”"):
        world.process.run("connection('wharehouse')")
    assert world.operator.asked == []


def test_the_list_has_names_and_states(world: World) -> None:
    """And nothing but the destination."""
    shown = world.process.run("repr(connections())")
    assert "ready" in shown
    assert found_in(shown) == []


def test_revoking_bites_at_the_next_checkout_and_connect(world: World) -> None:
    """The person takes it back in the panel."""
    world.process.run("h = connection('warehouse'); e = h.engine(); e.connect().close()")
    world.operator.revoke_all()
    for line in ("e.connect()", "h.connect()"):
        with pytest.raises(Refused) as caught:
            world.process.run(line)
        assert caught.value.kind == "HandleInvalid"


@pytest.mark.parametrize("way", ["connect()", "engine().connect().connection.driver_connection"])
def test_revoking_ends_a_query_that_runs(world: World, postgres: PostgresServer, way: str) -> None:
    """Also on a socket that was handed over: the broker has kept its duplicate."""
    world.process.run(f"c = connection('warehouse').{way}; pid = c.info.backend_pid")
    runs = f"select 1 from pg_stat_activity where pid = {world.process.run('pid')} and wait_event = 'PgSleep'"
    world.process.begin("c.execute('select pg_sleep(30)')")
    wait_until(lambda: postgres.execute(runs), deadline_s=10, what="the query to run")
    world.operator.revoke_all()
    with ends(within_s=20), pytest.raises(Refused, match=r"closed|lost|terminated|consuming"):
        world.process.finish()


def test_a_replaced_secret_is_picked_up(
    world: World, postgres: PostgresServer, postgres_login: Login
) -> None:
    """In the vault and at the server, between two checkouts."""
    fields, secrets = postgresql_fields(postgres_login), {"password": postgres_login.password}
    made = world.operator.create("rotating", "postgresql", fields, secrets)
    world.process.run("import sqlalchemy; q = sqlalchemy.text('select pg_backend_pid()')")
    world.process.run("e = connection('rotating').engine()")
    pid = "[(c.execute(q).scalar(), c.close())[0] for c in [e.connect()]][0]"
    before = world.process.run(pid)
    assert world.process.run(pid) == before
    rotated = postgres.set_password(postgres_login).password
    world.operator.call(
        "secrets.set", {"id": made["connection"]["id"], "field": "password", "value": rotated}
    )
    assert world.process.run(pid) != before


def test_a_foreign_handle_is_refused(world: World) -> None:
    """A ref is no bearer token: another process gets nothing for it."""
    ref = world.process.run("h = connection('warehouse'); None") or world.process.run(
        "str(h._handle_ref._ref)"
    )
    with requester_process(world.home, world.socket_path) as thief:
        thief.run(
            "from connvault_jupyter.kernel.handle_ref import HandleRef; from connvault_jupyter.kernel.api import broker"
        )
        for use in ("open()", "deliver()", "check()", "reveal('x', 5)"):
            with pytest.raises(Refused) as caught:
                thief.run(f"HandleRef(client=broker(), ref={ref!r}, connection='warehouse').{use}")
            assert caught.value.kind == "HandleInvalid"


def test_released_is_gone(world: World) -> None:
    """`once` ends with the block."""
    with pytest.raises(Refused) as caught:
        world.process.run("with connection('warehouse', reason='once') as h: pass\nh.connect()")
    assert caught.value.kind == "HandleInvalid"


def test_own_record_and_own_revoke(world: World) -> None:
    """What %connections audit and revoke ask for."""
    world.process.run(
        "from connvault_jupyter.kernel import api; h = connection('warehouse'); h.connect().close()"
    )
    assert world.process.run("[e.type for e in api.record('warehouse')]")[:1] == ["access:used"]
    assert world.process.run("api.revoke('warehouse')") >= 1
    with pytest.raises(Refused) as caught:
        world.process.run("h.connect()")
    assert caught.value.kind == "HandleInvalid"


def test_providers_tell_their_secret_fields(world: World) -> None:
    """The magic refuses a secret by them."""
    world.process.run("from connvault_jupyter.kernel import api; kinds = {k.id: k for k in api.providers()}")
    assert world.process.run("list(kinds['postgresql'].secret_fields)") == ["password"]


def test_reveal_asks_each_time(world: World) -> None:
    """Granted for use is not granted for plain text."""
    world.process.run("h = connection('warehouse')")
    before = len(world.operator.asked)
    world.process.run("with h.reveal('password', reason='once') as v: n = (len(v), repr(v))")
    assert world.process.run("list(n)") == [len(CANARY), "<secret, hidden>"]
    with pytest.raises(Refused) as caught:
        world.process.run("h.reveal('password', reason='deny').__enter__()")
    assert caught.value.kind == "AccessDenied"
    assert [question["mode"] for question in world.operator.asked[before:]] == ["reveal", "reveal"]


def test_a_killed_broker_is_known_at_once_and_the_handle_lives_on(world: World) -> None:
    """`kill -9`: a typed error; and after unlocking the next broker the same handle works."""
    world.process.run("h = connection('warehouse'); h.connect().close()")
    pid = world.operator.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with ends(), pytest.raises(Refused) as caught:
        world.process.run("h.connect()")
    assert caught.value.kind in ("BrokerUnavailable", "VaultLocked")
    _unlock_the_next(world.operator, pid)
    assert world.process.run("h.connect().execute('select 1').fetchone()[0]") == 1


def test_a_question_that_is_open_when_the_broker_dies_fails_typed(patient: World) -> None:
    """At once, and it is not asked again behind the person's back."""
    patient.process.begin("connection('api')")
    _question(patient.operator)
    pid = patient.operator.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Refused) as caught:
        patient.process.finish()
    assert caught.value.kind == "BrokerUnavailable"
    _unlock_the_next(patient.operator, pid)


def test_an_interrupt_withdraws_the_question(patient: World) -> None:
    """The stop button closes the dialog."""
    patient.process.begin("connection('api')")
    _question(patient.operator)
    patient.process.process.send_signal(signal.SIGINT)
    with pytest.raises(Refused) as caught:
        patient.process.finish()
    assert caught.value.kind == "KeyboardInterrupt"
    wait_until(
        lambda: not patient.operator.call("access_requests.list")["access_requests"],
        deadline_s=10,
        what="the question to be withdrawn",
    )
    assert "access:withdrawn" in _audit(patient.operator)


def test_nobody_answers_in_time(patient: World) -> None:
    """A time-out is not a no."""
    with pytest.raises(Refused) as caught:
        patient.process.run("connection('api', timeout_s=0.3)")
    assert caught.value.kind == "ConsentTimeout"


def test_a_locked_vault_is_its_own_error(patient: World) -> None:
    """So that the button says Unlock."""
    patient.operator.call("vault.lock")
    with pytest.raises(Refused) as caught:
        patient.process.run("connection('api', timeout_s=0.5)")
    assert caught.value.kind == "VaultLocked"
    assert "locked" in patient.process.run("repr(connections())")
    patient.operator.call("vault.unlock", {"passphrase": PASSPHRASE})


def test_http_through_the_broker(world: World) -> None:
    """Each request is asked for; the token is on the wire and nowhere else."""
    with echo_api() as api:
        fields = {"base_url": f"{api.origin}/v1", "auth": "bearer", "allow_http": True}
        world.operator.create("github", "http", fields, {"token": "q9Zx-token"})
        world.process.run("s = connection('github').session()")
        assert world.process.run("s.get('/user/repos').json()") == {"path": "/v1/user/repos"}
        assert api.headers_of("/v1/user/repos")["Authorization"] == "Bearer q9Zx-token"


def test_a_secret_without_a_client_can_only_be_revealed(world: World) -> None:
    """The handle needs no consent; each reveal does."""
    world.operator.create("licence", "secret", {"description": "solver"}, {"value": CANARY})
    world.process.run("h = connection('licence')")
    assert world.operator.asked == []
    assert world.process.run("repr(h)") == "<licence: Secret value solver, plain text only>"
    assert world.process.run("dir(h)").count("reveal") == 1
    world.process.run("with h.reveal('value', reason='once') as v: n = len(v)")
    assert world.process.run("n") == len(CANARY)
    assert len(world.operator.asked) == 1
