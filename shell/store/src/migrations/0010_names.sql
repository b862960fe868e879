-- Copies of registrars' logs. `whose` is 0 for the copy that a supernode keeps, 1 for the log that a registrar of this
-- profile writes, 2 for what a client was shown.
CREATE TABLE name_offices (
    whose  INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    office BLOB NOT NULL,
    PRIMARY KEY (whose, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE name_log (
    whose     INTEGER NOT NULL,
    height    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    entry     BLOB NOT NULL,
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    at_s      INTEGER NOT NULL,
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (whose, height)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_log_name ON name_log (whose, name, height);

CREATE TABLE name_proofs (
    whose INTEGER PRIMARY KEY,
    proof BLOB NOT NULL
) STRICT;

-- What the supernode's copy says last about each name that somebody has, for searching.
CREATE TABLE names_held (
    number  INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    height  INTEGER NOT NULL,
    until_s INTEGER NOT NULL,
    listed  INTEGER NOT NULL
) STRICT;
CREATE VIRTUAL TABLE name_words USING fts5 (name, listing, content = '', contentless_delete = 1, detail = full, prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2');

-- Where a registrar of this profile holds its office.
CREATE TABLE registrar (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    office    BLOB NOT NULL,
    seed      BLOB NOT NULL CHECK (length(seed) = 32),
    admission INTEGER NOT NULL,
    names_of_one INTEGER NOT NULL,
    running   INTEGER NOT NULL
) STRICT;
-- Claims that were not decided. `waiting` is 1 for those that a person decides.
CREATE TABLE name_claims (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    account     BLOB NOT NULL CHECK (length(account) = 32),
    name        TEXT NOT NULL,
    claim       BLOB NOT NULL,
    request_key BLOB NOT NULL CHECK (length(request_key) = 32),
    waiting     INTEGER NOT NULL,
    came_at_s   INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT;
CREATE TABLE name_invitations (hash BLOB PRIMARY KEY CHECK (length(hash) = 32)) STRICT, WITHOUT ROWID;

-- The names of this profile's account, and those that it asked for.
CREATE TABLE own_names (
    name        TEXT PRIMARY KEY,
    network     BLOB NOT NULL CHECK (length(network) = 32),
    registrar   BLOB NOT NULL CHECK (length(registrar) = 32),
    listing     TEXT,
    certificate BLOB,
    answer      BLOB,
    asked_at_s  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
