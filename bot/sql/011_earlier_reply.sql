-- The reply before the one noted last: should that one fail for sure, its cooldown still runs.
ALTER TABLE authors ADD COLUMN earlier_utc REAL;
