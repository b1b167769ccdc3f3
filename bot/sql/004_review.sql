-- What moderators did. An event belongs to a case, which is a post, and stands by itself whatever becomes of the outbox.
ALTER TABLE reviews RENAME TO reviews_before;
CREATE TABLE reviews (
    id          INTEGER PRIMARY KEY,
    post_id     TEXT NOT NULL,
    subreddit   TEXT NOT NULL COLLATE NOCASE,
    delivery_id INTEGER,  -- the delivery that the act was about, where there was one
    action      TEXT NOT NULL CHECK (action IN (
        'claimed', 'released', 'edited', 'approved', 'dismissed', 'marked', 'escalated', 'undone', 'retried'
    )),
    actor       TEXT NOT NULL,
    at_utc      REAL NOT NULL,
    detail      TEXT NOT NULL DEFAULT '',  -- a word of ours: why dismissed, the level it is marked as, parts of a reply
    note        TEXT NOT NULL DEFAULT ''   -- the moderator's own words
) STRICT;
INSERT INTO reviews (id, post_id, subreddit, delivery_id, action, actor, at_utc, note)
SELECT reviews_before.id, deliveries.post_id, deliveries.subreddit, delivery_id, action, actor, at_utc, note
FROM reviews_before JOIN deliveries ON deliveries.id = delivery_id;
DROP TABLE reviews_before;

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

-- Where a case stands: who looks at it and until when, who asked for another pair of eyes, since when it is settled.
ALTER TABLE posts ADD COLUMN claimed_by TEXT;
ALTER TABLE posts ADD COLUMN claimed_until_utc REAL;
ALTER TABLE posts ADD COLUMN escalated_by TEXT;
ALTER TABLE posts ADD COLUMN settled_utc REAL;
UPDATE posts SET settled_utc = (SELECT max(at_utc) FROM reviews WHERE post_id = posts.id);

CREATE INDEX posts_open ON posts (level, (escalated_by IS NULL), judged_utc, subreddit)
WHERE settled_utc IS NULL AND forgotten_utc IS NULL;

-- For the figures: what was judged in a span of time.
CREATE INDEX posts_by_time ON posts (judged_utc, level, subreddit);
