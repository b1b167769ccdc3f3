-- What a moderator has in hand, among however many cases wait.
CREATE INDEX posts_in_hand ON posts (claimed_by, level) WHERE claimed_by IS NOT NULL;
