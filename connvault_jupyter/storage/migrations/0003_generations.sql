-- Keys have generations: each change of them is one more. 1 is a vault from before; what it has is sealed and MAC-ed anew
-- at its first unlock. `older` is JSON: by earlier generation, in base64, what still reads its rows of the record.
ALTER TABLE vault ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE vault ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
ALTER TABLE vault ADD COLUMN older TEXT NOT NULL DEFAULT '{}';

-- Over the document without its status. NULL: stored while no key was there, or from before.
ALTER TABLE connections ADD COLUMN mac BLOB;

-- Whose keys made `mac`; NULL where there is none, and in rows from before.
ALTER TABLE audit ADD COLUMN generation INTEGER;

-- Stops mistakes, not people. A broker of an earlier version that still runs has another schema in mind: it refuses to
-- write from here on, and so can't seal anything with keys that are gone.
CREATE TRIGGER vault_generation_never_falls BEFORE UPDATE ON vault
WHEN NEW.vault_id = OLD.vault_id AND NEW.generation < OLD.generation
BEGIN
    SELECT RAISE(ABORT, 'the generation of the keys never falls');
END;
