"""What is signed: the table of everything that could be asked for, with an answer each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.ssh import rules as ssh_rules
from connvault_jupyter.relays.ssh.agent import SessionBind, SignRequest
from connvault_jupyter.relays.ssh.rules import Allowed, Bindings, Refused, host_keys, judge
from tests.support.relays.ssh_agent_client import SESSION, SSHSIG, USER, login_data, string
from tests.support.servers.sshd import new_key

_ED25519 = string(b"ssh-ed25519") + string(bytes(32))
_RSA = string(b"ssh-rsa") + string(b"\1\0\1") + string(bytes(256))
_DSA = string(b"ssh-dss") + string(bytes(64))
_IN_HARDWARE = string(b"sk-ssh-ed25519@openssh.com") + string(bytes(32)) + string(b"ssh:")
_CERTIFICATE = string(b"ssh-ed25519-cert-v01@openssh.com") + string(bytes(300))
_HOST = new_key()
_OTHER = new_key()
_OTHER_SESSION = bytes(32)


def bindings(*binds: SessionBind, good: bool = True) -> Bindings:
    found = Bindings(verify=lambda *_: good)
    for bind in binds:
        found.add(bind)
    return found


def bind(host: bytes, session: bytes = SESSION, *, forwarding: bool = False) -> SessionBind:
    return SessionBind(host, session, b"signature", forwarding)


def asked(
    data: bytes,
    *,
    key: bytes = _ED25519,
    flags: int = 0,
    told: Bindings | None = None,
    **fields: Any,
) -> Allowed | Refused:
    return judge(
        SignRequest(key, data, flags),
        fields={"user": USER, **fields},
        bindings=bindings() if told is None else told,
    )


def test_a_login_of_the_user_with_the_key_is_signed() -> None:
    """The ordinary case."""
    assert asked(login_data(_ED25519)) == Allowed(b"ssh-ed25519")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"tree 1\n",
        SSHSIG,
        login_data(_ED25519, kind=94),
        login_data(_ED25519, method=b"password"),
        login_data(_ED25519, service=b"ssh-userauth"),
        login_data(_ED25519, service=b""),
        login_data(_ED25519) + b"x",
        string(_ED25519) + login_data(_ED25519),
    ],
    ids=["nothing", "a file", "git", "channel data", "a password", "a service", "no service", "more", "shifted"],
)  # fmt: skip
def test_anything_but_a_login_is_refused(data: bytes) -> None:
    """A signature of that would be good everywhere."""
    assert asked(data) == Refused(ssh_rules.NO_LOGIN)


@pytest.mark.parametrize("user", ["", "root", "Deploy", "deploy ", "deploy\0", "deploy@host"])
def test_a_login_of_another_user_is_refused(user: str) -> None:
    """Byte by byte the connection's."""
    assert asked(login_data(_ED25519, user=user.encode())) == Refused(ssh_rules.OTHER_USER)


def test_a_login_that_names_another_key_than_the_request_is_refused() -> None:
    """Which of the two would sign?"""
    assert asked(login_data(_RSA)) == Refused(ssh_rules.OTHER_KEY)


@pytest.mark.parametrize(
    ("flags", "algorithm", "verdict"),
    [
        (2, b"rsa-sha2-256", Allowed(b"rsa-sha2-256")),
        (4, b"rsa-sha2-512", Allowed(b"rsa-sha2-512")),
        (6, b"rsa-sha2-512", Allowed(b"rsa-sha2-512")),
        (0, b"ssh-rsa", Refused(ssh_rules.WEAK)),
        (0, b"rsa-sha2-256", Refused(ssh_rules.WEAK)),
        (2, b"ssh-rsa", Refused(ssh_rules.WEAK)),
        (2, b"rsa-sha2-512", Refused(ssh_rules.WEAK)),
        (1, b"ssh-rsa", Refused(ssh_rules.WEAK)),
        (8, b"rsa-sha2-256", Refused(ssh_rules.WEAK)),
    ],
)
def test_when_the_key_is_rsa_the_flags_say_the_hash(
    flags: int, algorithm: bytes, verdict: Allowed | Refused
) -> None:
    """The signature is of the algorithm that the login names, and SHA-1 is none."""
    assert asked(login_data(_RSA, algorithm=algorithm), key=_RSA, flags=flags) == verdict


@pytest.mark.parametrize("key", [_DSA, _IN_HARDWARE, _CERTIFICATE, b"", string(b"")])
def test_a_key_of_an_unknown_kind_is_refused(key: bytes) -> None:
    """A certificate names the same key in another way."""
    data = login_data(key, algorithm=key[4 : 4 + int.from_bytes(key[:4], "big")])
    assert asked(data, key=key) == Refused(ssh_rules.NO_LOGIN)


_WANTED: dict[str, Any] = {"host_key": _HOST.public}
_BOUND = {**_WANTED, "bound_only": True}
_UNBOUND = {**_WANTED, "bound_only": False}


@pytest.mark.parametrize(
    ("fields", "shown", "named", "verdict"),
    [
        # shown: by session-bind; named: in a host-bound login.
        ({}, None, None, None),
        ({}, _HOST, None, None),
        ({}, None, _HOST, None),
        ({}, _HOST, _HOST, None),
        ({}, _HOST, _OTHER, ssh_rules.OTHER_HOST),
        # Not having said that unbound logins are signed means that they are not.
        (_WANTED, None, None, ssh_rules.UNBOUND),
        ({**_WANTED, "bound_only": None}, None, None, ssh_rules.UNBOUND),
        ({"bound_only": True}, None, None, None),
        ({"host_key": " \n", "bound_only": True}, None, None, None),
        ({"host_key": "nonsense"}, None, None, ssh_rules.UNBOUND),
        ({"host_key": "nonsense"}, _HOST, None, ssh_rules.OTHER_HOST),
        (_UNBOUND, None, None, None),
        (_UNBOUND, _HOST, None, None),
        (_UNBOUND, _OTHER, None, ssh_rules.OTHER_HOST),
        (_UNBOUND, None, _OTHER, ssh_rules.OTHER_HOST),
        (_WANTED, _HOST, None, None),
        (_WANTED, None, _HOST, None),
        (_WANTED, _OTHER, None, ssh_rules.OTHER_HOST),
        (_WANTED, None, _OTHER, ssh_rules.OTHER_HOST),
        (_WANTED, _OTHER, _OTHER, ssh_rules.OTHER_HOST),
        (_WANTED, _HOST, _OTHER, ssh_rules.OTHER_HOST),
        (_WANTED, _OTHER, _HOST, ssh_rules.OTHER_HOST),
        (_BOUND, None, None, ssh_rules.UNBOUND),
        (_BOUND, _HOST, None, None),
        (_BOUND, None, _HOST, None),
        (_BOUND, _OTHER, None, ssh_rules.OTHER_HOST),
        (_BOUND, None, _OTHER, ssh_rules.OTHER_HOST),
    ],
)
def test_a_known_host_must_be_the_connections(
    fields: dict[str, Any], shown: Any, named: Any, verdict: str | None
) -> None:
    """Every way in which a client can tell, against every wish of the connection."""
    told = bindings(bind(shown.blob)) if shown else bindings()
    data = login_data(_ED25519, host_key=named.blob if named else None)
    expected = Allowed(b"ssh-ed25519") if verdict is None else Refused(verdict)
    assert asked(data, told=told, **fields) == expected


def test_when_the_binding_is_of_another_session_an_unbound_one_is_none() -> None:
    """A session with the right host, and beside it one with another: the second is not the first's."""
    told = bindings(bind(_HOST.blob, _OTHER_SESSION))
    for named in (None, _HOST.blob, _OTHER.blob):
        data = login_data(_ED25519, host_key=named)
        assert asked(data, told=told, **_WANTED) == Refused(ssh_rules.OTHER_SESSION)


def test_a_host_that_is_only_said_to_have_signed_the_session_does_not_count() -> None:
    """Anybody can name the right key; its signature is what the client lacks."""
    told = bindings(bind(_HOST.blob), good=False)
    assert asked(login_data(_ED25519), told=told, **_WANTED) == Refused(ssh_rules.UNBOUND)


def test_a_login_for_another_session_is_refused() -> None:
    """Whoever binds, binds all."""
    told = bindings(bind(_HOST.blob, _OTHER_SESSION))
    assert asked(login_data(_ED25519), told=told) == Refused(ssh_rules.OTHER_SESSION)


def test_when_the_agent_is_forwarded_nothing_is_signed_any_more() -> None:
    """Also not what was bound before, and also if the binding is not a good one."""
    told = bindings(bind(_HOST.blob))
    assert isinstance(asked(login_data(_ED25519), told=told), Allowed)
    told.add(bind(_OTHER.blob, _OTHER_SESSION, forwarding=True))
    assert asked(login_data(_ED25519), told=told) == Refused(ssh_rules.FORWARDED)
    unproven = bindings(bind(_HOST.blob, forwarding=True), good=False)
    assert asked(login_data(_ED25519), told=unproven) == Refused(ssh_rules.FORWARDED)


def test_a_binding_that_is_not_the_hosts_does_not_count() -> None:
    """Nor does a second host for the same session, nor a seventeenth session."""
    assert not bindings(bind(_HOST.blob), good=False)
    told = bindings(bind(_HOST.blob))
    assert told.add(bind(_HOST.blob))
    assert not told.add(bind(_OTHER.blob))
    assert told.host_of(SESSION) == _HOST.blob
    for number in range(1, 16):
        assert told.add(bind(_HOST.blob, bytes([number] * 32)))
    assert not told.add(bind(_HOST.blob, bytes([99] * 32)))


def test_when_host_keys_are_written_in_lines_each_is_read() -> None:
    """With and without a comment, with other line ends; nonsense is left out, and lets nobody pass."""
    text = f"{_HOST.public} build server\r\n\r\n  {_OTHER.public}\n# comment\nssh-rsa AAAA\nssh-ed25519\n"
    assert host_keys(text) == {_HOST.blob, _OTHER.blob}
    assert host_keys("") == frozenset()
    data = login_data(_ED25519, host_key=_HOST.blob)
    assert asked(data, host_key="nonsense") == Refused(ssh_rules.OTHER_HOST)


@pytest.mark.parametrize("more", ["!", " ", "-", "=", "\u00e9", "\0"])
def test_a_host_key_with_a_character_too_much_is_left_out(more: str) -> None:
    """What is no Base64 was not written by a host; a decoder that skips it would read the key all the same."""
    kind, _, key = _HOST.public.partition(" ")
    assert host_keys(f"{kind} {key}") == {_HOST.blob}
    assert host_keys(f"{kind} {key[:30]}{more}{key[30:]}") == frozenset()


@given(st.binary(max_size=200), st.binary(max_size=64), st.integers(0, 2**32 - 1))
def test_random_bytes_are_refused(data: bytes, key: bytes, flags: int) -> None:
    """Nothing is signed by chance, and nothing raises."""
    assert isinstance(asked(data, key=key, flags=flags), Refused)


@given(st.data())
def test_a_login_with_a_changed_byte_is_refused_or_still_the_users(data: st.DataObject) -> None:
    """What can differ is the session alone."""
    good = login_data(_ED25519)
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[at]))
    verdict = asked(good[:at] + bytes([other]) + good[at + 1 :])
    in_the_session = 4 <= at < 4 + len(SESSION)
    assert isinstance(verdict, Allowed) == in_the_session
