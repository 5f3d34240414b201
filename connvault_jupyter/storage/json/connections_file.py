"""connections.json as part of the database's transactions: one commit covers both, and a crash leaves the old of both
or the new of both.

The database's write lock is the lock of all stores; changes of connections and secrets are made to a copy in memory.
At the end of a block that changed something:

    1. the file's lock (flock on connections.json.lock), and a look whether the file is still the one that was read
    2. the new text as connections.json.pending, synced, its folder too
    3. in the database, with everything else of the block (its row of the record first of all): the digest of what the
       file was, and of what it is to be
    4. COMMIT, synced if it was not durable by itself
    5. rename of the pending file over connections.json, sync of the folder; then the lock is free

The COMMIT decides. Whoever reads, and whoever opens the store, compares the file's digest with the database's:

    killed          database   file    pending         found as
    before 2        old        old     -               old
    within 2, 3, 4  old        old     torn, or new    old; the pending file's digest is nobody's: removed
    after 4         new        old     new             new: step 5 is done by whoever sees it first
    after 5         new        new     -               new

So nobody sees a state of which half is missing: who reads between 4 and 5 waits for the lock, and after a kill finds it
free. If step 5 is impossible (the folder became read-only), the pending file is read in the file's place, and nothing
can be changed until it works. A power cut is a kill at that point: the pending file is on the disk before the COMMIT,
and the rename happens only once the COMMIT is. A COMMIT that fails leaves the pending file, as SQLite may find the
commit in its log after a power cut; the next change or opening overwrites or removes it.

A file with another digest, and no pending file that the database waits for, was changed by a person or by git. It is
taken as it is: what it is worth, the MACs say. If that happened between 4 and 5 of a broker that was killed, the
pending file wins, and the other is kept beside it (connections.json.edited-*), so that nothing is lost. A missing file
is an error, not an empty store: git removes a file before it writes another.

Permissions and handles need a row of `connections` to hang on, an anchor. Those of a file that somebody changed are
made and removed at the beginning of the next block.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from ...errors import ConnectionsFileInvalid, StorageBusy, StorageError
from ..database import Database
from .contents import Contents
from .format import entries_of, newest_version, text_of
from .private_file import Found, PrivateFile, Signature

_log = logging.getLogger(__name__)


class Journal(NamedTuple):
    """The row of the database: SHA-256 of the file before and after the last commit that changed it."""

    previous: bytes
    digest: bytes


@dataclass(frozen=True)
class _Loaded:
    """A file that was read, and what the database said then. `signature` `None`: it is not in its place yet."""

    contents: Contents
    version: int
    found: Found
    signature: Signature | None
    journal: Journal


class ConnectionsFile:
    """The contents of connections.json. Implements `database.Companion`; the caller holds the database's lock."""

    def __init__(self, *, database: Database, file: PrivateFile) -> None:
        self._database = database
        self._file = file
        self._known: _Loaded | None = None
        self._base: _Loaded | None = None
        self._draft: Contents | None = None
        self._next: _Loaded | None = None
        self._anchored: Contents | None = None
        self._anchoring: Contents | None = None
        self._erasing = False
        self._changes = 0
        self._lock = ExitStack()

    def recover(self) -> None:
        """Finishes or undoes what a killed broker left. Whether the file can be read is told later, to who reads it.

        Raises: StorageBusy, StorageError."""
        with suppress(ConnectionsFileInvalid):
            self._settled()

    def contents(self) -> Contents:
        """What is stored; within a block, as the block sees it. Not to be changed.

        Raises: ConnectionsFileInvalid, SchemaTooNew, StorageBusy, StorageError."""
        if not self._database.inside:
            return self._load().contents
        if self._draft is not None:
            return self._draft
        if self._base is None:
            self._base = self._load()
        return self._base.contents

    @contextmanager
    def changing(self) -> Iterator[Contents]:
        """What is to be stored at the end of the block, or of the one around it.

        Raises: as `contents`."""
        with self._database.transaction():
            if self._draft is None:
                self._draft = self.contents().copy()
            self._changes += 1
            yield self._draft

    def version(self) -> tuple[object, ...]:
        """See `Transactions.version`: other when the file is."""
        if self._database.inside:
            signature = None if self._base is None else self._base.signature
        else:
            signature = self._file.signature()
        return (*self._database.version(), self._changes, signature)

    def began(self, *, erasing: bool) -> None:
        """See `Companion`. A file that can't be read is told to whoever asks for it: a revoke does not."""
        self._drop()
        self._erasing = erasing
        try:
            self._base = self._load()
        except StorageError:
            return
        if self._base.contents is not self._anchored:
            self._anchor(self._base.contents)
            self._anchoring = self._base.contents

    def prepare(self) -> None:
        """See `Companion`: steps 1 to 3.

        Raises: StorageBusy: the file was changed by another program since it was read. StorageFull, StorageError."""
        base, draft = self._base, self._draft
        if base is None or draft is None:
            return
        draft.check()
        text = text_of(draft.entries)
        digest = hashlib.sha256(text).digest()
        if digest == base.found.digest:
            return
        self._lock.enter_context(self._file.locked())
        if base.signature is None:
            raise StorageError(
                f"{self._file.pending} can't be put in its place. Make its folder writable, then try again."
            )
        if self._file.signature() != base.signature:
            present = self._file.read()
            if present is None or present.digest != base.found.digest:
                raise StorageBusy(
                    f"{self._file.path} was changed by another program at this moment. Try again."
                )
        if base.version < newest_version():
            self._file.back_up(base.found.data, f"backup-{base.version:04d}")
        self._file.write_pending(text)
        journal = Journal(base.found.digest, digest)
        self._database.change("UPDATE json_store SET previous_digest = ?, digest = ?", journal)
        self._next = _Loaded(draft, newest_version(), Found(text, digest, (0, 0, 0, 0)), None, journal)

    def ended(self, *, committed: bool) -> None:
        """See `Companion`: steps 4 and 5."""
        following = self._next
        try:
            if not committed:
                # What was read in between was never true.
                self._changes += self._draft is not None
            elif following is not None:
                self._known = following
                if self._database.unsynced:
                    self._database.sync_log()
                signature = self._file.install(erasing=self._erasing)
                self._known = _Loaded(
                    following.contents, following.version, following.found, signature, following.journal
                )
                self._anchored = following.contents
            elif self._anchoring is not None:
                self._anchored = self._anchoring
        except (OSError, StorageError) as exc:
            # It is committed, and everybody reads the pending file until this works.
            _log.warning("%s can't be put in its place (%s)", self._file.pending, type(exc).__name__)
        finally:
            self._drop()

    def _drop(self) -> None:
        self._base = self._draft = self._next = self._anchoring = None
        self._lock.close()

    def _load(self) -> _Loaded:
        journal, known = self._journal(), self._known
        if (
            known is not None
            and known.journal == journal
            and known.signature is not None
            and known.signature == self._file.signature()
        ):
            return known
        found = self._file.read()
        signature = None if found is None else found.signature
        if found is None or found.digest != journal.digest:
            found, signature, journal = self._settled()
        if known is not None and known.found.digest == found.digest:
            contents, version = known.contents, known.version
        else:
            entries, version = entries_of(found.data, self._file.path)
            contents = Contents(entries)
        self._known = _Loaded(contents, version, found, signature, journal)
        return self._known

    def _settled(self) -> tuple[Found, Signature | None, Journal]:
        """What counts if the file is not what the database says: see the table above."""
        with self._file.locked():
            # Whoever had the lock has finished, or was killed.
            journal, found, pending = self._journal(), self._file.read(), self._file.read_pending()
            is_current = found is not None and found.digest == journal.digest
            if pending is None or is_current or pending.digest != journal.digest:
                if pending is not None:
                    self._file.discard_pending()
                if found is None:
                    self._refuse_missing()
                return found, found.signature, journal
            try:
                self._database.sync_log()
                if found is not None and found.digest != journal.previous:
                    kept = self._file.keep_aside(found)
                    _log.warning(
                        "%s was changed while a change of connvault was under way: kept as %s",
                        self._file.path,
                        kept,
                    )
                return pending, self._file.install(), journal
            except (OSError, StorageError) as exc:
                _log.warning("%s can't be put in its place (%s)", self._file.pending, type(exc).__name__)
                return pending, None, journal

    def _journal(self) -> Journal:
        row = self._database.one("SELECT previous_digest, digest FROM json_store")
        if row is None:
            raise StorageError(
                "The connections of this vault were moved into its database. Set "
                'ConnvaultExtension.connection_store to "sqlite", then restart the server.'
            )
        return Journal(*row)

    def _refuse_missing(self) -> NoReturn:
        raise ConnectionsFileInvalid(
            f"{self._file.path} is missing, and the connections are in it. Restore it from a backup or from "
            'version control. To begin without connections, write {"connections": {}, "format": '
            '"connvault-connections", "version": 1} into it.'
        )

    def _anchor(self, contents: Contents) -> None:
        """Gives each connection its anchor. Of one that somebody took out of the file, permissions and handles end."""
        there = {row[0] for row in self._database.many("SELECT id FROM connections")}
        gone, new = there - contents.entries.keys(), contents.entries.keys() - there
        for one in new:
            self.add_anchor(one)
        for one in gone:
            self.remove_anchor(one)
        if gone:
            _log.warning(
                "%d connections are no longer in %s: their permissions end", len(gone), self._file.path
            )

    def add_anchor(self, connection_id: str) -> None:
        """Raises: StorageError."""
        # Names are without regard to case there, ids are not; and no connection's name has a colon.
        self._database.change(
            "INSERT INTO connections (id, name, revision, document) VALUES (?, ':' || hex(?), 0, '')",
            (connection_id, connection_id),
        )

    def remove_anchor(self, connection_id: str) -> None:
        """With permissions, handles, last use and last test. Raises: StorageError."""
        self._database.change("DELETE FROM connections WHERE id = ?", (connection_id,))
