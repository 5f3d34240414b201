"""The server extension's settings: what they may be, how they reach the broker, and what becomes of nonsense."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from traitlets.config import Config

from connvault_jupyter.contracts.supervision import BrokerSettings, ConnectionStoreKind, ConsentSettings
from connvault_jupyter.server.extension import ConnvaultExtension
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import StartJupyterServer
from tests.support.browser.rest import PREFIX

# Field of ConsentSettings -> the trait that people set it by.
TRAITS = {
    name: "consent_timeout_s" if name == "timeout_s" else name
    for name in ConsentSettings.model_fields
    if name != "repeat_s"  # which button is preselected: nothing to decide for who runs a server
}


def configured(**settings: Any) -> ConnvaultExtension:
    """As Jupyter Server does it when it links an extension."""
    extension = ConnvaultExtension()
    extension.update_config(Config({"ConnvaultExtension": settings}))
    return extension


def told_to_the_broker(extension: ConnvaultExtension, folder: Path) -> BrokerSettings:
    server: Any = SimpleNamespace(
        root_dir=str(folder), identity_provider=SimpleNamespace(auth_enabled=True), log_level="INFO"
    )
    return extension._settings(server, folder / "socket")


@pytest.mark.parametrize(
    ("trait", "field", "value"),
    [
        ("consent_timeout_s", "timeout_s", 61.5),
        ("once_limit_s", "once_limit_s", 60),
        ("for_s", "for_s", 120),
        ("cooldown_s", "cooldown_s", 0.0),
        ("max_open_questions", "max_open_questions", 2),
        ("approver_grace_s", "approver_grace_s", 10.5),
        ("always_unused_days", "always_unused_days", 7),
    ],
)
def test_a_setting_about_questions_reaches_the_broker(
    trait: str, field: str, value: float, tmp_path: Path
) -> None:
    """It alone: the other settings keep their defaults."""
    told = told_to_the_broker(configured(**{trait: value}), tmp_path).consent
    assert told == ConsentSettings().model_copy(update={field: value})


@pytest.mark.parametrize("kind", get_args(ConnectionStoreKind))
def test_the_store_of_connections_reaches_the_broker(kind: str, tmp_path: Path) -> None:
    """Whichever the contract has; the database unless somebody chooses."""
    assert told_to_the_broker(configured(connection_store=kind), tmp_path).connection_store == kind
    assert told_to_the_broker(configured(), tmp_path).connection_store == "sqlite"


def test_the_idle_time_reaches_the_broker(tmp_path: Path) -> None:
    """Never, unless somebody sets it; its bounds are the contract's."""
    assert told_to_the_broker(configured(), tmp_path).lock_after_idle_s == 0
    assert told_to_the_broker(configured(lock_after_idle_s=900), tmp_path).lock_after_idle_s == 900
    trait: Any = ConnvaultExtension.class_traits()["lock_after_idle_s"]
    assert (
        told_to_the_broker(configured(lock_after_idle_s=trait.max), tmp_path).lock_after_idle_s == trait.max
    )


@pytest.mark.parametrize("field", sorted(TRAITS))
def test_a_setting_and_its_contract_have_one_default(field: str) -> None:
    """It is written twice, as the contract is imported only when the broker starts."""
    assert getattr(ConnvaultExtension(), TRAITS[field]) == getattr(ConsentSettings(), field)


@pytest.mark.parametrize("field", sorted(TRAITS))
@pytest.mark.parametrize("bound", ["min", "max"])
def test_each_bound_of_a_setting_is_one_that_the_contract_has(field: str, bound: str) -> None:
    """What the trait lets through, the broker takes too."""
    limit = getattr(ConnvaultExtension.class_traits()[TRAITS[field]], bound)
    assert getattr(ConsentSettings.model_validate({field: limit}), field) == limit


@pytest.mark.parametrize(
    ("trait", "value", "takes"),
    [
        ("cooldown_s", -1, "a number from 0 to 3600"),
        ("cooldown_s", math.nan, "a number from 0 to 3600"),
        ("max_open_questions", 0, "a whole number from 1 to 100"),
        ("max_open_questions", 2.5, "a whole number from 1 to 100"),
        ("approver_grace_s", 61, "a number from 0 to 60"),
        ("approver_grace_s", math.inf, "a number from 0 to 60"),
        ("always_unused_days", 0, "a whole number from 1 to 3650"),
        ("always_unused_days", "a month", "a whole number from 1 to 3650"),
        ("audit_max_bytes", 1, "a whole number of at least 65536"),
        ("reveal_allowed", "no", "a boolean"),
    ],
)
def test_nonsense_is_refused_with_what_the_setting_takes(trait: str, value: object, takes: str) -> None:
    """The message names the setting, and does not repeat what was given."""
    refusal = configured(**{trait: value})._refusal
    assert refusal is not None
    assert f"ConnvaultExtension.{trait} takes {takes}. Correct this" in refusal.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", None),
        ("/etc/keys", "/etc/keys"),
        ("~/keys", "/home/ada/keys"),
        ("$CREDENTIALS_DIRECTORY/connvault", "/run/credentials/lab/connvault"),
        # The key file's custodian says that it is no path; the vault may have other slots.
        ("$NOT_SET_ANYWHERE/connvault", "$NOT_SET_ANYWHERE/connvault"),
    ],
)
def test_the_key_files_path_is_replaced_as_a_shell_would(
    given: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd names the folder of a service's credentials in a variable."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/lab")
    assert told_to_the_broker(configured(key_file=given), tmp_path).key_file == told


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One restart for all of it; none of the values is in the message."""
    refusal = configured(custodian="hunter2", for_s=0, once_limit_s=60)._refusal
    assert refusal is not None
    assert "custodian" in refusal.message
    assert "for_s" in refusal.message
    assert "once_limit_s" not in refusal.message
    assert "hunter2" not in refusal.message


def test_beside_nonsense_the_other_settings_are_taken() -> None:
    """The page has no panel where none is wanted."""
    extension = configured(panel_enabled=False, cooldown_s=-1, data_dir="/somewhere")
    assert (extension.panel_enabled, extension.data_dir, extension.cooldown_s) == (False, "/somewhere", 30)


def test_with_sensible_settings_nothing_is_refused() -> None:
    """The positive control."""
    assert configured(cooldown_s=1)._refusal is None


def test_a_server_with_nonsense_starts_without_a_broker(start_jupyter_server: StartJupyterServer) -> None:
    """A request and the log say why. What another setting forbids is not allowed because of it: nothing works."""
    settings = {"always_unused_days": 0, "reveal_allowed": False}
    server = start_jupyter_server(app="server", config={"ConnvaultExtension": settings})
    answer = server.request("GET", f"{PREFIX}/connections")
    said = "ConnvaultExtension.always_unused_days takes a whole number from 1 to 3650"
    assert answer.json()["code"] == "broker_unavailable"
    assert said in answer.json()["detail"]
    wait_until(lambda: said in server.log(), deadline_s=10, what="the log")
    assert server.request("GET", "api/status").ok
