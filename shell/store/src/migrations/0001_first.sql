-- The first format. Times are Unix milliseconds unless a name ends in _s (seconds). Ids are raw bytes.

CREATE TABLE profile (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    account         BLOB NOT NULL CHECK (length(account) = 32),
    chain           BLOB NOT NULL,
    name            TEXT NOT NULL,
    device_name     TEXT NOT NULL,
    signing_seed    BLOB NOT NULL,
    recovery_seed   BLOB,
    device_seed     BLOB NOT NULL,
    front_door_seed BLOB NOT NULL,
    inner_seed      BLOB NOT NULL,
    request_secret  BLOB NOT NULL,
    discovery_key   BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE networks (
    number     INTEGER PRIMARY KEY,
    network    BLOB UNIQUE CHECK (length(network) = 32),
    name       TEXT NOT NULL,
    file       TEXT,
    owner_seed BLOB,
    supernodes BLOB NOT NULL,
    joined_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE own_supernode (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32)
) STRICT;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
    account  BLOB PRIMARY KEY CHECK (length(account) = 32),
    relation INTEGER NOT NULL,
    card     BLOB,
    name     TEXT NOT NULL,
    nickname TEXT,
    network  BLOB,
    homes    BLOB NOT NULL,
    echo     INTEGER NOT NULL,
    added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
    account BLOB PRIMARY KEY CHECK (length(account) = 32),
    card    BLOB NOT NULL,
    text    TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

-- The newest letter read from each account, by its card's sequence: an older one is a replay.
CREATE TABLE letters_read (
    account  BLOB PRIMARY KEY CHECK (length(account) = 32),
    sequence INTEGER NOT NULL,
    read_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX letters_read_age ON letters_read (read_at);

CREATE TABLE letters (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    account    BLOB NOT NULL CHECK (length(account) = 32),
    kind       INTEGER NOT NULL,
    envelope   BLOB NOT NULL,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    UNIQUE (account, kind)
) STRICT;
CREATE INDEX letters_due ON letters (next_at);

-- `place` is the order of storage here: the order in which messages are shown, whatever anybody's clock says.
CREATE TABLE messages (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    contact      BLOB NOT NULL REFERENCES contacts (account),
    outgoing     INTEGER NOT NULL,
    text         TEXT NOT NULL,
    sent_at      INTEGER NOT NULL,
    stored_at    INTEGER NOT NULL,
    delivery     INTEGER NOT NULL,
    delivered_at INTEGER,
    seen         INTEGER NOT NULL,
    UNIQUE (contact, id)
) STRICT;
CREATE INDEX messages_shown ON messages (contact, place);
-- The outbox: outgoing messages without a receipt.
CREATE INDEX messages_pending ON messages (contact, place) WHERE delivery = 1;
CREATE INDEX messages_unseen ON messages (contact) WHERE seen = 0;

CREATE TABLE calls (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB NOT NULL CHECK (length(id) = 16),
    contact     BLOB NOT NULL REFERENCES contacts (account),
    outgoing    INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    answered_at INTEGER,
    ended_at    INTEGER,
    reason      TEXT,
    path        TEXT,
    UNIQUE (contact, id)
) STRICT;
CREATE INDEX calls_open ON calls (number) WHERE ended_at IS NULL;

CREATE TABLE transfers (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    contact    BLOB NOT NULL REFERENCES contacts (account),
    outgoing   INTEGER NOT NULL,
    name       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    root       BLOB NOT NULL CHECK (length(root) = 32),
    path       BLOB,
    part       BLOB,
    state      INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    ranges     BLOB NOT NULL,
    reason     TEXT,
    offered_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    UNIQUE (contact, id)
) STRICT;
CREATE INDEX transfers_open ON transfers (contact) WHERE state < 3;

-- The supernode role: what is kept for others.
CREATE TABLE registered_accounts (
    account   BLOB PRIMARY KEY CHECK (length(account) = 32),
    record    BLOB NOT NULL,
    sequence  INTEGER NOT NULL,
    expires_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registered_accounts_expiry ON registered_accounts (expires_s);

CREATE TABLE registered_doors (
    door    BLOB PRIMARY KEY CHECK (length(door) = 32),
    account BLOB NOT NULL REFERENCES registered_accounts (account) ON DELETE CASCADE,
    device  BLOB NOT NULL CHECK (length(device) = 32),
    UNIQUE (account, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE deposits (
    number     INTEGER PRIMARY KEY,
    account    BLOB NOT NULL REFERENCES registered_accounts (account) ON DELETE CASCADE,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    envelope   BLOB NOT NULL,
    received_s INTEGER NOT NULL,
    UNIQUE (account, id)
) STRICT;
CREATE INDEX deposits_age ON deposits (received_s);
