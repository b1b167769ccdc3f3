-- Who is signed in to the moderators' page. Of a session's secret only the hash is here: whoever reads the database, or a
-- copy of it, cannot take anybody's place.
CREATE TABLE sessions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    secret_hash TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    way         TEXT NOT NULL,  -- reddit, link
    begun_utc   REAL NOT NULL,
    seen_utc    REAL NOT NULL,  -- the last request, to within a minute
    expires_utc REAL NOT NULL
) STRICT;

-- Links that sign somebody in once.
CREATE TABLE sign_in_links (
    secret_hash TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    expires_utc REAL NOT NULL
) STRICT;
