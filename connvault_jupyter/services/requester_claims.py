"""What requesting code says about itself: compared raw, stored sealed, shown masked to a person. It is never trusted.

Only a claim's *mark*, a keyed hash of exactly what was sent, is ever compared, so nothing that a requester sees can
depend on what was masked. Its *envelope* holds the text that people are shown: cleaned, with the connection's present
secrets masked, padded to one length for its kind, then sealed, so that whoever reads the database learns neither the
text nor whether anything is masked in it. The original text is not kept. (A secret that is replaced or removed later
could no longer be masked in it, and would stay in the activity log for good.) Evidence that the broker found itself
(paths, kernels, pids) is not handled here.

Evolution: marks and envelopes begin with the generation of their key. Another normal form for comparison, another
padding or another text in the envelope needs another domain.
"""

from __future__ import annotations

import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..contracts.access import Grant
from ..contracts.contract import Hidden
from ..contracts.request_limits import MAX_AGENT_CHARS, MAX_CLAIM_CHARS
from ..errors import HandleInvalid, SecretInvalid, VaultLocked
from .ports import Handle
from .secrets.guessability import maskable
from .vault_ports import Keys, RecordKeys

MASK = "[secret]"

# Control, format (bidirectional and zero width), surrogate, private use, line and paragraph separators.
_STRIPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def cleaned(text: str | None, *, limit: int = MAX_CLAIM_CHARS) -> str | None:
    """`text` on one line, without control and bidirectional characters, at most `limit` characters; `None` if empty."""
    if not text:
        return None
    spaced = "".join(" " if char in "\t\r\n\u2028\u2029" else char for char in text)
    plain = "".join(char for char in spaced if unicodedata.category(char) not in _STRIPPED)
    return " ".join(plain.split())[:limit].rstrip() or None


def masked(text: str | None, secrets: Iterable[str], *, limit: int = MAX_CLAIM_CHARS) -> str | None:
    """`cleaned`, with each of `secrets` that nobody can guess replaced wherever it occurs, raw or cleaned.

    `secrets` should only contain values that the caller could know: those of the requested connection.
    """
    if not text:
        return None
    # The longest first, so that one secret inside another leaves no remainder.
    values = sorted({value for value in secrets if maskable(value)}, key=len, reverse=True)
    found = text
    for value in values:
        found = found.replace(value, MASK)
    # Before truncation: a secret that the limit would cut must be found whole.
    plain = cleaned(found, limit=len(found))
    for value in values:
        tidy = cleaned(value, limit=len(value))
        if plain and tidy and maskable(tidy):
            plain = plain.replace(tidy, MASK)
    return cleaned(plain, limit=limit)


Kind = Literal["agent", "reason"]

_DOMAIN = b"connvault-claim-1\0"

_CHARS: dict[Kind, int] = {"agent": MAX_AGENT_CHARS, "reason": MAX_CLAIM_CHARS}

# A character has at most four bytes of UTF-8, and two bytes give the length of the text.
_LENGTH_BYTES = 2
_BYTES: dict[Kind, int] = {kind: _LENGTH_BYTES + 4 * chars for kind, chars in _CHARS.items()}


@dataclass(frozen=True)
class Claim:
    """A claim in processing. `marks`: by the present keys first, then by those of earlier generations, so that claims
    stored before a change of keys still compare equal.

    `sealed` is empty until the request is admitted (`Claims.admitted`): nothing is unsealed or masked before that.
    `raw` is the text as sent, `kept` its envelope in a handle; an admitted claim has neither.
    """

    kind: Kind
    marks: tuple[str, ...]
    sealed: str = ""
    raw: str | None = field(default=None, repr=False, compare=False)
    kept: str = field(default="", repr=False, compare=False)

    @property
    def mark(self) -> str:
        return self.marks[0]


class Claims:
    """`keys`: the present ones; `every`: those, then the ones kept from earlier generations. None while the vault is
    locked."""

    def __init__(self, *, keys: Callable[[], Keys | None], every: Callable[[], Sequence[RecordKeys]]) -> None:
        self._keys = keys
        self._every = every

    def made(self, kind: Kind, connection_id: str, text: str | None) -> Claim | None:
        """The claim that a requester makes now; `None` if it has no visible characters. Raises: VaultLocked."""
        if text is None or cleaned(text) is None:
            return None
        return Claim(kind, self._marks(kind, connection_id, text), raw=text)

    def admitted(self, claim: Claim | None, connection_id: str, secrets: Iterable[str]) -> Claim | None:
        """The claim with its envelope, `secrets` masked in the text; unchanged if it already has one.

        Raises: VaultLocked.
            HandleInvalid: the claim stored with a handle was edited.
        """
        if claim is None or claim.sealed:
            return claim
        raw = claim.raw if claim.raw is not None else self._unkept(claim, connection_id)
        text = masked(raw, secrets, limit=_CHARS[claim.kind]) or ""
        return replace(claim, sealed=self._seal(claim.kind, b"", connection_id, text), raw=None, kept="")

    def kept(self, claim: Claim, connection_id: str) -> str:
        """An envelope of the claim as sent, for a handle with which questions will be asked later: masking it now
        would unseal secrets for everyone who asks for such a handle, as often as they like.

        Raises: VaultLocked.
        """
        return self._seal(claim.kind, b"raw ", connection_id, claim.raw or "")

    def shown(self, kind: Kind, connection_id: str, sealed: str) -> tuple[str | None, Hidden | None]:
        """The masked text for a person, or why it can't be shown."""
        if self._keys() is None:
            return None, "locked"
        try:
            return self._unsealed(kind, b"", connection_id, sealed), None
        except SecretInvalid:
            return None, "unreadable"

    def _marks(self, kind: Kind, connection_id: str, text: str) -> tuple[str, ...]:
        # surrogatepass: half a character is not text, but it must compare equal to itself.
        message = _context(kind, b"", connection_id) + b"\0" + text.encode("utf-8", "surrogatepass")
        found = tuple(f"{keys.generation}.{keys.mac('claim', message).hex()}" for keys in self._every())
        if not found:
            raise VaultLocked
        return found

    def _seal(self, kind: Kind, form: bytes, connection_id: str, text: str) -> str:
        keys = self._keys()
        if keys is None:
            raise VaultLocked
        plain = text.encode("utf-8", "surrogatepass")
        padded = (len(plain).to_bytes(_LENGTH_BYTES, "big") + plain).ljust(_BYTES[kind], b"\0")
        envelope = keys.seal_claim(padded, _context(kind, form, connection_id))
        return f"{keys.generation}.{urlsafe_b64encode(envelope).rstrip(b'=').decode()}"

    def _unsealed(self, kind: Kind, form: bytes, connection_id: str, sealed: str) -> str:
        """Raises: SecretInvalid."""
        generation, _, text = sealed.partition(".")
        for keys in self._every():
            if str(keys.generation) == generation:
                envelope = _decoded(text)
                padded = keys.unseal_claim(envelope, _context(kind, form, connection_id))
                length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
                return padded[_LENGTH_BYTES : _LENGTH_BYTES + length].decode("utf-8", "surrogatepass")
        raise SecretInvalid

    def _unkept(self, claim: Claim, connection_id: str) -> str:
        try:
            raw = self._unsealed(claim.kind, b"raw ", connection_id, claim.kept)
        except SecretInvalid:
            raw = ""
        # Handles have no MAC, so check that mark and envelope belong to one claim. Whoever edits both gains nothing.
        if claim.mark not in self._marks(claim.kind, connection_id, raw):
            raise HandleInvalid(reason="revoked")
        return raw


def agent_of_grant(grant: Grant) -> Claim | None:
    """The claim for which a stored grant was given."""
    if grant.agent_hash is None:
        return None
    return Claim("agent", (grant.agent_hash,), sealed=grant.agent_sealed or "")


def agent_of_handle(handle: Handle) -> Claim | None:
    """The claim for which a handle without a grant was given."""
    if handle.agent_hash is None:
        return None
    return Claim("agent", (handle.agent_hash,), kept=handle.agent_sealed or "")


def same_agent(grant: Grant, claim: Claim | None) -> bool:
    """Whether the grant is for exactly this claim; no claim matches only no claim."""
    if claim is None:
        return grant.agent_hash is None
    return grant.agent_hash in claim.marks


def _context(kind: Kind, form: bytes, connection_id: str) -> bytes:
    # Neither contains a zero byte, so no two contexts are equal.
    return _DOMAIN + form + kind.encode() + b"\0" + connection_id.encode()


def _decoded(text: str) -> bytes:
    """Raises: SecretInvalid."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        pass
    raise SecretInvalid
