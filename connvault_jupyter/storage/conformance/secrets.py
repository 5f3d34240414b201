"""What a store of sealed secrets must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

import pickle

from ...errors import StorageError
from ..stores import Stores
from .samples import connection, refusing, secret


class SecretStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_what_was_put_is_found(self, stores: Stores) -> None:
        """Byte for byte, to the microsecond."""
        stores.connections.add(connection())
        stores.secrets.put(secret())
        assert stores.secrets.get("c1", "password") == secret()
        assert stores.secrets.get("c1", "other") is None
        assert stores.secrets.get("c2", "password") is None

    def test_a_second_one_replaces_the_first(self, stores: Stores) -> None:
        """There is one per connection and field, and the old ref is gone."""
        stores.connections.add(connection())
        stores.secrets.put(secret(ref="r1"))
        stores.secrets.put(secret(ref="r2"))
        assert stores.secrets.all() == [secret(ref="r2")]

    def test_those_of_a_connection_are_its_own(self, stores: Stores) -> None:
        """By field."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
        kept = [secret("c1", "token", ref="r2"), secret("c1", "password"), secret("c2", "token", ref="r3")]
        for one in kept:
            stores.secrets.put(one)
        assert stores.secrets.of("c1") == [kept[1], kept[0]]
        assert stores.secrets.of("c3") == []
        assert len(stores.secrets.all()) == 3

    def test_which_fields_have_one_is_told_without_their_envelopes(self, stores: Stores) -> None:
        """Of one connection or of all; what has none is missing."""
        for identity in ("c1", "c2", "c3"):
            stores.connections.add(connection(identity))
        for one in (secret("c1"), secret("c1", "token", ref="r2"), secret("c2", ref="r3")):
            stores.secrets.put(one)
        both = frozenset({"password", "token"})
        assert stores.secrets.fields() == {"c1": both, "c2": frozenset({"password"})}
        assert stores.secrets.fields("c1") == {"c1": both}
        assert stores.secrets.fields("c3") == {}

    def test_removing_tells_whether_there_was_one(self, stores: Stores) -> None:
        """The other fields stay."""
        stores.connections.add(connection())
        stores.secrets.put(secret())
        stores.secrets.put(secret(field="token", ref="r2"))
        assert stores.secrets.remove("c1", "password")
        assert not stores.secrets.remove("c1", "password")
        assert stores.secrets.of("c1") == [secret(field="token", ref="r2")]

    def test_without_its_connection_it_is_refused(self, stores: Stores) -> None:
        """A secret that nothing refers to would never be removed."""
        with refusing(StorageError):
            stores.secrets.put(secret("gone"))
        assert stores.secrets.all() == []

    def test_its_repr_does_not_show_the_envelope(self, stores: Stores) -> None:
        """Records of stores end up in tracebacks."""
        stores.connections.add(connection())
        stores.secrets.put(secret())
        found = stores.secrets.get("c1", "password")
        assert "sealed" not in repr(found)
        assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own bytes
