-- What a letter shows to be let into a mailbox. Letters of before show nothing; their senders' stores have none of them any more,
-- but contacts write again when something changes.
DELETE FROM deposits;
-- `work` is 0 for a contact's letter. `place` is the same for letters from the same block of addresses, until the supernode is
-- started anew.
ALTER TABLE deposits ADD COLUMN postage BLOB NOT NULL DEFAULT x'';
ALTER TABLE deposits ADD COLUMN work INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deposits ADD COLUMN place INTEGER;
ALTER TABLE registered_doors ADD COLUMN contacts_key BLOB CHECK (length(contacts_key) = 32);

-- Work that was shown and could be shown again.
CREATE TABLE deposits_paid (
    account BLOB NOT NULL REFERENCES registered_accounts (account) ON DELETE CASCADE,
    id      BLOB NOT NULL CHECK (length(id) = 16),
    until_s INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deposits_paid_end ON deposits_paid (until_s);

-- Our own letters: the mark by which the recipient's supernode knows a contact's.
ALTER TABLE letters ADD COLUMN mark BLOB CHECK (length(mark) = 16);
ALTER TABLE name_claims ADD COLUMN contacts_key BLOB CHECK (length(contacts_key) = 32);
-- The work that was done for a request, in bits.
ALTER TABLE requests ADD COLUMN work INTEGER NOT NULL DEFAULT 0;
