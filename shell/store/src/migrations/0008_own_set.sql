-- Several devices of one account: one that joined has no signing key, all have the account's card and one set of entries.
ALTER TABLE profile RENAME TO profile_before;
CREATE TABLE profile (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    account          BLOB NOT NULL CHECK (length(account) = 32),
    chain            BLOB NOT NULL,
    name             TEXT NOT NULL,
    device_name      TEXT NOT NULL,
    signing_seed     BLOB,
    recovery_seed    BLOB,
    device_seed      BLOB NOT NULL,
    front_door_seed  BLOB NOT NULL,
    inner_seed       BLOB NOT NULL,
    request_secret   BLOB NOT NULL,
    discovery_key    BLOB NOT NULL,
    sequence         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    card             BLOB,
    earlier_requests BLOB NOT NULL
) STRICT;
INSERT INTO profile
    SELECT one, account, chain, name, device_name, signing_seed, recovery_seed, device_seed, front_door_seed, inner_seed,
           request_secret, discovery_key, sequence, created_at, NULL, x''
    FROM profile_before;
DROP TABLE profile_before;

CREATE TABLE own_set (
    place BLOB PRIMARY KEY CHECK (length(place) = 16),
    entry BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `settled`: by which history of the account the set is complete. There is no row before it was filled for the first time.
CREATE TABLE own_set_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    settled BLOB
) STRICT;

-- Doors of devices that joined and have not said yet where they are.
CREATE TABLE joined_doors (
    device BLOB PRIMARY KEY CHECK (length(device) = 32),
    door   BLOB NOT NULL CHECK (length(door) = 32)
) STRICT, WITHOUT ROWID;

-- Doors of devices that were removed: they may knock to be told so.
CREATE TABLE removed_doors (
    door       BLOB PRIMARY KEY CHECK (length(door) = 32),
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
