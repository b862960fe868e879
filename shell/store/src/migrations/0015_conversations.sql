-- Conversations of many: what is said in MLS groups. The one-to-one tables of before stay; history::adopt moves a contact's
-- messages over.

CREATE TABLE conversations (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    -- The other account, where there are two.
    contact BLOB UNIQUE CHECK (length(contact) = 32),
    topic   TEXT NOT NULL,
    muted   INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    -- When something was shown last: the order of the list.
    last_at INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_last ON conversations (last_at);

CREATE TABLE members (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    account      BLOB NOT NULL CHECK (length(account) = 32),
    role         INTEGER NOT NULL,
    joined_at    INTEGER NOT NULL,
    left_at      INTEGER,
    PRIMARY KEY (conversation, account)
) STRICT, WITHOUT ROWID;

-- Devices that write and receive, so that a message need not repeat 64 bytes. A device of zeros: not known which.
CREATE TABLE authors (
    number  INTEGER PRIMARY KEY,
    account BLOB NOT NULL CHECK (length(account) = 32),
    device  BLOB NOT NULL CHECK (length(device) = 32),
    UNIQUE (account, device)
) STRICT;

-- The rows of core/chat/src/transcript. Numbers are never used again: the words below are found by them.
CREATE TABLE history (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    author       INTEGER NOT NULL REFERENCES authors (number),
    rank         INTEGER NOT NULL,
    sent_at      INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    target       BLOB,
    -- The plaintext as it was written; of an adopted message only its text is known.
    content      BLOB,
    text         TEXT,
    deleted_by   BLOB,
    edits        INTEGER NOT NULL,
    words        BLOB,
    reactions    BLOB,
    complete     INTEGER NOT NULL,
    -- No message here names it as seen.
    head         INTEGER NOT NULL,
    stored_at    INTEGER NOT NULL,
    seen         INTEGER NOT NULL,
    UNIQUE (conversation, id)
) STRICT;
CREATE INDEX history_shown ON history (conversation, place, id) WHERE kind = 0;
CREATE INDEX history_heads ON history (conversation, place, id) WHERE head = 1;
CREATE INDEX history_unseen ON history (conversation, place) WHERE seen = 0;

-- Which message (a number) names which (an id), how, and whether that is here.
CREATE TABLE links (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    named        BLOB NOT NULL CHECK (length(named) = 16),
    link         INTEGER NOT NULL,
    source       INTEGER NOT NULL,
    here         INTEGER NOT NULL,
    PRIMARY KEY (conversation, named, link, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_missing ON links (conversation, named) WHERE here = 0;

CREATE TABLE read_marks (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    account      BLOB NOT NULL CHECK (length(account) = 32),
    place        INTEGER NOT NULL,
    up_to        BLOB NOT NULL CHECK (length(up_to) = 16),
    at           INTEGER NOT NULL,
    PRIMARY KEY (conversation, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE drafts (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number) ON DELETE CASCADE,
    text         TEXT NOT NULL,
    reply_to     BLOB,
    changed_at   INTEGER NOT NULL
) STRICT;

-- Own messages: how many holders have them, or why it failed; and which devices have them.
CREATE TABLE outgoing (
    message    INTEGER PRIMARY KEY REFERENCES history (number) ON DELETE CASCADE,
    state      INTEGER NOT NULL,
    held       INTEGER NOT NULL,
    reason     TEXT,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outgoing_queued ON outgoing (message) WHERE state = 0;
CREATE TABLE deliveries (
    message INTEGER NOT NULL REFERENCES history (number) ON DELETE CASCADE,
    device  INTEGER NOT NULL REFERENCES authors (number),
    at      INTEGER NOT NULL,
    PRIMARY KEY (message, device)
) STRICT, WITHOUT ROWID;

-- What is shown, as src/search/terms.rs makes terms of it. The index holds no texts: they stand in the rows. Beginnings of two
-- and three letters have an index of their own: among a million messages a frequent one takes 8 ms with it, 150 without.
CREATE VIRTUAL TABLE history_words USING fts5(
    conversation, words,
    content = '', contentless_delete = 1, prefix = '2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
);
