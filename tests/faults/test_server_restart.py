"""A Jupyter Server that is stopped and started again: what lasts, what ends with it, and a keyring that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.remote_kernel import CellFailed, RemoteKernel, notebook_kernel, open_tab
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.servers.echo_api import echo_api
from tests.support.servers.secret_service import SecretService

TOKEN = "token-that-outlives-a-server"
ASK = "from connvault_jupyter import connection\nh = connection('api', reason='nightly')"
USE = "print(h.session().get('/x').status_code)"


@contextmanager
def running_server(
    home: Path, *, custodian: str = "passphrase", env: Mapping[str, str] | None = None
) -> Iterator[Rest]:
    """A server on this home, with a tab open."""
    config = {"ConnvaultExtension": {"custodian": custodian}}
    with serve(home, app="server", config=config, env=env) as server, open_tab(server):
        rest = Rest(server)
        wait_until(lambda: rest.send("GET", "vault").ok, deadline_s=20, what="the broker")
        yield rest


@contextmanager
def kernel_on(rest: Rest, notebook: str) -> Iterator[RemoteKernel]:
    with notebook_kernel(rest.server, notebook) as kernel:
        yield kernel


def bus(service: SecretService) -> dict[str, str]:
    return {"DBUS_SESSION_BUS_ADDRESS": service.env["DBUS_SESSION_BUS_ADDRESS"]}


def create_api(rest: Rest, origin: str) -> None:
    rest.create("api", "http", {"base_url": origin, "auth": "bearer", "allow_http": True}, {"token": TOKEN})


def ask(rest: Rest, kernel: RemoteKernel, decision: str) -> None:
    """The kernel asks, a person answers; afterwards it holds a handle that works."""
    kernel.begin(ASK)
    question = wait_until(rest.questions, deadline_s=20, what="the question")[0]
    answer = rest.decide(question, decision)
    assert answer.ok, answer.text
    kernel.finish()
    assert kernel.run(USE).strip() == "200"


def refused(kernel: RemoteKernel, code: str) -> str:
    with pytest.raises(CellFailed) as caught:
        kernel.run(code)
    return caught.value.kind


def works_unasked(rest: Rest, kernel: RemoteKernel) -> None:
    asked = len(rest.audit(type="access:asked"))
    kernel.run(ASK)
    assert kernel.run(USE).strip() == "200"
    assert len(rest.audit(type="access:asked")) == asked


def those_that_count(views: list[Any]) -> set[str]:
    return {view["grant"]["decision"] for view in views if view["counts"]}


def test_with_a_passphrase_lasting_grants_survive_and_the_vault_is_locked(tmp_path: Path) -> None:
    """`always` and `for` need no further answer after the unlock; what was *until the kernel stops* has ended."""
    with echo_api() as api:
        with running_server(tmp_path) as rest:
            rest.set_up()
            create_api(rest, api.origin)
            for decision in ("always", "for", "session"):
                with kernel_on(rest, rest.server.write_notebook(f"{decision}.ipynb", ASK)) as kernel:
                    ask(rest, kernel, decision)
            before = rest.named("api")
        with running_server(tmp_path) as rest:
            assert rest.call("GET", "vault")["state"] == "locked"
            with kernel_on(rest, "always.ipynb") as kernel:
                assert refused(kernel, ASK) == "VaultLocked"
                rest.unlock()
                assert {**rest.named("api"), "last_used_at": None} == {**before, "last_used_at": None}
                works_unasked(rest, kernel)
            with kernel_on(rest, "for.ipynb") as kernel:
                works_unasked(rest, kernel)
            assert those_that_count(rest.grants()) == {"always", "for"}
            with kernel_on(rest, "session.ipynb") as kernel:
                ask(rest, kernel, "once")
            assert rest.call("GET", "audit/verification")["consistent"] is True


def test_with_a_keyring_the_vault_is_open_again_at_once(
    tmp_path: Path, secret_service: SecretService
) -> None:
    """Nobody types anything: the scheduled notebook with *always* goes on."""
    with echo_api() as api:
        with running_server(tmp_path, custodian="os_keyring", env=bus(secret_service)) as rest:
            rest.call("POST", "vault/setup", {"custodian": "os_keyring"})
            create_api(rest, api.origin)
            with kernel_on(rest, rest.server.write_notebook("nightly.ipynb", ASK)) as kernel:
                ask(rest, kernel, "always")
        with (
            running_server(tmp_path, custodian="os_keyring", env=bus(secret_service)) as rest,
            kernel_on(rest, "nightly.ipynb") as kernel,
        ):
            works_unasked(rest, kernel)
        assert api.headers_of("/x")["Authorization"] == f"Bearer {TOKEN}"


def test_a_keyring_that_is_gone_is_shown_and_never_replaced(
    tmp_path: Path, secret_service: SecretService
) -> None:
    """Without its bus the vault stays locked and loses nothing, and no passphrase takes over; with it all is well."""
    with echo_api() as api:
        with running_server(tmp_path, custodian="os_keyring", env=bus(secret_service)) as rest:
            rest.call("POST", "vault/setup", {"custodian": "os_keyring"})
            create_api(rest, api.origin)
            with kernel_on(rest, rest.server.write_notebook("nightly.ipynb", ASK)) as kernel:
                ask(rest, kernel, "always")
        with running_server(tmp_path, custodian="os_keyring") as rest:
            state = rest.call("GET", "vault")
            assert (state["state"], state["custodian"]) == ("locked", "os_keyring")
            assert {choice["kind"]: choice["available"] for choice in state["choices"]}["os_keyring"] is False
            assert rest.send("POST", "vault/unlock", {}).json()["code"] == "custodian_unavailable"
            assert rest.send("POST", "vault/unlock", {"passphrase": PASSPHRASE}).status_code == 400
            replaced = rest.send("POST", "vault/setup", {"custodian": "passphrase", "passphrase": PASSPHRASE})
            assert replaced.json()["code"] == "vault_exists"
            assert rest.named("api")["connection"]["status"] == "ready"
            with kernel_on(rest, "nightly.ipynb") as kernel:
                assert refused(kernel, ASK) == "VaultLocked"
            (grant,) = rest.grants()
            assert grant["grant"]["decision"] == "always"
        with (
            running_server(tmp_path, custodian="os_keyring", env=bus(secret_service)) as rest,
            kernel_on(rest, "nightly.ipynb") as kernel,
        ):
            works_unasked(rest, kernel)


def test_a_configured_keyring_that_never_was_is_no_reason_for_a_passphrase(tmp_path: Path) -> None:
    """A new vault is not made with another custodian than the configured one unless a person chooses it."""
    with running_server(tmp_path, custodian="os_keyring") as rest:
        state = rest.call("GET", "vault")
        assert (state["state"], state["default"], state["storing_allowed"]) == ("absent", None, False)
        assert rest.send("POST", "vault/setup", {}).json()["code"] == "custodian_unavailable"
        assert (
            rest.send("POST", "vault/setup", {"custodian": "os_keyring"}).json()["code"]
            == "custodian_unavailable"
        )
        assert rest.call("GET", "vault")["state"] == "absent"
