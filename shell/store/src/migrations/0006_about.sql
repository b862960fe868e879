-- What is kept about a contact for ourselves alone.
CREATE TABLE about (
    account   BLOB PRIMARY KEY CHECK (length(account) = 32),
    favourite INTEGER NOT NULL,
    note      TEXT,
    lists     BLOB NOT NULL,
    denied    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
