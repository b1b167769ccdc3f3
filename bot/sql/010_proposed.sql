-- What was proposed before a moderator put the reply together from other parts; null where nobody did.
ALTER TABLE deliveries ADD COLUMN proposed TEXT;
