-- Times are seconds since the epoch. JSON columns hold what the record module would write.

-- One row a post, written in the same transaction as its deliveries: a row here means seen, judged and provided for.
CREATE TABLE posts (
    id          TEXT PRIMARY KEY,
    subreddit   TEXT NOT NULL COLLATE NOCASE,
    author      TEXT,
    title       TEXT NOT NULL,
    text        TEXT NOT NULL,
    created_utc REAL,
    permalink   TEXT NOT NULL,
    level       TEXT NOT NULL,
    reasons     TEXT NOT NULL,  -- JSON: [{"code", "words"}]
    record      TEXT NOT NULL,  -- JSON: the line that replay would write
    judged_utc  REAL NOT NULL
) STRICT;

CREATE INDEX posts_by_subreddit ON posts (subreddit, created_utc);

-- The outbox.
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    post_id     TEXT NOT NULL,
    subreddit   TEXT NOT NULL COLLATE NOCASE,
    kind        TEXT NOT NULL CHECK (kind IN ('alert', 'digest', 'reply')),
    state       TEXT NOT NULL CHECK (state IN ('held', 'pending', 'sending', 'sent', 'dismissed', 'dead')),
    priority    INTEGER NOT NULL,  -- rank of the triage level: the highest goes out first
    subject     TEXT NOT NULL,
    body        TEXT NOT NULL,
    due_utc     REAL NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    reddit_id   TEXT,
    error       TEXT,
    created_utc REAL NOT NULL,
    changed_utc REAL NOT NULL,
    UNIQUE (post_id, kind)
) STRICT;

CREATE INDEX deliveries_due ON deliveries (state, kind, priority, due_utc);

-- What moderators did: only ever added to.
CREATE TABLE reviews (
    id          INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
    action      TEXT NOT NULL CHECK (action IN ('approved', 'dismissed')),
    actor       TEXT NOT NULL,
    at_utc      REAL NOT NULL,
    note        TEXT NOT NULL DEFAULT ''
) STRICT;

-- Where the watch over a subreddit began: posts older than this were never ours to judge.
CREATE TABLE watches (
    subreddit TEXT PRIMARY KEY COLLATE NOCASE,
    since_utc REAL NOT NULL
) STRICT;
