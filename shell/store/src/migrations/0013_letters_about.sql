-- Claims, and answers to them, are about one name each: a later one about another name leaves them alone. Of letters of before it is
-- not known about which.
CREATE TABLE letters_about (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    account    BLOB NOT NULL CHECK (length(account) = 32),
    kind       INTEGER NOT NULL,
    about      TEXT NOT NULL,
    envelope   BLOB NOT NULL,
    mark       BLOB CHECK (length(mark) = 16),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    UNIQUE (account, kind, about)
) STRICT;
INSERT INTO letters_about (number, account, kind, about, envelope, mark, attempts, next_at, written_at)
    SELECT number, account, kind, '', envelope, mark, attempts, next_at, written_at FROM letters;
DROP TABLE letters;
ALTER TABLE letters_about RENAME TO letters;
CREATE INDEX letters_due ON letters (next_at);
