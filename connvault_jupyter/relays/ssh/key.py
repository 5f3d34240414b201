"""Parses keys: a private one for one signature or one login. Nothing is kept; errors never contain key text."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import asyncssh

from ...errors import ConnvaultError, SecretInvalid, SecretMissing
from .agent import Reader
from .rules import KEY_KINDS

_NO_KEY = (
    "The secret is not a private key. Paste the whole file, from -----BEGIN to -----END, "
    "into the connection's private key."
)
_PUBLIC = "This is the public half of a key. Paste the private key: the file of the same name without “.pub”."
_PUTTY = (
    "This key is in PuTTY's own format. Convert it in PuTTYgen (Conversions, Export OpenSSH key) and paste "
    "the result."
)
_LOCKED = "The private key is encrypted. Enter its passphrase in the Connections panel."
_NOT_OPENED = "The passphrase does not open the private key. Enter it again in the Connections panel."
_UNKNOWN_ENCRYPTION = (
    "The private key is encrypted in an unknown way. Encrypt it again (ssh-keygen -p) and paste the result."
)
_KIND = (
    "Keys of this kind are not supported: DSA is too weak, and a hardware key can't be stored. Use Ed25519, "
    "ECDSA or RSA."
)

_PUBLIC_FORMS = re.compile(r"(ssh-|ecdsa-|sk-)\S+ AAAA|---- BEGIN SSH2 PUBLIC|-----BEGIN [A-Z ]*PUBLIC KEY")


def private_key(secrets: Mapping[str, str], *, checked: bool = False) -> asyncssh.SSHKey:
    """The key in `private_key`, decrypted with `passphrase` if necessary. OpenSSH's format, PKCS#1, PKCS#8 and SEC 1.

    `checked`: this very key was parsed before, so the primes of an RSA key (0.3 s at 4,096 bits) aren't tested again.

    Raises: SecretMissing, SecretInvalid: what is wrong with it, and what to do.
    """
    # For Windows and web forms: other line ends, and blank lines before or after.
    text = secrets.get("private_key", "").replace("\r\n", "\n").strip() + "\n"
    passphrase = secrets.get("passphrase") or None
    wrong: ConnvaultError | None = _form(text)
    if wrong is None:
        try:
            key = asyncssh.import_private_key(text, passphrase, unsafe_skip_rsa_key_validation=checked)
        except Exception as exc:  # noqa: BLE001 -- a broken key makes the libraries raise anything: OverflowError ...
            wrong = _told(str(exc), has_passphrase=passphrase is not None)
        else:
            if key.algorithm in KEY_KINDS:
                return key
            wrong = SecretInvalid(_KIND)
    # Outside the handler: the library's frames have the key in their variables.
    raise wrong


def public_key(key: bytes) -> asyncssh.SSHKey | None:
    """From its wire format; `None` if it is not one, such as a certificate."""
    try:
        kind = Reader(key).string().decode("ascii")
        return asyncssh.import_public_key(f"{kind} {base64.b64encode(key).decode()}")
    except Exception:  # noqa: BLE001 -- as above; here the bytes are a client's
        return None


def _form(text: str) -> ConnvaultError | None:
    if not text.strip():
        return SecretMissing()
    if text.startswith("PuTTY-User-Key-File"):
        return SecretInvalid(_PUTTY)
    if _PUBLIC_FORMS.match(text):
        return SecretInvalid(_PUBLIC)
    if "PRIVATE KEY-----" not in text:
        return SecretInvalid(_NO_KEY)
    return None


def _told(said: str, *, has_passphrase: bool) -> SecretInvalid:
    """From asyncssh's messages, which contain no content (public_key.py, `_decode_openssh_private`,
    `_decode_pem_private`)."""
    if "Passphrase must be specified" in said:
        return SecretInvalid(_LOCKED)
    if has_passphrase and ("Incorrect passphrase" in said or "Unable to decrypt" in said):
        return SecretInvalid(_NOT_OPENED)
    # The last one: asyncssh was installed without support for OpenSSH's own encryption.
    if any(words in said for words in ("Unknown cipher", "Unknown kdf", "requires bcrypt")):
        return SecretInvalid(_UNKNOWN_ENCRYPTION)
    return SecretInvalid(_NO_KEY)
