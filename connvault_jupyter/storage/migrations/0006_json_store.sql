-- If there is a row, connections and sealed secrets are in connections.json beside the database. `digest` (SHA-256) is of the
-- file as the last commit left it, `previous_digest` of what that replaced; storage/json/connections_file.py says what follows.
CREATE TABLE json_store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    previous_digest BLOB NOT NULL,
    digest BLOB NOT NULL
);

-- Then a row of `connections` is an anchor for permissions, handles, the last use and the last test: its document is empty. A
-- broker that still runs with the other store in mind can't write: its rows would be seen by nobody.
CREATE TRIGGER connection_is_of_the_store BEFORE INSERT ON connections
WHEN (NEW.document = '') <> EXISTS (SELECT 1 FROM json_store)
BEGIN
    SELECT RAISE(ABORT, 'the connections are in another store');
END;

CREATE TRIGGER connection_stays_in_the_store BEFORE UPDATE OF document ON connections
WHEN (NEW.document = '') <> EXISTS (SELECT 1 FROM json_store)
BEGIN
    SELECT RAISE(ABORT, 'the connections are in another store');
END;

CREATE TRIGGER secret_is_of_the_store BEFORE INSERT ON secrets
WHEN EXISTS (SELECT 1 FROM json_store)
BEGIN
    SELECT RAISE(ABORT, 'the secrets are in another store');
END;
