-- Key packages that a supernode keeps for devices that are at home here. One of each device at most is of last resort.
CREATE TABLE key_packages (
    number INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    last_resort INTEGER NOT NULL,
    kept_s INTEGER NOT NULL,
    package BLOB NOT NULL
) STRICT;
CREATE INDEX key_packages_of ON key_packages (account, device, last_resort, number);
