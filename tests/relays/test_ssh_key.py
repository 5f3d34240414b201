"""Private keys as people paste them: which are taken, and what is said of the others."""

from __future__ import annotations

import traceback

import asyncssh
import pytest

from connvault_jupyter.errors import SecretInvalid, SecretMissing
from connvault_jupyter.relays.ssh.key import private_key, public_key
from tests.support.servers.sshd import new_key

_KINDS = [
    (kind, form)
    for kind in (
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
    )
    for form in ("openssh", "pkcs8-pem", "pkcs1-pem")
    if (kind, form) != ("ssh-ed25519", "pkcs1-pem")
]


@pytest.mark.parametrize("passphrase", ["", "open sesame äö"])
@pytest.mark.parametrize(("kind", "form"), _KINDS)
def test_each_kind_of_key_signs(kind: str, form: str, passphrase: str) -> None:
    """Every kind, every form, with a passphrase and without; its public half can verify."""
    made = new_key(kind, form=form, passphrase=passphrase)
    opened = private_key(made.secrets)
    assert opened.public_data == made.blob
    algorithm = b"rsa-sha2-512" if kind == "ssh-rsa" else kind.encode()
    found = public_key(made.blob)
    assert found is not None
    assert found.verify(b"data", opened.sign(b"data", algorithm))


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs1-pem"])
def test_a_key_pasted_with_other_line_ends_is_taken(form: str) -> None:
    """And with blank lines around it, and with a passphrase that it does not need."""
    made = new_key("ssh-rsa", form=form)
    pasted = "\r\n  \r\n" + made.private.replace("\n", "\r\n").strip()
    assert private_key({"private_key": pasted, "passphrase": "unneeded"}).public_data == made.blob


_ENCRYPTED = ("openssh", "pkcs8-pem", "pkcs1-pem")


@pytest.mark.parametrize("form", _ENCRYPTED)
def test_a_keys_missing_or_wrong_passphrase_is_told(form: str) -> None:
    """Two different things to do."""
    made = new_key("ecdsa-sha2-nistp256", form=form, passphrase="open sesame")
    with pytest.raises(SecretInvalid, match="Enter its passphrase"):
        private_key({"private_key": made.private})
    with pytest.raises(SecretInvalid, match="does not open"):
        private_key({"private_key": made.private, "passphrase": "close sesame"})


_KEY = new_key()
_BODY = _KEY.private.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_KEY.public, "public half"),
        (f"---- BEGIN SSH2 PUBLIC KEY ----\n{_BODY[1]}\n---- END SSH2 PUBLIC KEY ----", "public half"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "PuTTY's own form"),
        ("hunter2", "not a private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "not a private key"),
        ("\n".join(_BODY[:-1]), "not a private key"),
        ("\n".join([*_BODY[:2], *_BODY[3:]]), "not a private key"),
        (_KEY.private.replace("OPENSSH", "RSA"), "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----", "not a private key"),
        (asyncssh.generate_private_key("ssh-dss").export_private_key().decode(), "DSA is too weak"),
        (asyncssh.generate_private_key("ssh-ed448").export_private_key().decode(), "Use Ed25519"),
    ],
    ids=[
        "public", "RFC 4716", "PEM public", "PuTTY", "a password", "a certificate", "cut off", "a line lost",
        "wrong name", "empty", "DSA", "Ed448",
    ],
)  # fmt: skip
def test_what_is_no_usable_key_is_told_as_what_it_is(text: str, said: str) -> None:
    """And what to do; nothing of it is in the error, or in what the error leads to."""
    with pytest.raises(SecretInvalid, match=said) as caught:
        private_key({"private_key": text})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(line in shown for line in text.splitlines() if len(line) > 30)


@pytest.mark.parametrize("secrets", [{}, {"private_key": ""}, {"private_key": " \r\n"}, {"passphrase": "x"}])
def test_a_key_that_is_not_there_is_missing(secrets: dict[str, str]) -> None:
    """Not invalid."""
    with pytest.raises(SecretMissing):
        private_key(secrets)


@pytest.mark.parametrize(
    "blob", [b"", b"\0", bytes(40), b"\0\0\0\x0bssh-ed25519", b"\0\0\0\4\xff\xff\xff\xff"]
)
def test_when_a_public_key_is_none_there_is_none(blob: bytes) -> None:
    """It came from a client."""
    assert public_key(blob) is None
