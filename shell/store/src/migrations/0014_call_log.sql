-- What the log keeps of a call beside its times: whether it was missed and the person has seen that, where it was answered, and
-- what its sound was like (JSON).
ALTER TABLE calls ADD COLUMN rang_at INTEGER;
ALTER TABLE calls ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN seen INTEGER NOT NULL DEFAULT 1;
ALTER TABLE calls ADD COLUMN answered_on TEXT;
ALTER TABLE calls ADD COLUMN technical TEXT;
CREATE INDEX calls_missed ON calls (number) WHERE missed = 1 AND seen = 0;
