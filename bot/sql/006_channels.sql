-- A delivery may go through a chat channel, and once more in a later step: both are part of what makes it the one it is.
-- SQLite changes a table's UNIQUE only by making it anew.
CREATE TABLE deliveries_anew (
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
    since_utc   REAL NOT NULL DEFAULT 0,  -- from when on it could have been sent
    channel     TEXT NOT NULL DEFAULT '',  -- the chat channel; empty: Reddit
    step        INTEGER NOT NULL DEFAULT 0,  -- of the escalation; 0: the first alert
    unclear     INTEGER NOT NULL DEFAULT 0,  -- calls begun of which nobody knows what they did
    UNIQUE (post_id, kind, channel, step)
) STRICT;

-- Everything, in its order: a column that this file does not know of is an error, not a loss.
INSERT INTO deliveries_anew SELECT *, '', 0, CASE state WHEN 'sending' THEN 1 ELSE 0 END FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;
CREATE INDEX deliveries_due ON deliveries (state, channel, kind, priority, due_utc);
