//! Why the store refused. Each text is a sentence for the person in front of the machine; `Internal` is our own bug.

use std::io;

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Written by a later version: nothing was touched.
    #[error(
        "this profile was written by a newer version of Starling (format {found}; this version knows {known}); update Starling to open it"
    )]
    Newer {
        /// The database's format.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// The key does not fit, or the file is no database of ours.
    #[error(
        "the profile's database cannot be read: the key beside it is not its key, or the file is damaged"
    )]
    WrongKey,
    /// The key file is gone but the database is there.
    #[error("the file {0} is missing; without it the profile's database cannot be read")]
    KeyMissing(String),
    /// The key file has the wrong size.
    #[error("the file {0} is damaged; restore it from a backup to read the profile's database")]
    KeyDamaged(String),
    /// A page or a row that does not read back.
    #[error("the profile's database is damaged; restore it from a backup")]
    Damaged,
    /// No room: the write was taken back as a whole.
    #[error("the disk is full; nothing was changed, free some space and try again")]
    Full,
    /// A file that cannot fit.
    #[error(
        "the file needs {need} bytes and {folder} has {free} left; free some space or choose another folder"
    )]
    NoRoom {
        /// Where it was to go.
        folder: String,
        /// Bytes still to come.
        need: u64,
        /// Bytes left.
        free: u64,
    },
    /// Another process writes to the same profile.
    #[error("another program is using this profile's database")]
    Busy,
    /// Already there.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// Not there.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Not a file we made.
    #[error("{0} is not the file that Starling put there; move it away to go on")]
    Foreign(String),
    /// The system refused.
    #[error("{what}: {why}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's words.
        why: String,
    },
    /// What was to be stored is more than may be kept; in the words of who says so.
    #[error("{0}")]
    Refused(String),
    /// The store was closed, or its writer ended.
    #[error("the profile's database is closed")]
    Closed,
    /// A bug of ours.
    #[error("internal error of the store: {0}")]
    Internal(String),
}

impl StoreError {
    /// An error of the system while doing `what`.
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io {
                what: what.into(),
                why: error.to_string(),
            },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match &error {
            Sql::SqliteFailure(failure, _) => from_code(failure, &error),
            // A column of the wrong type or length: the row is not what we wrote.
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => Self::Damaged,
            _ => Self::Internal(error.to_string()),
        }
    }
}

fn from_code(failure: &ffi::Error, error: &rusqlite::Error) -> StoreError {
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full,
        ErrorCode::NotADatabase => StoreError::WrongKey,
        ErrorCode::DatabaseCorrupt => StoreError::Damaged,
        // The one reference between tables that outsiders' input can break.
        ErrorCode::ConstraintViolation
            if failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY =>
        {
            StoreError::Missing("contact")
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied => StoreError::Io {
            what: "the profile's database cannot be read or written".to_owned(),
            why: error.to_string(),
        },
        _ => StoreError::Internal(error.to_string()),
    }
}
