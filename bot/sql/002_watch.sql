-- Posts fetched and not judged yet: what Reddit showed once is kept, whatever happens before its decision is stored.
CREATE TABLE inbox (
    id          TEXT PRIMARY KEY,
    subreddit   TEXT NOT NULL COLLATE NOCASE,
    author      TEXT,
    title       TEXT NOT NULL,
    text        TEXT NOT NULL,
    created_utc REAL,
    permalink   TEXT NOT NULL,
    fetched_utc REAL NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0  -- times that judging it was begun
) STRICT;

ALTER TABLE posts ADD COLUMN author_hash TEXT;
ALTER TABLE posts ADD COLUMN fetched_utc REAL NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN checked_utc REAL NOT NULL DEFAULT 0;  -- when Reddit last said that it is still there
ALTER TABLE posts ADD COLUMN forgotten_utc REAL;  -- when its text, author and evidence were forgotten
UPDATE posts SET fetched_utc = judged_utc, checked_utc = judged_utc;

CREATE INDEX posts_remembered ON posts (checked_utc) WHERE forgotten_utc IS NULL;

ALTER TABLE deliveries ADD COLUMN since_utc REAL NOT NULL DEFAULT 0;  -- from when on it could have been sent
UPDATE deliveries SET since_utc = due_utc;

-- Authors by keyed hash, and only those whom a cooldown or an opt-out protects; each row expires.
CREATE TABLE authors (
    hash          TEXT PRIMARY KEY,
    replied_utc   REAL,     -- when a reply to them was begun ...
    replied_by    INTEGER,  -- ... and which delivery that was
    opted_out_utc REAL,
    expires_utc   REAL NOT NULL
) STRICT;

-- Times of which posts may be missing.
CREATE TABLE gaps (
    id        INTEGER PRIMARY KEY,
    subreddit TEXT NOT NULL COLLATE NOCASE,
    from_utc  REAL NOT NULL,
    until_utc REAL NOT NULL,
    found_utc REAL NOT NULL,
    UNIQUE (subreddit, from_utc)
) STRICT;

ALTER TABLE watches ADD COLUMN looked_utc REAL;   -- the last look that succeeded
ALTER TABLE watches ADD COLUMN refused_utc REAL;  -- since when Reddit refuses it, and why
ALTER TABLE watches ADD COLUMN refusal TEXT;

-- The last figures of the running process, for whoever asks from outside.
CREATE TABLE vitals (
    name   TEXT PRIMARY KEY,
    value  REAL NOT NULL,
    at_utc REAL NOT NULL
) STRICT;
