-- Every query of the project, named and described. `bot.store` reads this file.

-- name: known_posts
-- Which of these post ids (a JSON list) were judged or wait to be.
SELECT id FROM posts WHERE id IN (SELECT value FROM json_each(:ids))
UNION SELECT id FROM inbox WHERE id IN (SELECT value FROM json_each(:ids));

-- name: newest_known
-- When the newest post that we know of a subreddit was written.
SELECT max(created_utc) AS created_utc FROM (
    SELECT max(created_utc) AS created_utc FROM posts WHERE subreddit = :subreddit
    UNION ALL SELECT max(created_utc) FROM inbox WHERE subreddit = :subreddit
);

-- name: put_in_inbox
-- A post that is known already is left out.
INSERT INTO inbox (id, subreddit, author, title, text, created_utc, permalink, fetched_utc)
SELECT :id, :subreddit, :author, :title, :text, :created_utc, :permalink, :now
WHERE NOT EXISTS (SELECT 1 FROM posts WHERE id = :id)
ON CONFLICT (id) DO NOTHING;

-- name: next_in_inbox
-- The oldest posts but for those that are in hand (a JSON list of ids).
SELECT * FROM inbox WHERE id NOT IN (SELECT value FROM json_each(:besides)) ORDER BY rowid LIMIT :limit;

-- name: held_in_inbox
SELECT id FROM inbox WHERE id IN (SELECT value FROM json_each(:ids));

-- name: begin_judging
UPDATE inbox SET tries = tries + 1 WHERE id IN (SELECT value FROM json_each(:ids));

-- name: take_out_of_inbox
DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(:ids));

-- name: count_inbox
SELECT count(*) AS n FROM inbox;

-- name: add_post
-- The post and what became of it. A second one with the same id is an error, which undoes the whole transaction.
INSERT INTO posts (
    id, subreddit, author, author_hash, title, text, created_utc, permalink,
    level, reasons, record, choice, fetched_utc, judged_utc, checked_utc, forgotten_utc
) VALUES (
    :id, :subreddit, :author, :author_hash, :title, :text, :created_utc, :permalink,
    :level, :reasons, :record, :choice, :fetched_utc, :now, :fetched_utc, :forgotten_utc
);

-- name: get_post
SELECT * FROM posts WHERE id = :id;

-- name: every_post
SELECT id, level FROM posts;

-- name: count_posts_by_level
SELECT level, count(*) AS n FROM posts GROUP BY level;

-- name: add_delivery
-- A post has one delivery of each kind, channel and step, whatever happens: a second one is left out.
INSERT INTO deliveries (
    post_id, subreddit, kind, channel, step, state, priority, subject, body, due_utc, since_utc, created_utc, changed_utc
) VALUES (
    :post_id, :subreddit, :kind, :channel, :step, :state, :priority, :subject, :body,
    :due_utc, max(:due_utc, :now), :now, :now
)
ON CONFLICT (post_id, kind, channel, step) DO NOTHING;

-- name: next_due
-- The delivery of a channel (empty: Reddit) that matters most among those due: highest level first, oldest first within a level. Nothing is ever
-- put off for longer than :horizon seconds, so what is due later than that was put off by a clock that was wrong.
SELECT deliveries.*, posts.id IS NOT NULL AS about_post, posts.created_utc AS written_utc
FROM deliveries LEFT JOIN posts ON posts.id = post_id
WHERE state = 'pending' AND channel = :channel AND (due_utc <= :now OR due_utc > :now + :horizon)
ORDER BY priority DESC, due_utc, deliveries.id LIMIT 1;

-- name: due_together
-- All lines of one daily digest: they share its subject.
SELECT *, 1 AS about_post, NULL AS written_utc FROM deliveries
WHERE state = 'pending' AND kind = 'digest' AND subject = :subject ORDER BY id;

-- name: put_off_to_next_part
-- Lines that one message of the digest has no room for.
UPDATE deliveries SET subject = :subject WHERE id = :id AND state = 'pending';

-- name: claim
-- Written down before the call; `attempts` counts the calls begun, `unclear` those of which nobody knows what they did.
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, unclear = unclear + 1, changed_utc = :now
WHERE id = :id AND state = 'pending';

-- name: finish
-- What moderators were told holds words of the post, and once told they are needed no longer.
UPDATE deliveries
SET state = 'sent', reddit_id = :reddit_id, error = NULL, changed_utc = :now,
    body = CASE kind WHEN 'reply' THEN body ELSE '' END
WHERE id = :id AND state = 'sending';

-- name: retry
-- :undone is 1 when the call surely did nothing.
UPDATE deliveries
SET state = 'pending', due_utc = :due_utc, error = :error, unclear = unclear - :undone, changed_utc = :now
WHERE id = :id AND state = 'sending';

-- name: defer
-- Not before a time, through no fault of anybody's.
UPDATE deliveries SET due_utc = :due_utc, since_utc = :due_utc, changed_utc = :now WHERE id = :id AND state = 'pending';

-- name: bury
UPDATE deliveries SET state = 'dead', error = :error, changed_utc = :now WHERE id = :id AND state = 'sending';

-- name: hold
-- Back to where a person decides.
UPDATE deliveries SET state = 'held', error = :error, changed_utc = :now WHERE id = :id AND state = 'pending';

-- name: drop
UPDATE deliveries SET state = 'dismissed', error = :error, changed_utc = :now
WHERE id = :id AND state IN ('held', 'pending', 'sending');

-- name: revive
-- A person says so, and knows what came of the calls before, which chat cannot be searched for; that a reply surely was
-- not posted, nobody says. The dead lines of one digest come back together: its subject, by which it is looked for, can
-- go out only once.
UPDATE deliveries
SET state = 'pending', due_utc = :now, since_utc = :now, unclear = CASE kind WHEN 'reply' THEN unclear ELSE 0 END,
    changed_utc = :now
WHERE state = 'dead' AND body <> '' AND (id = :id OR (kind = 'digest' AND subject = (
    SELECT subject FROM deliveries WHERE id = :id AND kind = 'digest' AND state = 'dead' AND body <> ''
)));

-- name: reclaim
-- After a crash: whatever was being sent through a channel is due again, and will be looked for first, since
-- attempts > 0.
UPDATE deliveries SET state = 'pending', due_utc = :due_utc, changed_utc = :now
WHERE state = 'sending' AND channel = :channel;

-- name: get_delivery
SELECT * FROM deliveries WHERE id = :id;

-- name: find_deliveries
-- All deliveries in a state, or in every state when it is null; most pressing first.
SELECT deliveries.*, posts.id IS NOT NULL AS about_post FROM deliveries LEFT JOIN posts ON posts.id = post_id
WHERE :state IS NULL OR state = :state ORDER BY priority DESC, deliveries.created_utc, deliveries.id;

-- name: deliveries_of_post
SELECT * FROM deliveries WHERE post_id = :post_id ORDER BY id;

-- name: count_deliveries
-- Of the dead, those that can be sent again still have their words.
SELECT kind, state, count(*) AS n, sum(state = 'dead' AND body <> '') AS dead FROM deliveries GROUP BY kind, state;

-- name: count_messages
-- What goes through chat channels, by channel.
SELECT channel, state, count(*) AS n FROM deliveries WHERE channel <> '' GROUP BY channel, state;

-- name: approve
-- Another body than the one proposed does not replace it for good: whoever takes this back gets that one again.
UPDATE deliveries
SET state = 'pending', body = :body, proposed = nullif(coalesce(proposed, body), :body), due_utc = :due_utc,
    since_utc = :due_utc, error = NULL, changed_utc = :now
WHERE id = :id AND state = 'held';

-- name: dismiss
-- Also one that would go out by itself, as long as every call for it surely did nothing.
UPDATE deliveries SET state = 'dismissed', error = NULL, changed_utc = :now
WHERE id = :id AND (state = 'held' OR (state = 'pending' AND unclear = 0));

-- name: take_back
-- A reply of which every call surely did nothing waits for a word again, as it was proposed.
UPDATE deliveries SET state = 'held', body = coalesce(proposed, body), proposed = NULL, error = NULL, changed_utc = :now
WHERE id = :id AND state IN ('pending', 'dismissed') AND unclear = 0 AND body <> '';

-- Cases: posts that moderators look at, and what they did with them.

-- name: add_review
INSERT INTO reviews (post_id, subreddit, delivery_id, action, actor, at_utc, detail, note)
VALUES (:post_id, :subreddit, :delivery_id, :action, :actor, :now, :detail, :note);

-- name: reviews_of_post
SELECT * FROM reviews WHERE post_id = :post_id ORDER BY id;

-- name: newest_decisions
-- Of each case or gap the newest act by which somebody settled it, passed it on or ticked it off, after a time, unless
-- they took it back; the latest first.
SELECT * FROM reviews
WHERE action <> 'undone' AND id IN (
    SELECT max(id) FROM reviews
    WHERE actor = :actor AND at_utc > :after_utc
    AND action IN ('approved', 'dismissed', 'escalated', 'looked', 'undone')
    GROUP BY post_id
)
ORDER BY id DESC;

-- name: claim_case
-- Changes no row when somebody else has it, or when there is nothing to be done any more.
UPDATE posts SET claimed_by = :actor, claimed_until_utc = :until_utc
WHERE id = :id AND settled_utc IS NULL
AND (claimed_by IS NULL OR claimed_by = :actor OR claimed_until_utc <= :now);

-- name: release_case
UPDATE posts SET claimed_by = NULL, claimed_until_utc = NULL WHERE id = :id AND claimed_by = :actor;

-- name: settle_case
UPDATE posts SET settled_utc = :now, claimed_by = NULL, claimed_until_utc = NULL WHERE id = :id;

-- name: wake_case
-- What was settled needs a person again; in the hands of nobody, since settling took it out of them.
UPDATE posts SET settled_utc = NULL WHERE id = :id;

-- name: escalate_case
UPDATE posts SET escalated_by = :actor, claimed_by = NULL, claimed_until_utc = NULL WHERE id = :id;

-- name: reopen_case
-- As it was before it was settled: in the hands of whoever did that.
UPDATE posts SET settled_utc = NULL, claimed_by = :actor, claimed_until_utc = :until_utc WHERE id = :id;

-- name: withdraw_case
-- As it was before it was passed on: in the hands of whoever did that, and :before is whose question stands then.
-- Changes no row once somebody else has passed it on as well.
UPDATE posts SET escalated_by = :before, claimed_by = :actor, claimed_until_utc = :until_utc
WHERE id = :id AND escalated_by = :actor;

-- name: next_case
-- Of one level, the one that waits longest among those nobody has; not what this person passed on.
SELECT id FROM posts
WHERE level = :level AND settled_utc IS NULL AND forgotten_utc IS NULL
AND subreddit IN (SELECT value FROM json_each(:subreddits))
AND (claimed_by IS NULL OR claimed_by = :actor OR claimed_until_utc <= :now) AND escalated_by IS NOT :actor
ORDER BY escalated_by IS NULL, judged_utc LIMIT 1;

-- name: open_cases
-- Of one level: those somebody wants another pair of eyes for, then the oldest first.
SELECT id, subreddit, level, reasons, judged_utc, claimed_by, claimed_until_utc, escalated_by FROM posts
WHERE level = :level AND settled_utc IS NULL AND forgotten_utc IS NULL
AND subreddit IN (SELECT value FROM json_each(:subreddits))
ORDER BY escalated_by IS NULL, judged_utc LIMIT :limit OFFSET :offset;

-- name: cases_in_hand
-- The same, of those that somebody has in hand. By itself SQLite would go through all that wait at the level.
SELECT id, subreddit, level, reasons, judged_utc, claimed_by, claimed_until_utc, escalated_by
FROM posts INDEXED BY posts_in_hand
WHERE claimed_by = :holder AND claimed_until_utc > :now AND level = :level
AND settled_utc IS NULL AND forgotten_utc IS NULL AND subreddit IN (SELECT value FROM json_each(:subreddits))
ORDER BY escalated_by IS NULL, judged_utc LIMIT :limit OFFSET :offset;

-- name: count_open_cases
-- How many wait in each subreddit, and since when the oldest and the newest does.
SELECT level, subreddit, count(*) AS n, min(judged_utc) AS oldest_utc, max(judged_utc) AS newest_utc FROM posts
WHERE settled_utc IS NULL AND forgotten_utc IS NULL GROUP BY level, subreddit;

-- name: history
-- The newest first; before an id, or all when it is null.
SELECT reviews.*, posts.level FROM reviews LEFT JOIN posts ON posts.id = post_id
WHERE reviews.subreddit IN (SELECT value FROM json_each(:subreddits)) AND (:before IS NULL OR reviews.id < :before)
ORDER BY reviews.id DESC LIMIT :limit;

-- Figures about cases.

-- name: judged_by_day
-- Posts by day since the epoch (UTC) and level.
SELECT CAST(judged_utc / 86400 AS INTEGER) AS day, level, count(*) AS n FROM posts
WHERE judged_utc > :after_utc AND level <> 'none' AND subreddit IN (SELECT value FROM json_each(:subreddits))
GROUP BY day, level;

-- name: first_looks
-- How many seconds each case waited for the first act of a moderator; null where there was none.
SELECT level, (SELECT min(at_utc) FROM reviews WHERE post_id = posts.id AND action <> 'retried') - judged_utc AS seconds
FROM posts
WHERE judged_utc > :after_utc AND level <> 'none' AND subreddit IN (SELECT value FROM json_each(:subreddits))
ORDER BY judged_utc DESC LIMIT :limit;

-- name: judged_between
-- The newest posts of a span with their probabilities and the last word of a moderator on their level: null where there
-- is none, empty where it was taken back.
-- All subreddits when they are null.
SELECT id, level, judged_utc, json_remove(record, '$.evidence', '$.reasons', '$.versions', '$.deliveries') AS record,
    (SELECT detail FROM reviews WHERE post_id = posts.id AND action = 'marked' ORDER BY id DESC LIMIT 1) AS said
FROM posts
WHERE judged_utc > :after_utc AND judged_utc <= :until_utc
AND (:subreddits IS NULL OR subreddit IN (SELECT value FROM json_each(:subreddits)))
ORDER BY judged_utc DESC LIMIT :limit;

-- name: marked_posts
-- Every post that moderators marked: the level it was given and the last word on what it really is. An empty word takes
-- back those before.
SELECT posts.level, detail AS said FROM reviews JOIN posts ON posts.id = post_id
WHERE action = 'marked' AND detail <> '' AND reviews.subreddit IN (SELECT value FROM json_each(:subreddits)) AND judged_utc > :after_utc
AND reviews.id = (SELECT max(id) FROM reviews AS newer WHERE newer.post_id = posts.id AND newer.action = 'marked');

-- name: begin_watch
-- Keeps the first beginning when the subreddit was watched before.
INSERT INTO watches (subreddit, since_utc) VALUES (:subreddit, :since_utc) ON CONFLICT (subreddit) DO NOTHING;

-- name: get_watch
SELECT * FROM watches WHERE subreddit = :subreddit;

-- name: note_look
UPDATE watches SET looked_utc = :now, refused_utc = NULL, refusal = NULL WHERE subreddit = :subreddit;

-- name: note_refusal
-- Keeps the beginning of a refusal that goes on.
INSERT INTO watches (subreddit, since_utc, refused_utc, refusal) VALUES (:subreddit, :now, :now, :refusal)
ON CONFLICT (subreddit) DO UPDATE SET refused_utc = coalesce(refused_utc, :now), refusal = :refusal;

-- name: watches
SELECT * FROM watches ORDER BY subreddit;

-- name: add_gap
INSERT INTO gaps (subreddit, from_utc, until_utc, found_utc) VALUES (:subreddit, :from_utc, :until_utc, :now)
ON CONFLICT (subreddit, from_utc) DO NOTHING;

-- name: count_gaps
-- Those that nobody has looked through.
SELECT count(*) AS n FROM gaps WHERE looked_utc IS NULL;

-- name: gaps
SELECT * FROM gaps ORDER BY found_utc;

-- name: count_set_aside
-- What a moderator can still do something about besides cases: gaps, and dead letters whose words are not forgotten.
SELECT (
    SELECT count(*) FROM gaps WHERE looked_utc IS NULL AND subreddit IN (SELECT value FROM json_each(:subreddits))
) + (
    SELECT count(*) FROM deliveries
    WHERE state = 'dead' AND body <> '' AND subreddit IN (SELECT value FROM json_each(:subreddits))
) AS n;

-- name: look_through_gap
-- Changes no row when somebody was faster.
UPDATE gaps SET looked_by = :actor, looked_utc = :now WHERE id = :id AND looked_utc IS NULL;

-- name: reopen_gap
UPDATE gaps SET looked_by = NULL, looked_utc = NULL WHERE id = :id;

-- name: note_vital
INSERT INTO vitals (name, value, at_utc) VALUES (:name, :value, :now)
ON CONFLICT (name) DO UPDATE SET value = :value, at_utc = :now;

-- name: vitals
SELECT * FROM vitals ORDER BY name;

-- name: spend_llm_call
-- Counts a call of that day; changes no row when the day has had its :most.
INSERT INTO llm_calls (day, calls) SELECT :day, 1 WHERE :most > 0
ON CONFLICT (day) DO UPDATE SET calls = calls + 1 WHERE calls < :most;

-- name: refund_llm_call
-- Takes one call of that day back.
UPDATE llm_calls SET calls = calls - 1 WHERE day = :day AND calls > 0;

-- name: llm_calls_of
SELECT calls FROM llm_calls WHERE day = :day;

-- Escalation: messages about a crisis in chat channels. Steps below 0 are no alerts; those that are odd say that somebody
-- has it.

-- name: due_crises
-- Crises that nobody has (neither settled nor, at this moment, in anybody's hands), the last alert of which is so old, or
-- from the future, or dead.
SELECT id, subreddit FROM posts
WHERE level = 'crisis' AND settled_utc IS NULL AND forgotten_utc IS NULL
AND (claimed_by IS NULL OR claimed_until_utc <= :now)
AND (
    SELECT created_utc <= :now - :escalate_seconds OR created_utc > :now OR state = 'dead' FROM deliveries
    WHERE post_id = posts.id AND kind = 'alert' AND channel <> '' AND step >= 0 ORDER BY step DESC, id DESC LIMIT 1
);

-- name: needless_messages
-- Alerts about a crisis that wait although somebody has it, and whether it is settled.
SELECT deliveries.id, deliveries.subreddit, settled_utc IS NOT NULL AS settled
FROM deliveries JOIN posts ON posts.id = post_id
WHERE state = 'pending' AND channel > '' AND kind = 'alert' AND step >= 0
AND level = 'crisis' AND (settled_utc IS NOT NULL OR claimed_until_utc > :now);

-- name: untrue_all_clears
-- All-clears that wait although nobody has the crisis any more.
SELECT deliveries.id FROM deliveries JOIN posts ON posts.id = post_id
WHERE state = 'pending' AND channel > '' AND kind = 'alert' AND step < 0 AND step % 2
AND level = 'crisis' AND settled_utc IS NULL AND (claimed_by IS NULL OR claimed_until_utc <= :now);

-- name: due_all_clears
-- Channels that were told of a crisis for which others were called in, and not yet that somebody has it now. By itself
-- SQLite would begin with all that was ever sent.
SELECT told.post_id, told.subreddit, told.channel, max(alerts.step) AS last_step
FROM posts INDEXED BY posts_remembered
CROSS JOIN deliveries AS told ON told.post_id = posts.id
JOIN deliveries AS alerts ON alerts.post_id = posts.id AND alerts.kind = 'alert' AND alerts.channel <> ''
WHERE posts.level = 'crisis' AND posts.forgotten_utc IS NULL
AND (posts.settled_utc IS NOT NULL OR posts.claimed_until_utc > :now)
AND told.kind = 'alert' AND told.channel <> '' AND told.step >= 0 AND told.state = 'sent'
AND NOT EXISTS (
    SELECT 1 FROM deliveries AS over
    WHERE over.post_id = posts.id AND over.kind = 'alert' AND over.channel = told.channel
    AND over.step < 0 AND over.step % 2 AND over.id > told.id AND over.state <> 'dismissed'
)
GROUP BY told.post_id, told.channel HAVING last_step > 0;

-- name: steps_of_post
-- The alerts about a post, in the order in which they were written down.
SELECT channel, step, state, created_utc FROM deliveries
WHERE post_id = :post_id AND kind = 'alert' AND channel <> '' AND step >= 0 ORDER BY step, id;

-- name: drop_message
UPDATE deliveries SET state = 'dismissed', error = :error, body = '', changed_utc = :now
WHERE id = :id AND state = 'pending';

-- name: renew_all_clear
-- One that was taken back, since nobody had the crisis, is true again. What may have become of it before stays known.
UPDATE deliveries SET state = 'pending', error = NULL, body = :body, due_utc = :now, since_utc = :now, changed_utc = :now
WHERE post_id = :post_id AND kind = 'alert' AND channel = :channel AND step = :step AND state = 'dismissed';

-- name: drop_question
-- What a moderator asked the others, unless it was told already.
UPDATE deliveries SET state = 'dismissed', error = 'taken back', body = '', changed_utc = :now
WHERE post_id = :post_id AND kind = 'alert' AND step = :step AND state = 'pending';

-- name: drop_questions
-- What moderators asked about a post that is settled now, unless it was told already. It can be brought back, so the words
-- stay until they are forgotten.
UPDATE deliveries SET state = 'dismissed', error = 'somebody settled the case', changed_utc = :now
WHERE post_id = :post_id AND kind = 'alert' AND step < 0 AND step % 2 = 0 AND state = 'pending';

-- name: bring_back_questions
-- Those that were dropped when the case was settled, which was undone.
UPDATE deliveries SET state = 'pending', error = NULL, changed_utc = :now
WHERE post_id = :post_id AND kind = 'alert' AND step < 0 AND step % 2 = 0 AND state = 'dismissed' AND body <> ''
AND changed_utc = :settled_utc;

-- Courtesy: what is known of an author is a keyed hash.

-- name: author
-- A reply of this very delivery that was begun before is no earlier reply.
SELECT opted_out_utc, CASE WHEN replied_by = :delivery_id THEN earlier_utc ELSE replied_utc END AS replied_utc
FROM authors WHERE hash = :hash AND expires_utc > :now;

-- name: note_reply
-- A reply to them is about to be sent; kept before it is, so that a crash forgets no reply.
INSERT INTO authors (hash, replied_utc, replied_by, expires_utc) VALUES (:hash, :now, :delivery_id, :expires_utc)
ON CONFLICT (hash) DO UPDATE
SET earlier_utc = CASE WHEN replied_by IS :delivery_id THEN earlier_utc ELSE replied_utc END,
    replied_utc = :now, replied_by = :delivery_id, expires_utc = max(expires_utc, :expires_utc);

-- name: unnote_reply
-- It was not sent after all; the cooldown of the one before it goes on.
UPDATE authors SET replied_utc = earlier_utc, replied_by = NULL, earlier_utc = NULL WHERE replied_by = :delivery_id;

-- name: note_opt_out
INSERT INTO authors (hash, opted_out_utc, expires_utc) VALUES (:hash, :now, :expires_utc)
ON CONFLICT (hash) DO UPDATE SET opted_out_utc = :now, expires_utc = max(expires_utc, :expires_utc);

-- name: undo_opt_out
UPDATE authors SET opted_out_utc = NULL WHERE hash = :hash;

-- name: replies_since
-- Replies sent, or being sent, without approval in a subreddit after a time.
SELECT count(*) AS n FROM deliveries
WHERE kind = 'reply' AND subreddit = :subreddit AND state IN ('sending', 'sent') AND changed_utc > :since_utc
AND NOT EXISTS (
    SELECT 1 FROM reviews
    WHERE reviews.post_id = deliveries.post_id AND delivery_id = deliveries.id AND action = 'approved'
);

-- name: approvals
-- Approvals that were not taken back.
SELECT count(*) AS n FROM reviews AS approval WHERE delivery_id = :delivery_id AND action = 'approved'
AND NOT EXISTS (
    SELECT 1 FROM reviews WHERE delivery_id = :delivery_id AND action = 'undone' AND id > approval.id
);

-- Forgetting. What stays of a post is its id, its level, its numbers and its reasons, none of which quote it.

-- name: forget_posts
UPDATE posts
SET author = NULL, author_hash = NULL, title = '', text = '', permalink = '', choice = NULL,
    record = json_set(record, '$.evidence', json('[]')), forgotten_utc = :now
WHERE forgotten_utc IS NULL AND fetched_utc < :before_utc;

-- name: forget_deliveries
-- Of old deliveries nothing but the fact and its time stays; one that still waits is given up.
UPDATE deliveries
SET error = CASE WHEN state IN ('held', 'pending', 'sending') THEN 'nobody decided, or it could not be sent, in time'
                 ELSE error END,
    state = CASE state WHEN 'held' THEN 'dismissed' WHEN 'pending' THEN 'dead' WHEN 'sending' THEN 'dead' ELSE state END,
    changed_utc = CASE WHEN state IN ('held', 'pending', 'sending') THEN :now ELSE changed_utc END,
    body = '', proposed = NULL
WHERE body <> '' AND created_utc < :before_utc;

-- name: forget_notes
UPDATE reviews SET note = '' WHERE note <> '' AND post_id IN (SELECT id FROM posts WHERE forgotten_utc IS NOT NULL);

-- name: forget_authors
DELETE FROM authors WHERE expires_utc <= :now;

-- name: purge_post
UPDATE posts
SET author = NULL, author_hash = NULL, title = '', text = '', permalink = '', reasons = '[]', choice = NULL,
    record = json_set(record, '$.evidence', json('[]'), '$.reasons', json('[]')), forgotten_utc = :now
WHERE id = :id;

-- name: purge_unjudged_post
-- It keeps its place among the known, so that it is not fetched again.
INSERT INTO posts (id, subreddit, title, text, created_utc, permalink, level, reasons, record, judged_utc, forgotten_utc)
SELECT id, subreddit, '', '', created_utc, '', 'none', '[]', '{}', :now, :now FROM inbox WHERE id = :id;

-- name: purge_deliveries
UPDATE deliveries
SET state = CASE WHEN state IN ('held', 'pending', 'sending') THEN 'dismissed' ELSE state END,
    error = CASE WHEN state IN ('held', 'pending', 'sending') THEN :error ELSE error END,
    changed_utc = CASE WHEN state IN ('held', 'pending', 'sending') THEN :now ELSE changed_utc END,
    body = '', proposed = NULL
WHERE post_id = :id;

-- name: due_for_a_check
-- Posts whose text we hold, the longest unchecked first.
SELECT id FROM posts WHERE forgotten_utc IS NULL AND checked_utc < :before_utc ORDER BY checked_utc LIMIT :limit;

-- name: note_check
UPDATE posts SET checked_utc = :now WHERE id IN (SELECT value FROM json_each(:ids));

-- name: posts_of_author
SELECT id FROM posts WHERE author_hash = :hash OR author = :name COLLATE NOCASE
UNION SELECT id FROM inbox WHERE author = :name COLLATE NOCASE;

-- name: remembered_posts
SELECT id FROM posts WHERE forgotten_utc IS NULL UNION SELECT id FROM inbox;

-- name: begin_session
INSERT INTO sessions (secret_hash, name, way, begun_utc, seen_utc, expires_utc)
VALUES (:hash, :name, :way, :now, :now, :expires_utc);

-- name: find_session
SELECT * FROM sessions WHERE secret_hash = :hash AND expires_utc > :now AND seen_utc > :idle_since_utc;

-- name: see_session
UPDATE sessions SET seen_utc = :now WHERE id = :id;

-- name: open_sessions
-- Those that hold, of one person or (no name) of everybody, the latest first.
SELECT * FROM sessions
WHERE expires_utc > :now AND seen_utc > :idle_since_utc AND (:name IS NULL OR name = :name COLLATE NOCASE)
ORDER BY seen_utc DESC, id DESC;

-- name: end_session
DELETE FROM sessions WHERE id = :id;

-- name: end_sessions
DELETE FROM sessions WHERE name = :name COLLATE NOCASE;

-- name: forget_old_sessions
DELETE FROM sessions WHERE expires_utc <= :now OR seen_utc <= :idle_since_utc;

-- name: add_sign_in_link
INSERT INTO sign_in_links (secret_hash, name, expires_utc) VALUES (:hash, :name, :expires_utc);

-- name: sign_in_link
SELECT name FROM sign_in_links WHERE secret_hash = :hash AND expires_utc > :now;

-- name: use_sign_in_link
-- The link, and with it all that have expired.
DELETE FROM sign_in_links WHERE secret_hash = :hash OR expires_utc <= :now;
