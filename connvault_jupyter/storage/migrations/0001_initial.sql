-- Instants are integers: microseconds since 1970-01-01 UTC.
-- `document` is the whole contract as canonical JSON; the columns beside it are copies of what is searched for, and a
-- row whose copies differ from its document counts as unreadable.

CREATE TABLE vault (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    vault_id TEXT NOT NULL,
    custodian TEXT NOT NULL,
    parameters TEXT NOT NULL,
    check_value BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE connections (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    last_used_at INTEGER,
    last_test TEXT
) WITHOUT ROWID;

CREATE TABLE secrets (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    ref TEXT NOT NULL UNIQUE,
    envelope BLOB NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (connection_id, field)
) WITHOUT ROWID;

CREATE TABLE grants (
    id TEXT PRIMARY KEY NOT NULL,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    requester_key TEXT NOT NULL,
    instance TEXT,
    created_at INTEGER NOT NULL,
    document TEXT NOT NULL,
    mac BLOB NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0,
    last_used_at INTEGER
) WITHOUT ROWID;

CREATE INDEX grants_by_requester ON grants (connection_id, requester_key);
CREATE INDEX grants_by_instance ON grants (instance) WHERE instance IS NOT NULL;

CREATE TABLE handles (
    ref_hash BLOB PRIMARY KEY NOT NULL,
    grant_id TEXT REFERENCES grants (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    requester_instance TEXT NOT NULL,
    mode TEXT NOT NULL,
    agent TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;

-- Without them removing a grant or a connection would look at every handle.
CREATE INDEX handles_by_grant ON handles (grant_id);
CREATE INDEX handles_by_connection ON handles (connection_id);
CREATE INDEX handles_by_instance ON handles (requester_instance);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    connection_id TEXT,
    connection TEXT,
    requester_key TEXT,
    -- Bytes of all rows ever written up to and with this one: the size of the record is a difference of two of them.
    end_offset INTEGER NOT NULL,
    body BLOB NOT NULL,
    previous BLOB NOT NULL,
    digest BLOB NOT NULL,
    mac BLOB
);

-- Answers both "newest rows of a connection" and "uses by day", the latter without reading the rows.
CREATE INDEX audit_by_connection ON audit (connection_id, sequence, at, type) WHERE connection_id IS NOT NULL;
CREATE INDEX audit_by_requester ON audit (requester_key, sequence) WHERE requester_key IS NOT NULL;

CREATE TABLE audit_checkpoint (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    digest BLOB NOT NULL,
    mac BLOB,
    end_offset INTEGER NOT NULL
);

-- The record only grows at its end and shrinks at its beginning. These stop mistakes, not people: the chain notices those.
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are never changed');
END;

CREATE TRIGGER audit_is_only_pruned BEFORE DELETE ON audit
WHEN OLD.sequence > coalesce((SELECT sequence FROM audit_checkpoint), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit rows are only removed below the checkpoint');
END;

CREATE TABLE open_questions (
    question_id TEXT PRIMARY KEY NOT NULL,
    broker TEXT NOT NULL,
    event TEXT NOT NULL,
    asked_at INTEGER NOT NULL
) WITHOUT ROWID;
