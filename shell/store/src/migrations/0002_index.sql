-- The global index and the supernodes it is spread over.

-- What this supernode holds for the index.
CREATE TABLE index_records (
    key       BLOB PRIMARY KEY CHECK (length(key) = 32),
    record    BLOB NOT NULL,
    expires_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The host cache: supernodes that were told of. `network` is empty for supernodes without an owner.
CREATE TABLE host_cache (
    network   BLOB NOT NULL,
    id        BLOB NOT NULL CHECK (length(id) = 32),
    address   BLOB NOT NULL,
    told_s    INTEGER NOT NULL,
    reached_s INTEGER NOT NULL,
    failures  INTEGER NOT NULL,
    PRIMARY KEY (network, id)
) STRICT, WITHOUT ROWID;
