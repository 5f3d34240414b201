-- The form of SSH connections wrote its old default, "logins that name no host are signed too", into each of them, so a
-- stored `false` is nobody's choice. Without it the new default counts, which is the safe one; who needs the other says
-- so anew. In the document's text, as `storage.rows.canonical` writes it: a quote inside of a value has a backslash before
-- it, and not every SQLite has the functions for JSON.
UPDATE connections
SET document = replace(replace(document, '"bound_only":false,', ''), '"bound_only":false}', '}')
WHERE instr(document, '"provider_id":"ssh"') > 0;
