-- Calls that the running bot made to a language model, by day (UTC, as 2026-01-31): its budget outlives a restart.
CREATE TABLE llm_calls (
    day   TEXT PRIMARY KEY,
    calls INTEGER NOT NULL
) STRICT;
