"""Requests that a page sealed to the broker, in the hands of whoever passes them on: the server, a proxy, the token."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connvault_jupyter.contracts.operations import OPERATIONS
from tests.support.broker.broker_of import kill_broker
from tests.support.broker.process_sinks import memory
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.browser.sealing import padded, sealed
from tests.support.canary import CANARY, found_in
from tests.support.sinks import hits

FIELDS = {"host": "db.test", "port": 5432, "database": "d", "user": "u"}
NEW_PASSPHRASE = "another horse battery staple"


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    with serve(tmp_path_factory.mktemp("sealed"), app="server") as server:
        found = Rest(server)
        found.set_up()
        yield found


@pytest.fixture(autouse=True)
def nothing_left(rest: Rest) -> Iterator[None]:
    yield
    rest.set_up()
    rest.delete_all()


def key(rest: Rest) -> dict[str, Any]:
    found: dict[str, Any] = rest.call("GET", "vault/sealing-key")
    return found


def new(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "provider_id": "postgresql",
        "name": name,
        "fields": {**FIELDS, **fields},
        "secrets": {"password": {"value": CANARY}},
    }


def draft(rest: Rest, name: str) -> dict[str, Any]:
    """A connection that lacks its secret."""
    found: dict[str, Any] = rest.create(name, "postgresql", FIELDS, {})["connection"]
    return found


def its_secret(connection: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a page seals to set a secret."""
    return {
        "id": connection["id"],
        "field": "password",
        "revision": connection["revision"],
        "value": CANARY,
        **changes,
    }


def put(rest: Rest, connection: dict[str, Any], body: Any, *, field: str = "password") -> requests.Response:
    return rest.send("PUT", f"connections/{connection['id']}/secrets/{field}", body)


def code(answer: requests.Response) -> str:
    """Of a refusal, which says nothing of what was sent."""
    assert not found_in(answer.text)
    return str(answer.json()["code"])


def secrets_of(rest: Rest, name: str) -> list[str]:
    found = rest.named(name)
    return [] if found is None else sorted(found["secrets"])


def test_a_sealed_request_is_done_as_if_it_had_come_in_the_open(rest: Rest) -> None:
    """Create, change, set, and the passphrase: what there is afterwards is the same."""
    created = rest.call("POST", "connections", sealed(key(rest), "connections.create", new("a")))
    connection = created["connection"]
    assert (connection["status"], connection["fields"]["host"]) == ("ready", "db.test")
    change = {"id": connection["id"], "revision": 1, "display_name": "A"}
    changed = rest.call(
        "PATCH",
        f"connections/{connection['id']}",
        sealed(key(rest), "connections.update", change),
        revision=1,
    )
    assert changed["connection"]["display_name"] == "A"
    secret = its_secret(changed["connection"])
    assert put(rest, connection, sealed(key(rest), "secrets.set", secret)).ok
    rest.call("POST", "vault/lock", {})
    wrong = rest.send(
        "POST", "vault/unlock", sealed(key(rest), "vault.unlock", {"passphrase": NEW_PASSPHRASE})
    )
    assert code(wrong) == "wrong_passphrase"
    for current, following in ((PASSPHRASE, NEW_PASSPHRASE), (NEW_PASSPHRASE, PASSPHRASE)):
        rest.call(
            "POST",
            "vault/passphrase",
            sealed(key(rest), "vault.passphrase", {"current": current, "new": following}),
        )
    rest.call("POST", "vault/unlock", sealed(key(rest), "vault.unlock", {"passphrase": PASSPHRASE}))
    assert rest.call("GET", "vault")["state"] == "unlocked"


def test_a_sealed_secret_is_not_moved_to_another_connection_or_field(rest: Rest) -> None:
    """The one who passes it on chooses path and headers; what is inside must say the same."""
    one, other = draft(rest, "one"), draft(rest, "other")
    assert (
        code(put(rest, other, sealed(key(rest), "secrets.set", its_secret(one)))) == "sealed_request_invalid"
    )
    moved = sealed(key(rest), "secrets.set", its_secret(one))
    assert code(put(rest, one, moved, field="ca_certificate")) == "sealed_request_invalid"
    change = {"id": one["id"], "revision": 1, "secrets": {"password": {"value": CANARY}}}
    for path, revision in ((other["id"], 1), (one["id"], 2)):
        answer = rest.send(
            "PATCH", f"connections/{path}", sealed(key(rest), "connections.update", change), revision=revision
        )
        assert code(answer) == "sealed_request_invalid"
    assert secrets_of(rest, "one") == secrets_of(rest, "other") == []


def test_a_sealed_secret_is_not_used_for_another_operation(rest: Rest) -> None:
    """Each operation's texts open for it alone, and where nothing is sealed none is known."""
    one = draft(rest, "one")
    for operation in OPERATIONS:
        http = operation.http
        if http is None or http.method == "GET" or operation.name == "secrets.set":
            continue
        body = sealed(key(rest), "secrets.set", its_secret(one))
        path = http.path.replace("{id}", one["id"]).replace("{field}", "password").removeprefix("/")
        if operation.name == "connections.delete":
            path = path.replace(one["id"], "c1")
        answer = rest.send(http.method, path, body, revision=1)
        expected = "sealed_request_invalid" if operation.sealable else "invalid_request"
        assert code(answer) == expected, operation.name
    assert secrets_of(rest, "one") == []


def test_a_copied_request_is_of_no_use_a_second_time(rest: Rest) -> None:
    """Not to unlock again after a lock, not to set a secret that was taken out."""
    unlock = sealed(key(rest), "vault.unlock", {"passphrase": PASSPHRASE})
    rest.call("POST", "vault/lock", {})
    rest.call("POST", "vault/unlock", unlock)
    rest.call("POST", "vault/lock", {})
    assert code(rest.send("POST", "vault/unlock", unlock)) == "sealed_request_invalid"
    assert rest.call("GET", "vault")["state"] == "locked"
    rest.unlock()
    one = draft(rest, "one")
    body = sealed(key(rest), "secrets.set", its_secret(one))
    assert put(rest, one, body).ok
    rest.call("DELETE", f"connections/{one['id']}/secrets/password")
    assert code(put(rest, one, body)) == "sealed_request_invalid"
    assert secrets_of(rest, "one") == []


def test_a_held_back_secret_does_not_follow_the_connection_elsewhere(rest: Rest) -> None:
    """The person saw another host when it was typed."""
    one = draft(rest, "one")
    body = sealed(key(rest), "secrets.set", its_secret(one))
    elsewhere = {"fields": {**FIELDS, "host": "evil.test"}}
    rest.call("PATCH", f"connections/{one['id']}", elsewhere, revision=1)
    assert code(put(rest, one, body)) == "revision_conflict"
    assert secrets_of(rest, "one") == []


def test_nothing_can_be_put_beside_a_sealed_text(rest: Rest) -> None:
    """Neither another host nor another new passphrase."""
    for extra in ({"fields": {"host": "evil.test"}}, {"provider_id": "postgresql"}, new("evil")):
        body = {**sealed(key(rest), "connections.create", new("one")), **extra}
        assert code(rest.send("POST", "connections", body)) == "invalid_request"
    change = sealed(key(rest), "vault.passphrase", {"current": PASSPHRASE, "new": NEW_PASSPHRASE})
    answer = rest.send("POST", "vault/passphrase", {**change, "new": "known to somebody"})
    assert code(answer) == "invalid_request"
    assert rest.call("GET", "connections")["connections"] == []
    rest.call("POST", "vault/lock", {})
    rest.unlock()


SPOILT = {
    "cut short": lambda text: {**text, "ciphertext": text["ciphertext"][:-8]},
    "cut to its tag": lambda text: {
        **text,
        "ciphertext": base64.b64encode(base64.b64decode(text["ciphertext"])[-16:]).decode(),
    },
    "another text's key": lambda text: {**text, "enc": "BA" + "A" * 85 + "="},
    "no Base64": lambda text: {**text, "ciphertext": "A" * 33},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_damaged_request_is_refused_and_nothing_is_stored(rest: Rest, spoil: Any) -> None:
    """Fails closed, in the same words whatever it was."""
    body = sealed(key(rest), "connections.create", new("one"))
    answer = rest.send("POST", "connections", {"sealed": spoil(body["sealed"])})
    assert (answer.status_code, code(answer)) == (400, "sealed_request_invalid")
    assert rest.named("one") is None


MALFORMED: dict[str, Any] = {
    "nothing": None,
    "text": "x",
    "a list": [],
    "empty": {},
    "more": {"key_id": "k", "enc": "B" * 87 + "=", "ciphertext": "A" * 44, "value": "x"},
    "a short key": {"key_id": "k", "enc": "BA==", "ciphertext": "A" * 44},
    "no letters": {"key_id": "k", "enc": "B" * 87 + "=", "ciphertext": "\u00e4" * 44},
    "a number": {"key_id": 1, "enc": "B" * 87 + "=", "ciphertext": "A" * 44},
    "no ciphertext": {"key_id": "k", "enc": "B" * 87 + "=", "ciphertext": ""},
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_only_looks_sealed_is_refused_at_the_server(rest: Rest, text: Any) -> None:
    """By its contract."""
    answer = rest.send("POST", "vault/unlock", {"sealed": text})
    assert (answer.status_code, code(answer)) == (400, "invalid_request")


INSIDE = {
    "no JSON": b"x" * 1024,
    "no object": b"[]",
    "half": padded({"passphrase": "x"})[:9],
    "no UTF-8": b'{"passphrase":"\xff"}',
    "nothing": b"",
}


@pytest.mark.parametrize("plaintext", INSIDE.values(), ids=INSIDE)
def test_what_is_no_request_inside_is_refused(rest: Rest, plaintext: bytes) -> None:
    """Whoever may ask may seal; the broker goes on."""
    answer = rest.send("POST", "vault/unlock", sealed(key(rest), "vault.unlock", plaintext))
    assert code(answer) == "sealed_request_invalid"


def test_what_is_inside_is_judged_by_the_same_contract(rest: Rest) -> None:
    """Wrong fields are named; nothing sealed is sealed again."""
    for request, path in (
        ({"passphrase": 1}, "passphrase"),
        ({"passphrase": "x", "more": CANARY}, "more"),
        (sealed(key(rest), "vault.unlock", {"passphrase": PASSPHRASE}), "sealed"),
    ):
        answer = rest.send("POST", "vault/unlock", sealed(key(rest), "vault.unlock", request))
        assert code(answer) == "invalid_request"
        assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_after_the_broker_was_started_again_the_page_is_told(rest: Rest) -> None:
    """409 with a code of its own: the new key is fetched, and the same request sealed anew."""
    before = key(rest)
    kill_broker(rest.server)
    wait_until(
        lambda: rest.send("GET", "vault").ok and key(rest)["key_id"] != before["key_id"],
        deadline_s=20,
        what="the next broker",
    )
    answer = rest.send("POST", "vault/unlock", sealed(before, "vault.unlock", {"passphrase": PASSPHRASE}))
    assert (answer.status_code, code(answer)) == (409, "sealing_key_changed")
    rest.call("POST", "vault/unlock", sealed(key(rest), "vault.unlock", {"passphrase": PASSPHRASE}))


def test_the_key_is_stored_nowhere(rest: Rest) -> None:
    """Only the public part leaves the broker, to whoever may ask; no file has even that."""
    public = key(rest)
    assert public.keys() == {"key_id", "suite", "public_key"}
    raw = base64.b64decode(public["public_key"])
    for path in sorted(Path(rest.server.home).rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            assert raw not in content
            assert public["public_key"].encode() not in content


def test_the_servers_process_never_has_a_sealed_secret(tmp_path: Path) -> None:
    """Its whole memory is searched after secrets went through; the control is one that is sent in the open."""
    # As for a debugger's sake: else not even this test could look.
    config = {"ConnvaultExtension": {"non_dumpable_server": False}}
    with serve(tmp_path, app="server", config=config) as server:
        search_for_what_went_through(Rest(server))


def search_for_what_went_through(rest: Rest) -> None:
    rest.set_up()
    rest.call("POST", "connections", sealed(key(rest), "connections.create", new("a")))
    one = draft(rest, "one")
    assert put(rest, one, sealed(key(rest), "secrets.set", its_secret(one))).ok
    refused = sealed(key(rest), "vault.unlock", {"passphrase": CANARY, "more": CANARY})
    assert not rest.send("POST", "vault/unlock", refused).ok
    rest.call("POST", "vault/lock", {})
    wrong = sealed(key(rest), "vault.unlock", {"passphrase": CANARY})
    assert code(rest.send("POST", "vault/unlock", wrong)) == "wrong_passphrase"
    assert hits(memory(rest.server.pid), CANARY) == []
    assert not found_in(rest.server.log())
    rest.unlock()
    assert put(rest, one, {"value": CANARY}).ok
    assert hits(memory(rest.server.pid), CANARY)
    assert not found_in(rest.server.log())
