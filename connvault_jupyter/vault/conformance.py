"""What every custodian must do, as a suite to subclass. For tests only; it needs no test framework by itself.

    class TestMine(CustodianConformance):
        def custodian(self) -> Custodian:
            return MyCustodian(...)

Each `test_*` method is one promise. `custodian()` is called again wherever a promise must survive a restart, and must
then use the same storage.
"""

# ruff: noqa: S101, S105 - a suite of promises: asserts, and made-up passphrases

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import VaultError
from ..services.vault_ports import Custodian

# Damaged parameters, as an attacker or a bug may have stored them.
_NONSENSE: tuple[Any, ...] = (None, True, -1, 0, 2**40, 1.5, "", "x", "A" * 100_000, [], {})


class CustodianConformance:
    """Promises of the port `Custodian`. `passphrase` is used throughout; custodians without one ignore it."""

    passphrase: str | None = "a passphrase for the suite"
    wrong_passphrase: str | None = "not the passphrase of the suite"
    needs_passphrase: bool = False
    """Whether a wrong passphrase must be refused."""

    def custodian(self) -> Custodian:
        """A new custodian over the same storage."""
        raise NotImplementedError

    def test_when_asked_it_is_available_here(self) -> None:
        """The suite is only meaningful where the custodian is available."""
        found = self.custodian().availability()
        assert found.available, found.detail
        assert found.label
        assert found.detail

    def test_when_kept_the_key_is_recovered(self) -> None:
        """What was given comes back, from a new custodian too."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters = self._keep(vault_id, key)
        assert self.custodian().recover(vault_id, parameters, self.passphrase) == key
        self.custodian().forget(vault_id, parameters)

    def test_when_stored_as_json_the_parameters_still_work(self) -> None:
        """The store writes JSON and nothing else."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters = json.loads(json.dumps(self._keep(vault_id, key), allow_nan=False))
        assert self.custodian().recover(vault_id, parameters, self.passphrase) == key
        self.custodian().forget(vault_id, parameters)

    def test_when_kept_the_parameters_hold_no_secret(self) -> None:
        """They are stored in the open."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters = self._keep(vault_id, key)
        stored = json.dumps(parameters)
        for shown in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()):
            assert shown.rstrip("=") not in stored
        assert self.passphrase is None or self.passphrase not in stored
        self.custodian().forget(vault_id, parameters)

    def test_when_two_vaults_are_kept_each_has_its_own_key(self) -> None:
        """One custodian's storage serves many vaults."""
        one, other = _vault(), _vault()
        key, other_key = secrets.token_bytes(32), secrets.token_bytes(32)
        parameters, other_parameters = self._keep(one, key), self._keep(other, other_key)
        assert self.custodian().recover(one, parameters, self.passphrase) == key
        assert self.custodian().recover(other, other_parameters, self.passphrase) == other_key
        for vault_id, kept in ((one, parameters), (other, other_parameters)):
            self.custodian().forget(vault_id, kept)

    def test_when_asked_for_another_vault_it_gives_nothing(self) -> None:
        """Parameters copied to another vault give no key there."""
        vault_id = _vault()
        parameters = self._keep(vault_id, secrets.token_bytes(32))
        _refuses(self.custodian(), _vault(), parameters, self.passphrase)
        self.custodian().forget(vault_id, parameters)

    def test_when_kept_again_the_new_key_counts(self) -> None:
        """Keeping twice replaces (a changed passphrase, a repeated setup)."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        self._keep(vault_id, secrets.token_bytes(32))
        parameters = self._keep(vault_id, key)
        assert self.custodian().recover(vault_id, parameters, self.passphrase) == key
        self.custodian().forget(vault_id, parameters)

    def test_when_the_passphrase_is_wrong_it_gives_nothing(self) -> None:
        """Wrong, empty or missing: refused. A custodian without passphrase returns the key nevertheless."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters = self._keep(vault_id, key)
        for wrong in (self.wrong_passphrase, "", None):
            if self.needs_passphrase:
                _refuses(self.custodian(), vault_id, parameters, wrong)
            else:
                assert self.custodian().recover(vault_id, parameters, wrong) == key
        self.custodian().forget(vault_id, parameters)

    def test_when_parameters_are_damaged_the_error_is_typed(self) -> None:
        """Anything may be in a database row; a key that is not the right one never comes out."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters = dict(self._keep(vault_id, key))
        damaged: list[Mapping[str, Any]] = [{}, {"version": parameters["version"]}]
        damaged += [{**parameters, "version": nonsense} for nonsense in (*_NONSENSE, "1", 99)]
        damaged += [
            {**parameters, name: nonsense}
            for name in parameters
            for nonsense in _NONSENSE
            if nonsense != parameters[name]
        ]
        custodian = self.custodian()
        # A custodian may have no parameters but the version.
        for row in (row for row in damaged if row != parameters):
            _refuses(custodian, vault_id, row, self.passphrase)
        custodian.forget(vault_id, parameters)

    def test_when_told_to_forget_it_never_raises(self) -> None:
        """Twice, unknown, damaged: a lost race must not become an error."""
        vault_id = _vault()
        parameters = self._keep(vault_id, secrets.token_bytes(32))
        custodian = self.custodian()
        for row in (parameters, parameters, {}, {"version": 99}):
            custodian.forget(vault_id, row)
        custodian.forget(_vault(), parameters)

    def test_when_many_recover_at_once_each_gets_the_key(self) -> None:
        """Several tabs unlock at the same time."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        parameters, custodian = self._keep(vault_id, key), self.custodian()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(custodian.recover, vault_id, parameters, self.passphrase) for _ in range(4)]
            assert [one.result() for one in asked] == [key] * 4
        custodian.forget(vault_id, parameters)

    def test_when_shown_it_shows_nothing(self) -> None:
        """Its repr may end up in a log, and so may everything that it refers to."""
        vault_id, key = _vault(), secrets.token_bytes(32)
        custodian = self.custodian()
        parameters = custodian.keep(vault_id, key, self.passphrase)
        custodian.recover(vault_id, parameters, self.passphrase)
        shown = f"{custodian!r} {custodian} {vars(custodian)!r}"
        assert repr(key) not in shown
        assert key.hex() not in shown
        assert self.passphrase is None or self.passphrase not in shown
        custodian.forget(vault_id, parameters)

    def _keep(self, vault_id: str, key: bytes) -> Mapping[str, Any]:
        return self.custodian().keep(vault_id, key, self.passphrase)


def _vault() -> str:
    return f"suite-{secrets.token_hex(8)}"


def _refuses(
    custodian: Custodian, vault_id: str, parameters: Mapping[str, Any], passphrase: str | None
) -> None:
    try:
        custodian.recover(vault_id, parameters, passphrase)
    except VaultError as error:
        assert error.message  # noqa: PT017 - no test framework in the package
    else:
        raise AssertionError(f"a key came out: {sorted(parameters)}")
