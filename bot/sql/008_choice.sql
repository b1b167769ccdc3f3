-- What a language model chose of the advice about a post, and why it says so, as JSON; null where none did.
ALTER TABLE posts ADD COLUMN choice TEXT;
