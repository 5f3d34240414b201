"""The OS-keyring custodian, in a real Secret Service session: unlocked, locked, none at all, and a file instead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.vault.conformance import CustodianConformance
from tests.support.broker.processes import clean_environment
from tests.support.servers.secret_service import SecretService, secret_service_session

PROMISES = sorted(name for name in dir(CustodianConformance) if name.startswith("test_"))

START = """
import json, sys
from connvault_jupyter.errors import VaultError
from connvault_jupyter.vault.os_keyring import OsKeyringCustodian
KEY = bytes(range(32))
"""

SUITE = (
    START
    + """
import traceback
from connvault_jupyter.vault.conformance import CustodianConformance
class Suite(CustodianConformance):
    def custodian(self):
        return OsKeyringCustodian()
found = {}
for name in sys.argv[1:]:
    try:
        getattr(Suite(), name)()
    except BaseException:
        found[name] = traceback.format_exc()
    else:
        found[name] = ""
print(json.dumps(found))
"""
)

ATTEMPT = (
    START
    + """
custodian = OsKeyringCustodian(person_s=20)
available = custodian.availability()
report = {"available": available.available, "label": available.label, "detail": available.detail}
calls = {
    "keep": lambda: custodian.keep("vault-1", KEY, None),
    "recover": lambda: custodian.recover("vault-1", {"version": 1, "store": "secret_service"}, None),
}
for name, call in calls.items():
    try:
        call()
        report[name] = "done"
    except VaultError as error:
        report[name] = [error.code, error.message, repr(error.__cause__), repr(error.__context__)]
custodian.forget("vault-1", {"version": 1, "store": "secret_service"})
report["imported"] = sorted(name for name in sys.modules if name.startswith("keyrings.alt"))
print(json.dumps(report))
"""
)


def run(code: str, env: dict[str, str], *args: str) -> Any:
    """Runs code in a child with `env`; the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretService]:
    """One unlocked session for this module: its tests use vault ids of their own."""
    with secret_service_session(tmp_path_factory.mktemp("os-keyring")) as service:
        yield service


@pytest.fixture(scope="module")
def kept_promises(session: SecretService) -> dict[str, str]:
    found: dict[str, str] = run(SUITE, dict(session.env), *PROMISES)
    return found


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment without any session bus."""
    return clean_environment(tmp_path)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_of_the_suite_is_kept(kept_promises: dict[str, str], promise: str) -> None:
    """The shipped suite, run inside the session."""
    assert kept_promises[promise] == ""


def test_a_kept_key_is_exactly_one_item(session: SecretService) -> None:
    """Named after the vault, and nothing is left of the probe: several items mean several prompts."""
    code = START + textwrap.dedent(
        """
        import secretstorage
        def items():
            collection = secretstorage.get_default_collection(secretstorage.dbus_init())
            found = [item.get_attributes() for item in collection.search_items({"service": "connvault-jupyter"})]
            return [each["username"] for each in found if each["username"].startswith("one-item")]
        custodian = OsKeyringCustodian()
        kept = custodian.keep("one-item", KEY, None)
        after_keep = items()
        custodian.recover("one-item", kept, None)
        custodian.forget("one-item", kept)
        print(json.dumps([after_keep, items(), kept]))
        """
    )
    assert run(code, dict(session.env)) == [["one-item"], [], {"store": "secret_service", "version": 1}]


def test_an_item_that_is_gone_or_damaged_is_told(session: SecretService) -> None:
    """Deleted, of a newer form, or cut: no key, and words about what to do."""
    code = START + textwrap.dedent(
        """
        import keyring
        custodian, said = OsKeyringCustodian(), []
        kept = custodian.keep("damaged", KEY, None)
        for text in (None, "2:AAAA", "1:%%%", "1:AAAA", ""):
            if text is None:
                keyring.delete_password("connvault-jupyter", "damaged")
            else:
                keyring.set_password("connvault-jupyter", "damaged", text)
            try:
                custodian.recover("damaged", kept, None)
            except VaultError as error:
                said.append([error.code, bool(error.message)])
        print(json.dumps(said))
        """
    )
    assert run(code, dict(session.env)) == [["custodian_unavailable", True]] * 5


def test_a_locked_keyring_is_refused_with_words(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Locked and nobody there: `custodian_unavailable`, in good time, with nothing attached."""
    with secret_service_session(tmp_path_factory.mktemp("locked"), locked=True) as locked:
        report = run(ATTEMPT, dict(locked.env))
    assert report["available"] is True
    for name in ("keep", "recover"):
        code, message, cause, context = report[name]
        assert code == "custodian_unavailable"
        assert "locked" in message or "did not answer" in message
        assert "passphrase" in message
        assert (cause, context) == ("None", "None")


def test_a_missing_keyring_is_refused_with_words(nowhere: dict[str, str]) -> None:
    """Nothing on the bus, not even a bus; and what is left of the list is a file, which is not taken instead."""
    report = run(ATTEMPT, nowhere)
    assert report["available"] is False
    assert "Choose a passphrase" in report["detail"]
    assert report["keep"][0] == report["recover"][0] == "custodian_unavailable"


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("keyrings.alt.file.PlaintextKeyring", "keyrings.alt.file.PlaintextKeyring is refused: it stores"),
        ("keyring.backends.null.Keyring", "switched off"),
        ("keyring.backends.fail.Keyring", "switched off"),
        ("third_party.Keyring", "third_party.Keyring is refused: it is not"),
        ("no.such.Keyring", "can't be used (ModuleNotFoundError)"),
    ],
)
@pytest.mark.parametrize("where", ["environment", "file"])
def test_another_backend_that_is_configured_is_refused_by_name(
    session: SecretService, tmp_path: Path, backend: str, words: str, where: str
) -> None:
    """Although a good keyring answers: what a person configured is not gone around."""
    third_party = """
        from keyring.backend import KeyringBackend
        class Keyring(KeyringBackend):
            priority = 99
            def get_password(self, service, username): raise SystemExit("asked")
            def set_password(self, service, username, password): raise SystemExit("asked")
    """
    (tmp_path / "third_party.py").write_text(textwrap.dedent(third_party))
    env = {**session.env, "PYTHONPATH": str(tmp_path)}
    if where == "environment":
        env["PYTHON_KEYRING_BACKEND"] = backend
    else:
        config = tmp_path / "config" / "python_keyring"
        config.mkdir(parents=True)
        (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={backend}\n")
        env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    report = run(ATTEMPT, env)
    assert report["available"] is False
    assert words in report["detail"]
    assert report["keep"][1] == report["detail"]
    assert report["recover"][0] == "custodian_unavailable"


AT_ITS_PLACE = """
import os, sys
from functools import partial
from pathlib import Path
import connvault_jupyter.vault.session_bus as bus
bus.join = partial(bus.join, folders=Path(sys.argv[1]))
os.environ.pop("DBUS_SESSION_BUS_ADDRESS")
"""


def test_cron_finds_the_keyring_at_its_usual_place(session: SecretService, short_tmp_path: Path) -> None:
    """Without an address in the environment, as what the session has not started."""
    folder = short_tmp_path / str(os.geteuid())
    folder.mkdir(mode=0o700)
    os.link(session.env["DBUS_SESSION_BUS_ADDRESS"].partition("path=")[2], folder / "bus")
    report = run(AT_ITS_PLACE + ATTEMPT, dict(session.env), str(short_tmp_path))
    assert report["available"] is True
    assert report["keep"] == report["recover"] == "done"


def test_why_a_keyring_is_silent_is_said(session: SecretService, tmp_path: Path) -> None:
    """Nobody is logged in: that is what to change."""
    report = run(AT_ITS_PLACE + ATTEMPT, dict(session.env), str(tmp_path))
    assert report["available"] is False
    for said in (report["detail"], report["recover"][1]):
        assert "DBUS_SESSION_BUS_ADDRESS is not set" in said
        assert "enable-linger" in said


def test_a_command_reads_what_the_broker_keeps(session: SecretService) -> None:
    """The same item, as the user who runs it; one that is not there is an error with words."""
    code = START + textwrap.dedent(
        """
        from connvault_jupyter.vault.held_secrets import from_keyring
        custodian = OsKeyringCustodian()
        kept = custodian.keep("held.slot", KEY, None)
        found = from_keyring("held.slot") == KEY
        custodian.forget("held.slot", kept)
        try:
            from_keyring("held.slot")
        except VaultError as error:
            print(json.dumps([found, error.code]))
        """
    )
    assert run(code, dict(session.env)) == [True, "custodian_unavailable"]


def test_keyrings_alt_is_named_and_refused_if_nothing_else_is_there(nowhere: dict[str, str]) -> None:
    """The third face of "no backend": without this rule the key would silently go into a plain file."""
    import importlib.metadata

    assert importlib.metadata.version("keyrings.alt"), "the backend to refuse must be installed"
    report = run(ATTEMPT, nowhere)
    assert "keyrings.alt" in report["detail"]
    assert "is refused" in report["detail"]
    assert report["keep"][0] == "custodian_unavailable"
    assert not list(Path(nowhere["HOME"]).rglob("*.cfg"))


def test_a_chain_of_keyrings_is_looked_through(session: SecretService) -> None:
    """The chain itself would fall back to a file; the keyring behind it is used directly."""
    env = {**session.env, "PYTHON_KEYRING_BACKEND": "keyring.backends.chainer.ChainerBackend"}
    report = run(ATTEMPT, env)
    assert report["available"] is True
    assert report["keep"] == report["recover"] == "done"


def test_when_a_good_keyring_answers_no_plug_in_is_loaded(session: SecretService) -> None:
    """Other people's backends are not even imported."""
    report = run(ATTEMPT, dict(session.env))
    assert report["label"] == "System keyring (Secret Service)"
    assert "not from notebooks" in report["detail"]
    assert report["imported"] == []


def test_a_key_in_another_store_is_not_looked_for_here(session: SecretService) -> None:
    """The custodian of an existing vault never changes by itself."""
    code = START + textwrap.dedent(
        """
        said = []
        for store in ("kwallet", "macos", "windows"):
            try:
                OsKeyringCustodian().recover("vault-1", {"version": 1, "store": store}, None)
            except VaultError as error:
                said.append(error.message)
        print(json.dumps(said))
        """
    )
    said = run(code, dict(session.env))
    assert [words.split(" holds")[0] for words in said] == [
        "KWallet",
        "macOS Keychain",
        "Windows Credential Manager",
    ]


def test_importing_the_vault_loads_no_keyring(nowhere: dict[str, str]) -> None:
    """The broker's start must not wait for D-Bus."""
    code = START + "print(json.dumps([name for name in sys.modules if name.split('.')[0] == 'keyring']))"
    assert run(code, nowhere) == []


HANGING = (
    START
    + """
import threading, time
import connvault_jupyter.vault.os_keyring as module
from connvault_jupyter.vault.keyring_backends import KNOWN, Chosen
class Hangs:
    def __getattr__(self, name):
        return lambda *args: threading.Event().wait()
"""
)


def test_the_caller_of_a_keyring_that_hangs_is_let_go(nowhere: dict[str, str]) -> None:
    """A dialog that nobody answers, a daemon that never does: typed errors in time, and the process ends."""
    code = HANGING + textwrap.dedent(
        """
        module.choose_backend = lambda store=None: Chosen(KNOWN[0], Hangs())
        custodian = OsKeyringCustodian(quick_s=0.1, person_s=0.2)
        said = []
        for call in (lambda: custodian.keep("v", KEY, None),
                     lambda: custodian.recover("v", {"version": 1, "store": "secret_service"}, None)):
            try:
                call()
            except VaultError as error:
                said.append([error.code, "did not answer within" in error.message])
        custodian.forget("v", {"version": 1, "store": "secret_service"})
        module.choose_backend = lambda store=None: threading.Event().wait()
        available = custodian.availability()
        said.append([available.available, "does not answer" in available.detail])
        print(json.dumps(said))
        """
    )
    assert run(code, nowhere) == [["custodian_unavailable", True]] * 2 + [[False, True]]
