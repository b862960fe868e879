-- The key that signed for a contact when they were verified, and since when another one does that nobody has looked at.
ALTER TABLE about ADD COLUMN verified BLOB CHECK (verified IS NULL OR length(verified) = 32);
ALTER TABLE about ADD COLUMN key_changed_at INTEGER;
