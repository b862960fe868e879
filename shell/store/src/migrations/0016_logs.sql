-- Conversations' logs that this holder keeps for others. Days are days since 1970, UTC.
CREATE TABLE log_boxes (
    number INTEGER PRIMARY KEY,
    mailbox BLOB NOT NULL UNIQUE,
    -- Keys, other holders and first slot, as opened.
    plan BLOB NOT NULL,
    used_day INTEGER NOT NULL,
    closing_day INTEGER,
    -- The highest number that an entry was given, and of those that made room before their time.
    last INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE log_entries (
    box INTEGER NOT NULL REFERENCES log_boxes (number) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    head BLOB NOT NULL,
    until_day INTEGER NOT NULL,
    -- Last: the rest is read without it at each start.
    body BLOB NOT NULL,
    PRIMARY KEY (box, number)
) STRICT;

-- An open slot has what was promised and agreed to, with its grounds; a settled one its certificate, and the epoch that follows once it
-- is known.
CREATE TABLE log_slots (
    box INTEGER NOT NULL REFERENCES log_boxes (number) ON DELETE CASCADE,
    epoch BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    promised BLOB,
    accepted BLOB,
    settled BLOB,
    next BLOB,
    -- Last: the rest is read without them at each start.
    grounds BLOB,
    certificate BLOB,
    PRIMARY KEY (box, epoch, attempt)
) STRICT, WITHOUT ROWID;

-- Grants that were used, and boxes that are over and are not opened again.
CREATE TABLE log_grants (
    issuer BLOB NOT NULL,
    serial BLOB NOT NULL,
    mailbox BLOB NOT NULL,
    until_day INTEGER NOT NULL,
    PRIMARY KEY (issuer, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_over (
    mailbox BLOB PRIMARY KEY,
    until_day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
