"""A notebook against a real Jupyter Server: answering for the person, forged events, files put in another's place."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from connvault_jupyter.contracts.operations import OPERATIONS
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.remote_kernel import CellFailed, RemoteKernel, notebook_kernel, open_tab
from tests.support.browser.rest import PREFIX, Rest
from tests.support.canary import CANARY, found_in

API = {"base_url": "https://api.test", "auth": "bearer"}
ASK = "from connvault_jupyter import connection\nh = connection('api', timeout_s=30)\nprint(h.decision)"


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    """A server with the connection `api` and one open tab."""
    with serve(tmp_path_factory.mktemp("attacks"), app="server") as server, open_tab(server):
        found = Rest(server)
        found.set_up()
        found.create("api", "http", API, {"token": CANARY})
        yield found


names = (f"notebook{number}.ipynb" for number in itertools.count())


@pytest.fixture
def path(rest: Rest) -> str:
    """A saved notebook of the test's own."""
    return rest.server.write_notebook(next(names))


@pytest.fixture
def kernel(rest: Rest, path: str) -> Iterator[RemoteKernel]:
    with notebook_kernel(rest.server, path) as found:
        yield found


def question(rest: Rest) -> Any:
    return wait_until(rest.questions, deadline_s=30, what="the question")[0]


def allowed(rest: Rest, kernel: RemoteKernel, decision: str) -> None:
    kernel.begin(ASK)
    assert rest.decide(question(rest), decision).ok
    assert kernel.finish().strip() == decision


def is_asked(rest: Rest, kernel: RemoteKernel) -> Any:
    """The question that asking puts now; it is answered with a no."""
    kernel.begin(ASK)
    found = question(rest)
    assert rest.decide(found, "deny").ok
    with pytest.raises(CellFailed, match="AccessDenied"):
        kernel.finish()
    return found


def test_only_a_whole_honest_and_timely_answer_counts(rest: Rest, kernel: RemoteKernel) -> None:
    """No token, a wrong one, no XSRF, a stale digest, an answer that is not offered, a made-up one, a second one."""
    kernel.begin(ASK)
    asked = question(rest)
    address = f"{PREFIX}/access-requests/{asked['id']}/decision"
    yes = {"decision": "once", "digest": asked["digest"]}
    for token in (False, "wrong"):
        assert rest.server.request("POST", address, json=yes, token=token).status_code == 403
    with requests.Session() as browser:
        assert browser.get(rest.server.page_url("api/status"), timeout=30).ok
        for headers in ({}, {"X-XSRFToken": "wrong"}):
            answer = browser.post(rest.server.url + address, json=yes, headers=headers, timeout=30)
            assert answer.status_code == 403
    assert rest.decide({**asked, "digest": "0" * 64}, "once").json()["code"] == "access_request_changed"
    assert rest.decide(asked, "for", seconds=2_592_000).json()["code"] == "decision_not_offered"
    assert rest.decide(asked, "once", seconds=5).json()["code"] == "decision_not_offered"
    assert rest.decide(asked, "forever").json()["code"] == "invalid_request"
    assert rest.decide(asked, "once", requester="other.ipynb").json()["code"] == "invalid_request"
    assert [one["id"] for one in rest.questions()] == [asked["id"]]
    assert rest.decide(asked, "deny").ok
    with pytest.raises(CellFailed, match="AccessDenied"):
        kernel.finish()
    for decision in ("once", "always"):
        assert rest.decide(asked, decision).json()["code"] == "access_request_decided"
    assert rest.decide({**asked, "id": "made-up"}, "once").json()["code"] == "access_request_not_found"


def test_forged_events_change_nothing(rest: Rest, kernel: RemoteKernel, path: str) -> None:
    """Jupyter's event bus takes events from any client, and a tab can send what it likes: neither is listened to."""
    allowed(rest, kernel, "always")
    before = rest.grants()
    server = rest.server
    for schema, data in (
        ("https://events.jupyter.org/jupyter_server/contents_service/v1", {"action": "delete", "path": path}),
        (
            "https://events.jupyter.org/jupyter_server/kernel_actions/v1",
            {"action": "shutdown", "kernel_id": kernel.id, "msg": "", "status": "success"},
        ),
    ):
        body = {"schema_id": schema, "version": "1", "data": data}
        assert server.request("POST", "api/events", json=body).status_code == 204
    tab = websocket.create_connection(
        server.url.replace("http", "ws", 1) + f"{PREFIX}/events",
        header=[f"Authorization: token {server.token}"],
        timeout=30,
    )
    for message in ({"event": "grants:changed"}, {"op": "vault.lock", "body": {}}, {"op": "grants.revoke"}):
        tab.send(json.dumps(message))
    tab.close()
    assert kernel.run(ASK).strip() == "always"
    assert rest.grants() == before
    assert rest.call("GET", "vault")["state"] == "unlocked"


def test_a_tab_without_the_token_hears_nothing(rest: Rest) -> None:
    """Neither that there are questions, nor their ids."""
    address = rest.server.url.replace("http", "ws", 1) + f"{PREFIX}/events"
    for header in ([], ["Authorization: token wrong"]):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(address, header=header, timeout=30)
        assert refused.value.status_code == 403


def test_nothing_that_can_be_read_has_the_secret(rest: Rest, kernel: RemoteKernel) -> None:
    """With the token and all of REST, a stored secret does not come back; it can only be replaced or removed."""
    suggested = kernel.run(
        "from connvault_jupyter.kernel.api import propose; print(propose(name='suggested'))"
    ).strip()
    ids = {"proposals.get": suggested}
    for operation in OPERATIONS:
        if operation.http is None or operation.http.method != "GET":
            continue
        found = ids.get(operation.name, rest.named("api")["connection"]["id"])
        place = operation.http.path.replace("{id}", found).lstrip("/")
        answer = rest.send("GET", place)
        assert answer.ok, place
        assert found_in(answer.content) == []


def test_a_connection_led_elsewhere_by_rest_loses_its_secret(rest: Rest) -> None:
    """Whoever has the token can change the host, and then has to know the secret."""
    made = rest.create("led-away", "http", API, {"token": CANARY})["connection"]
    body = {"fields": {**API, "base_url": "https://evil.test"}}
    changed = rest.call("PATCH", f"connections/{made['id']}", body, revision=made["revision"])
    assert changed["connection"]["status_reason"] == "destination_changed"
    assert changed["secrets"] == {}
    back = rest.call(
        "PATCH", f"connections/{made['id']}", {"fields": API}, revision=changed["connection"]["revision"]
    )
    assert back["secrets"] == {}


def test_a_session_ends_with_its_kernel(rest: Rest, kernel: RemoteKernel) -> None:
    """A restart keeps the kernel's id and its notebook; it is another process, and asked again."""
    allowed(rest, kernel, "session")
    assert kernel.run(ASK).strip() == "session"
    assert rest.server.request("POST", f"api/kernels/{kernel.id}/restart").ok
    with notebook_kernel_of(rest, kernel) as restarted:
        assert is_asked(rest, restarted)["requester"]["kind"] == "notebook"


def notebook_kernel_of(rest: Rest, kernel: RemoteKernel) -> Any:
    """The same session's kernel again, by a new connection."""
    path = rest.server.request("GET", f"api/sessions/{kernel.session_id}").json()["path"]
    return notebook_kernel(rest.server, path)


@pytest.mark.parametrize("how", ["renamed onto", "made anew", "uploaded over"])
def test_another_file_under_the_name_has_no_grant(rest: Rest, path: str, how: str) -> None:
    """Through Jupyter a notebook can't be put in the place of one that may always."""
    server = rest.server
    with notebook_kernel(server, path) as kernel:
        allowed(rest, kernel, "always")
        assert kernel.run(ASK).strip() == "always"
    document = json.loads((server.root / path).read_text())
    if how == "renamed onto":
        other = server.write_notebook(next(names))
        assert server.request("PATCH", f"api/contents/{other}", json={"path": path}).status_code == 409
        assert server.request("DELETE", f"api/contents/{path}").ok
        assert server.request("PATCH", f"api/contents/{other}", json={"path": path}).ok
    elif how == "made anew":
        assert server.request("DELETE", f"api/contents/{path}").ok
        body = {"type": "notebook", "format": "json", "content": document}
        assert server.request("PUT", f"api/contents/{path}", json=body).ok
    else:
        upload = {"type": "file", "format": "text", "content": json.dumps(document)}
        assert server.request("PUT", f"api/contents/{path}", json=upload).ok
    with notebook_kernel(server, path) as kernel:
        assert is_asked(rest, kernel)["requester"]["path"] == path


def test_a_file_replaced_behind_jupyters_back_keeps_the_grant(rest: Rest, path: str) -> None:
    """Not stopped: a grant is for a path, and code that can write the file can write its cells."""
    server = rest.server
    with notebook_kernel(server, path) as kernel:
        allowed(rest, kernel, "always")
    os.replace(server.root / server.write_notebook(next(names)), server.root / path)
    with notebook_kernel(server, path) as kernel:
        assert kernel.run(ASK).strip() == "always"


def test_an_untitled_notebook_is_offered_nothing_lasting(rest: Rest) -> None:
    """Its name will be another notebook's tomorrow."""
    with notebook_kernel(rest.server, rest.server.write_notebook("Untitled7.ipynb")) as kernel:
        assert is_asked(rest, kernel)["durations"] == ["once", "session"]


def test_code_that_takes_the_token_can_answer_for_the_person(
    rest: Rest, kernel: RemoteKernel, path: str
) -> None:
    """Not stopped at this tier: the token lies in the user's own files. The record has the question and the answer."""
    kernel.run(
        """
import glob, json, os, threading, time, urllib.request
from jupyter_core.paths import jupyter_runtime_dir
(server,) = [json.load(open(file)) for file in glob.glob(jupyter_runtime_dir() + "/jpserver-*.json")]
def rest(method, place, body=None):
    request = urllib.request.Request(
        server["url"] + "connvault/api/v1/" + place, method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "token " + server["token"], "Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))
def answer():
    while not (found := rest("GET", "access-requests")["access_requests"]):
        time.sleep(0.01)
    rest("POST", f"access-requests/{found[0]['id']}/decision", {"decision": "always", "digest": found[0]["digest"]})
threading.Thread(target=answer).start()
"""
    )
    assert kernel.run(ASK).strip() == "always"
    granted, asked = (
        next(row for row in rest.audit(type=kind) if row["requester_label"] == path)
        for kind in ("access:granted", "access:asked")
    )
    assert granted["question_id"] == asked["question_id"]
    assert (granted["decision"], bool(granted["decided_by"])) == ("always", True)
    assert f"below kernel pid {kernel.value('os.getpid()')}" in asked["evidence"]


def test_code_that_takes_another_kernels_connection_file_is_that_kernel(rest: Rest, path: str) -> None:
    """Not stopped: among kernels of one user identity is attribution. The record names the kernel that was used."""
    other = rest.server.write_notebook(next(names))
    with notebook_kernel(rest.server, path) as victim, notebook_kernel(rest.server, other) as thief:
        allowed(rest, victim, "session")
        stolen = thief.run(
            f"""
from jupyter_client import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir
client = BlockingKernelClient(connection_file=jupyter_runtime_dir() + "/kernel-{victim.id}.json")
client.load_connection_file()
client.start_channels()
def show(message):
    if message["msg_type"] == "stream":
        print(message["content"]["text"])
client.execute_interactive({ASK!r}, output_hook=show, timeout=30)
client.stop_channels()
"""
        )
        assert "session" in stolen
    assert rest.audit(type="access:granted")[0]["requester_label"] == path


def test_changed_code_of_the_package_is_the_kernels_own_affair(rest: Rest, kernel: RemoteKernel) -> None:
    """A client library that was patched in the process can say what it likes; the broker asks all the same."""
    kernel.run(
        """
from connvault_jupyter.kernel import broker_client, handle, responses
from connvault_jupyter import errors
import socket
class Liar(str): pass
responses.granted.__globals__["MODES"]["brokered"] = "in the clear"
broker_client.__version__ = Liar(broker_client.__version__)
broker_client._REPEATABLE = frozenset({"access.request"})
socket.gethostname = lambda: "another machine"
"""
    )
    asked = is_asked(rest, kernel)
    assert asked["mode"] == "brokered"


def test_a_secret_that_was_typed_is_in_no_file_and_no_log(rest: Rest) -> None:
    """After all of the above."""
    home = rest.server.home
    held = {}
    for file in Path(home).rglob("*"):
        # One may be there for a moment only.
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and not file.is_symlink():
                held[file] = found_in(file.read_bytes())
    assert rest.server.log_file in held
    assert {str(file): found for file, found in held.items() if found} == {}
