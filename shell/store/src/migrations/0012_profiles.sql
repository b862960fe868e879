-- What the person here shows, part by part, and to whom.
CREATE TABLE own_parts (
    part TEXT PRIMARY KEY,
    kept BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- What contacts show. One without texts and pictures was asked, and shows nothing.
CREATE TABLE contact_profiles (
    account       BLOB PRIMARY KEY CHECK (length(account) = 32),
    about_number  INTEGER NOT NULL,
    about         TEXT,
    avatar_number INTEGER NOT NULL,
    avatar_hash   BLOB CHECK (avatar_hash IS NULL OR length(avatar_hash) = 32),
    avatar        BLOB CHECK (avatar IS NULL OR length(avatar) <= 16384)
) STRICT;
-- What was told at which front door of a contact.
CREATE TABLE told_profiles (
    door    BLOB PRIMARY KEY CHECK (length(door) = 32),
    account BLOB NOT NULL CHECK (length(account) = 32),
    told    BLOB NOT NULL CHECK (length(told) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_profiles_by_account ON told_profiles (account);
-- What strangers show with a request.
CREATE TABLE introductions (
    account BLOB PRIMARY KEY CHECK (length(account) = 32),
    shown   BLOB NOT NULL
) STRICT;
