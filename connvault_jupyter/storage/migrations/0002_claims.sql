-- Claims are no longer stored in the open. A handle that stands on a grant does not say whose agent's it is (its grant
-- does); one without keeps a keyed hash of the claim and its envelope. Those of before that had a claim without a grant go:
-- only the keys could seal it, and a new one of their kind is had without a question.
CREATE TABLE handles_now (
    ref_hash BLOB PRIMARY KEY NOT NULL,
    grant_id TEXT REFERENCES grants (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    requester_instance TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    agent_hash TEXT,
    agent_sealed TEXT
) WITHOUT ROWID;

INSERT INTO handles_now (ref_hash, grant_id, connection_id, requester_instance, mode, created_at, expires_at)
SELECT ref_hash, grant_id, connection_id, requester_instance, mode, created_at, expires_at
FROM handles WHERE grant_id IS NOT NULL OR agent IS NULL;

DROP TABLE handles;
ALTER TABLE handles_now RENAME TO handles;

CREATE INDEX handles_by_grant ON handles (grant_id);
CREATE INDEX handles_by_connection ON handles (connection_id);
CREATE INDEX handles_by_instance ON handles (requester_instance);
