-- Letters are numbered by the device that writes them.
DROP TABLE letters_read;
CREATE TABLE letters_read (
    account BLOB NOT NULL CHECK (length(account) = 32),
    device  BLOB NOT NULL CHECK (length(device) = 32),
    number  INTEGER NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX letters_read_age ON letters_read (read_at);

-- Cards have another shape. Contacts send theirs anew when their home changes, and whoever asked may ask again.
UPDATE contacts SET card = NULL;
DELETE FROM requests;
