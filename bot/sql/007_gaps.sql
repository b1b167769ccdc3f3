-- A time of which posts may be missing is looked through by somebody, which is an event like every other act.
ALTER TABLE gaps ADD COLUMN looked_by TEXT;
ALTER TABLE gaps ADD COLUMN looked_utc REAL;

-- SQLite changes a table's CHECK only by making it anew. Dropping a table fires none of its triggers.
CREATE TABLE reviews_anew (
    id          INTEGER PRIMARY KEY,
    post_id     TEXT NOT NULL,  -- or the name of a notice about the bot itself, such as a gap's
    subreddit   TEXT NOT NULL COLLATE NOCASE,
    delivery_id INTEGER,  -- the delivery that the act was about, where there was one
    action      TEXT NOT NULL CHECK (action IN (
        'claimed', 'released', 'edited', 'approved', 'dismissed', 'marked', 'escalated', 'undone', 'retried', 'looked'
    )),
    actor       TEXT NOT NULL,
    at_utc      REAL NOT NULL,
    detail      TEXT NOT NULL DEFAULT '',  -- a word of ours: why dismissed, the level it is marked as, parts of a reply
    note        TEXT NOT NULL DEFAULT ''   -- the moderator's own words
) STRICT;

-- Everything, in its order: a column that this file does not know of is an error, not a loss.
INSERT INTO reviews_anew SELECT * FROM reviews;
DROP TABLE reviews;
ALTER TABLE reviews_anew RENAME TO reviews;

CREATE INDEX reviews_of_post ON reviews (post_id, id);
CREATE INDEX reviews_of_subreddit ON reviews (subreddit, id);
CREATE INDEX reviews_by_actor ON reviews (actor, at_utc);

-- Only ever added to. A note may tell of a post, so it alone can be emptied.
CREATE TRIGGER reviews_never_change BEFORE UPDATE OF id, post_id, subreddit, delivery_id, action, actor, at_utc, detail ON reviews
BEGIN
    SELECT RAISE(ABORT, 'reviews are only ever added to');
END;
CREATE TRIGGER notes_are_only_forgotten BEFORE UPDATE OF note ON reviews WHEN NEW.note <> ''
BEGIN
    SELECT RAISE(ABORT, 'reviews are only ever added to');
END;
CREATE TRIGGER reviews_never_go BEFORE DELETE ON reviews
BEGIN
    SELECT RAISE(ABORT, 'reviews are only ever added to');
END;
