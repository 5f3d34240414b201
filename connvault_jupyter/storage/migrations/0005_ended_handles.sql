-- Why a handle is no longer there: told to the run that had it, and to nobody else. Whatever removes a handle leaves a row,
-- also a cascade and a broker that knows no better; one that does writes its row first. The newest 4,096 are kept: a
-- handle that nobody has tried for so long is only said to be unknown.
CREATE TABLE ended_handles (
    sequence INTEGER PRIMARY KEY,
    ref_hash BLOB NOT NULL UNIQUE,
    requester_instance TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE TRIGGER handle_has_ended AFTER DELETE ON handles
BEGIN
    INSERT OR IGNORE INTO ended_handles (ref_hash, requester_instance, reason) VALUES (
        OLD.ref_hash,
        OLD.requester_instance,
        CASE WHEN EXISTS (SELECT 1 FROM connections WHERE id = OLD.connection_id) THEN 'revoked' ELSE 'deleted' END
    );
    DELETE FROM ended_handles WHERE sequence <= (SELECT max(sequence) FROM ended_handles) - 4096;
END;
