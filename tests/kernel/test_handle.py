"""What a handle shows, offers and refuses."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from connvault_jupyter import connection
from connvault_jupyter.errors import (
    ConnvaultError,
    HandleInvalid,
    RevealForbidden,
    SecretMissing,
    SecretNotFound,
)
from connvault_jupyter.kernel.handle import HANDLE_MIME, Handle, _client_type
from connvault_jupyter.kernel.masked import MaskedStr
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.canary import CANARY, found_in

FIELDS = {"host": "db.internal", "port": 5432, "database": "sales", "user": "app", "sslmode": "require"}


def _handles(broker: ScriptedBroker, **shape: Any) -> Handles:
    return Handles(**{"fields": FIELDS, "secrets": {"password": CANARY}, **shape}).install(broker)


def _every_face(handle: Handle) -> str:
    """All that a person, a log or a front end could see of a handle."""
    return "\n".join(
        [
            repr(handle),
            str(handle),
            f"{handle}",
            f"{handle:>200}",
            format(handle, ""),
            f"{handle!r} {handle!a}",
            json.dumps(handle._repr_mimebundle_()),
            repr(dir(handle)),
            repr({"h": handle}),
            repr(
                [getattr(handle, name) for name in ("name", "provider", "destination", "mode", "expires_at")]
            ),
            repr(handle._handle_ref),
            repr(handle._granted),
        ]
    )


def test_no_face_of_a_handle_shows_secret_or_ref(scripted_broker: ScriptedBroker) -> None:
    """Also after the secret was in this process."""
    handles = _handles(scripted_broker)
    handle = connection("warehouse")
    handle._handle_ref.deliver()
    faces = _every_face(handle)
    assert found_in(faces) == []
    (ref,) = handles.refs
    assert ref not in faces
    assert found_in(repr(handle._handle_ref.deliver())) == []


def test_the_positive_control_would_be_found(scripted_broker: ScriptedBroker) -> None:
    """The same faces of a handle whose destination has the canary."""
    _handles(scripted_broker, destination=CANARY)
    assert found_in(_every_face(connection("warehouse")))


def test_a_handle_has_no_dict(scripted_broker: ScriptedBroker) -> None:
    """`vars()` and `__dict__` are where debuggers look first."""
    _handles(scripted_broker)
    handle = connection("warehouse")
    with pytest.raises(TypeError):
        vars(handle)
    assert not hasattr(handle, "__dict__")


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickles_and_copies_are_refused_with_a_reason(scripted_broker: ScriptedBroker, copied: Any) -> None:
    """A handle is good in its own kernel only."""
    _handles(scripted_broker)
    with pytest.raises(TypeError, match="call connection"):
        copied(connection("warehouse"))


def test_a_handle_says_what_where_how_and_how_long(scripted_broker: ScriptedBroker) -> None:
    """The line of a cell's output."""
    until = datetime.now(timezone.utc) + timedelta(minutes=1)
    _handles(scripted_broker, expires_at=until)
    local = until.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    shown = local.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
    assert repr(connection("warehouse")) == (
        f"<warehouse: PostgreSQL app@db.internal:5432/sales, in the clear, this time (until {shown})>"
    )


@pytest.mark.parametrize(("delivery", "words"), [("relay", "relay"), ("hand_over", "hand-over")])
def test_a_brokered_handle_says_how_it_is_delivered(
    scripted_broker: ScriptedBroker, delivery: str, words: str
) -> None:
    """Expected from the connection's fields, in text, HTML and for the front end."""
    _handles(scripted_broker, mode="brokered", delivery=delivery, decision="session")
    handle = connection("warehouse")
    bundle = handle._repr_mimebundle_()
    assert repr(handle).endswith(f", brokered, {words}, until this kernel stops>")
    assert f"brokered, {words} · until" in bundle["text/html"]
    assert bundle[HANDLE_MIME]["delivery"] == delivery


def test_a_handle_without_an_end_tells_none(scripted_broker: ScriptedBroker) -> None:
    """`session` ends with the kernel."""
    _handles(scripted_broker, decision="session")
    assert repr(connection("warehouse")).endswith("in the clear, until this kernel stops>")


def test_the_bundle_has_what_the_front_end_draws(scripted_broker: ScriptedBroker) -> None:
    """Names and states only."""
    _handles(scripted_broker)
    bundle = connection("warehouse")._repr_mimebundle_()
    assert bundle[HANDLE_MIME] == {
        "name": "warehouse",
        "kind": "PostgreSQL",
        "destination": "app@db.internal:5432/sales",
        "mode": "in_clear",
        "delivery": "login",
        "expires_at": None,
        "decision": "once",
        "ended": False,
        "openers": ["engine", "connect"],
    }
    assert set(bundle) == {HANDLE_MIME, "text/plain", "text/html"}


@pytest.mark.parametrize("how", ["released", "refused"])
def test_a_handle_that_is_known_to_have_ended_says_so(scripted_broker: ScriptedBroker, how: str) -> None:
    """Nobody is asked for it: what a use was told is remembered."""
    _handles(scripted_broker, mode="brokered", delivery="hand_over", decision="session")
    handle = connection("warehouse")
    assert "ended" not in repr(handle)
    if how == "released":
        handle.release()
    else:

        def refuse(_body: object) -> Any:
            raise HandleInvalid(reason="revoked")

        scripted_broker.answers["access.check"] = refuse
        with pytest.raises(HandleInvalid):
            handle._handle_ref.check()
    bundle = handle._repr_mimebundle_()
    assert repr(handle).endswith(", ended>")
    assert "hand-over" not in bundle["text/html"]
    assert bundle[HANDLE_MIME]["ended"] is True


def test_strings_from_outside_are_escaped_and_cleaned(scripted_broker: ScriptedBroker) -> None:
    """A destination is somebody's input."""
    _handles(scripted_broker, destination="<img src=x onerror=alert(1)>\u202egnp.exe\x1b[31m")
    bundle = connection("warehouse")._repr_mimebundle_()
    assert "<img" not in bundle["text/html"]
    for shown in (bundle["text/plain"], bundle["text/html"], bundle[HANDLE_MIME]["destination"]):
        assert "\u202e" not in shown
        assert "\x1b" not in shown


def test_dir_lists_what_this_provider_offers(scripted_broker: ScriptedBroker) -> None:
    """Tab completion shows no opener that would fail."""
    _handles(scripted_broker, reveal_allowed=False)
    offered = dir(connection("warehouse"))
    assert {"engine", "connect", "release", "name"} <= set(offered)
    assert not {"session", "reveal", "base_url"} & set(offered)


def test_a_wrong_opener_names_the_right_ones(scripted_broker: ScriptedBroker) -> None:
    """The error is the documentation."""
    _handles(scripted_broker)
    with pytest.raises(
        AttributeError, match=r"warehouse \(PostgreSQL\) offers \.engine, \.connect, \.reveal"
    ):
        connection("warehouse").session()  # type: ignore[attr-defined]


def test_probing_for_displays_asks_nobody(scripted_broker: ScriptedBroker) -> None:
    """Front ends try dozens of names on each object."""
    _handles(scripted_broker)
    handle = connection("warehouse")
    asked = len(scripted_broker.asked)
    for name in ("_ipython_display_", "_repr_png_", "__array__", "_repr_html_", "__fspath__"):
        assert not hasattr(handle, name)
    assert len(scripted_broker.asked) == asked


def test_an_unknown_client_is_refused_with_advice(scripted_broker: ScriptedBroker) -> None:
    """From a provider that is newer than this kernel."""
    _handles(scripted_broker, client="warp_drive", openers=("fly",))
    handle = connection("warehouse")
    with pytest.raises(ConnvaultError, match="Update it"):
        handle.fly()  # type: ignore[attr-defined]


@pytest.mark.parametrize("client", ["__init__", "_private", "os.path", "..lease", ""])
def test_a_client_is_a_module_of_our_own(client: str) -> None:
    """A provider's data reaches nothing else."""
    with pytest.raises(ConnvaultError, match="Update it"):
        _client_type(client)


def test_a_handle_used_as_a_context_manager_is_released(scripted_broker: ScriptedBroker) -> None:
    """Permission ends with the block."""
    handles = _handles(scripted_broker)
    with connection("warehouse") as handle:
        assert len(handles.refs) == 1
    assert handles.refs == set()
    with pytest.raises(HandleInvalid):
        handle._handle_ref.check()


def test_releasing_twice_is_harmless(scripted_broker: ScriptedBroker) -> None:
    """Explicitly, and by the block."""
    _handles(scripted_broker)
    with connection("warehouse") as handle:
        handle.release()


def test_reveal_of_a_field_gives_its_string(scripted_broker: ScriptedBroker) -> None:
    """Masked as an object, true as a string; the question is asked on entering."""
    _handles(scripted_broker, secrets={"password": CANARY, "other": "x"})
    question = connection("warehouse").reveal("password", reason="legacy export")
    assert scripted_broker.count("access.reveal") == 0
    with question as value:
        assert isinstance(value, MaskedStr)
        assert value == CANARY
        assert found_in(repr(value)) == []
    assert scripted_broker.last("access.reveal")["reason"] == "legacy export"


def test_reveal_of_a_field_that_the_kind_does_not_have_asks_nobody(scripted_broker: ScriptedBroker) -> None:
    """A person must not be asked for what then fails. It says which fields there are, and not what was given."""
    _handles(scripted_broker)
    question = connection("warehouse").reveal("passwort", reason="legacy export")
    with pytest.raises(SecretNotFound) as refused, question:
        pass
    assert str(refused.value) == "“warehouse” has no secret field of this name. It has: password."
    assert scripted_broker.count("access.reveal") == 0


def test_reveal_of_a_field_without_a_value_says_so(scripted_broker: ScriptedBroker) -> None:
    """An optional one, which nobody has entered."""
    _handles(scripted_broker, secrets={"token": CANARY})
    with pytest.raises(SecretMissing), connection("warehouse").reveal("password"):
        pass


def test_reveal_all_gives_a_mapping_for_the_block(scripted_broker: ScriptedBroker) -> None:
    """Also of one secret. After the block it is empty; Python can't wipe what was copied."""
    for secrets in ({"key": CANARY, "salt": "s"}, {"password": CANARY}):
        _handles(scripted_broker, secrets=secrets)
        with connection("warehouse").reveal_all(reason="legacy export") as values:
            assert dict(values) == secrets
            assert found_in(repr(values) + repr(dict(values))) == []
        assert len(values) == 0
        assert scripted_broker.last("access.reveal")["reason"] == "legacy export"


@pytest.mark.parametrize("form", ["nothing", "a reason", "a reason by name"])
def test_reveal_without_a_field_works_with_a_warning(scripted_broker: ScriptedBroker, form: str) -> None:
    """The former forms, for one version: one secret gives a string, several a mapping."""
    for secrets in ({"password": CANARY}, {"key": CANARY, "salt": "s"}):
        _handles(scripted_broker, secrets=secrets)
        handle: Any = connection("warehouse")
        question = {
            "nothing": lambda handle=handle: handle.reveal(),
            "a reason": lambda handle=handle: handle.reveal("legacy export"),
            "a reason by name": lambda handle=handle: handle.reveal(reason="legacy export"),
        }[form]()
        with pytest.warns(DeprecationWarning, match="reveal_all") as warned, question as given:
            assert (given if len(secrets) == 1 else dict(given)) == (CANARY if len(secrets) == 1 else secrets)
        assert [warning.filename for warning in warned] == [__file__]
        assert scripted_broker.last("access.reveal")["reason"] == (
            None if form == "nothing" else "legacy export"
        )


def test_reveal_that_is_switched_off_asks_nobody(scripted_broker: ScriptedBroker) -> None:
    """The server's setting came with the handle."""
    _handles(scripted_broker, reveal_allowed=False)
    for question in (connection("warehouse").reveal("password"), connection("warehouse").reveal_all()):
        with pytest.raises(RevealForbidden), question:
            pass
    assert scripted_broker.count("access.reveal") == 0


def test_a_handle_for_plain_text_only_offers_reveal(scripted_broker: ScriptedBroker) -> None:
    """The provider `secret`."""
    _handles(
        scripted_broker,
        mode="reveal",
        decision=None,
        provider_name="Secret value",
        destination="Licence key",
        client="secret",
        openers=("reveal", "reveal_all"),
    )
    handle = connection("warehouse")
    assert repr(handle) == "<warehouse: Secret value Licence key, plain text only>"
    assert "engine" not in dir(handle)
    assert {"reveal", "reveal_all"} <= set(dir(handle))
    with handle.reveal("password") as value:
        assert value == CANARY
