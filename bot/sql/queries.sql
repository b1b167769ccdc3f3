-- Every query of the project, named and described. `bot.store` reads this file.

-- name: known_posts
-- Which of these post ids (a JSON list) have a row already.
SELECT id FROM posts WHERE id IN (SELECT value FROM json_each(:ids));

-- name: add_post
-- The post and what became of it. A second one with the same id is an error, which undoes the whole transaction.
INSERT INTO posts (id, subreddit, author, title, text, created_utc, permalink, level, reasons, record, judged_utc)
VALUES (:id, :subreddit, :author, :title, :text, :created_utc, :permalink, :level, :reasons, :record, :judged_utc);

-- name: get_post
SELECT * FROM posts WHERE id = :id;

-- name: count_posts_by_level
SELECT level, count(*) AS n FROM posts GROUP BY level;

-- name: add_delivery
-- A post has one delivery of each kind, whatever happens: a second one is left out.
INSERT INTO deliveries (post_id, subreddit, kind, state, priority, subject, body, due_utc, created_utc, changed_utc)
VALUES (:post_id, :subreddit, :kind, :state, :priority, :subject, :body, :due_utc, :now, :now)
ON CONFLICT (post_id, kind) DO NOTHING;

-- name: next_due
-- The delivery that matters most among those due: highest level first, oldest first within a level.
SELECT * FROM deliveries WHERE state = 'pending' AND due_utc <= :now ORDER BY priority DESC, due_utc, id LIMIT 1;

-- name: due_together
-- All lines of one daily digest: they share its subject.
SELECT * FROM deliveries WHERE state = 'pending' AND kind = 'digest' AND subject = :subject AND due_utc <= :now
ORDER BY id;

-- name: claim
-- Written down before the call; `attempts` counts the calls begun.
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, changed_utc = :now
WHERE id = :id AND state = 'pending';

-- name: finish
UPDATE deliveries SET state = 'sent', reddit_id = :reddit_id, error = NULL, changed_utc = :now
WHERE id = :id AND state = 'sending';

-- name: retry
UPDATE deliveries SET state = 'pending', due_utc = :due_utc, error = :error, changed_utc = :now
WHERE id = :id AND state = 'sending';

-- name: bury
UPDATE deliveries SET state = 'dead', error = :error, changed_utc = :now WHERE id = :id AND state = 'sending';

-- name: reclaim
-- After a crash: whatever was being sent is due again, and will be looked for on Reddit first, since attempts > 0.
UPDATE deliveries SET state = 'pending', due_utc = :now, changed_utc = :now WHERE state = 'sending';

-- name: get_delivery
SELECT * FROM deliveries WHERE id = :id;

-- name: find_deliveries
-- All deliveries in a state, or in every state when it is null; most pressing first.
SELECT * FROM deliveries WHERE :state IS NULL OR state = :state ORDER BY priority DESC, created_utc, id;

-- name: deliveries_of_post
SELECT * FROM deliveries WHERE post_id = :post_id ORDER BY id;

-- name: count_deliveries
SELECT kind, state, count(*) AS n FROM deliveries GROUP BY kind, state;

-- name: approve
UPDATE deliveries SET state = 'pending', due_utc = :now, changed_utc = :now WHERE id = :id AND state = 'held';

-- name: dismiss
UPDATE deliveries SET state = 'dismissed', changed_utc = :now WHERE id = :id AND state = 'held';

-- name: add_review
INSERT INTO reviews (delivery_id, action, actor, at_utc, note) VALUES (:delivery_id, :action, :actor, :at_utc, :note);

-- name: reviews_of_delivery
SELECT * FROM reviews WHERE delivery_id = :delivery_id ORDER BY id;

-- name: begin_watch
-- Keeps the first beginning when the subreddit was watched before.
INSERT INTO watches (subreddit, since_utc) VALUES (:subreddit, :since_utc) ON CONFLICT (subreddit) DO NOTHING;

-- name: watched_since
SELECT since_utc FROM watches WHERE subreddit = :subreddit;
