-- Rescue copies that a supernode keeps, each for the holder of a recovery key.
CREATE TABLE rescue_copies (
    account      BLOB PRIMARY KEY CHECK (length(account) = 32),
    recovery_key BLOB NOT NULL CHECK (length(recovery_key) = 32),
    copy         BLOB NOT NULL,
    kept_s       INTEGER NOT NULL
) STRICT;
CREATE INDEX rescue_copies_age ON rescue_copies (kept_s);

-- Contacts of a restored account that have not been asked for their cards yet.
CREATE TABLE missing_cards (
    account BLOB PRIMARY KEY CHECK (length(account) = 32),
    network BLOB CHECK (length(network) = 32),
    home    BLOB
) STRICT, WITHOUT ROWID;

-- Who has no card of a contact asks for it.
INSERT INTO missing_cards (account, network, home)
    SELECT account, network, NULL FROM contacts WHERE relation = 0 AND card IS NULL;
