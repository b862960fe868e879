//! Opens the database: folder, key, pragmas, migrations. After this every page on disk is encrypted and authenticated
//! (SQLCipher 4: AES-256-CBC, HMAC-SHA512), and a commit is on disk when it returns (WAL, `synchronous = FULL`).

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::key::{self, Key, KeySource};
use crate::migrate;
use crate::tx::Tx;

/// The database's name inside the profile's folder.
pub const DATABASE_FILE: &str = "store.db";

/// Pages that the writer keeps decrypted at most, in KiB; SQLite's own choice is 2,000.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// How long one process waits for another (a backup tool, say) to let go of the database.
const BUSY: Duration = Duration::from_secs(5);
/// A database that could not be attached is tried so often again, after this.
const ATTACH_AGAIN: u32 = 3;
const ATTACH_WAIT: Duration = Duration::from_millis(50);

/// An open profile: one connection that writes, one that only reads.
#[derive(Debug)]
pub struct Store {
    pub(crate) writer: Connection,
    pub(crate) reader: Connection,
    pub(crate) key: KeySource,
}

impl Store {
    /// Opens the profile in `dir`, making folder, key and database where they do not exist.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        make_folder(dir)?;
        let path = dir.join(DATABASE_FILE);
        let exists = path.metadata().is_ok_and(|file| file.len() > 0);
        let (key, source) = key::load(dir, exists)?;
        make_file(&path)?;
        let mut writer = connect(&path, &key)?;
        // Each page that has to be read again is decrypted again; messages touch pages all over their indexes.
        writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        // The setting is kept in the file; a newer version's file is refused before anything is written to it.
        migrate::run(&mut writer)?;
        let reader = connect(&path, &key)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self {
            writer,
            reader,
            key: source,
        })
    }

    /// For tests: from now on the database grows by so many pages only, and says then what it says on a full disk.
    #[doc(hidden)]
    pub fn grow_by(&self, pages: i64) -> Result<(), StoreError> {
        let now: i64 = self
            .writer
            .pragma_query_value(None, "page_count", |row| row.get(0))?;
        self.writer
            .pragma_update(None, "max_page_count", now + pages)?;
        Ok(())
    }

    /// Where the key comes from.
    pub const fn key(&self) -> &KeySource {
        &self.key
    }

    /// Runs `work` in one transaction; durable when this returns `Ok`, undone when `work` fails.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self
            .writer
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tx = Tx::new(&transaction);
        let done = work(&tx).and_then(|value| tx.execute("COMMIT", ()).map(|_| value));
        tx.ended(done.is_ok());
        done
    }

    /// Runs `work` on one consistent snapshot of what is committed.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.reader, work)
    }
}

/// One snapshot on a connection that only reads.
pub(crate) fn read<T>(
    reader: &Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let snapshot = reader.unchecked_transaction()?;
    work(&Tx::new(&snapshot))
}

/// Makes the folder with mode 0700. A folder that exists keeps its mode: it may be one the user shares on purpose, and
/// the files inside are readable by their owner only.
fn make_folder(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| {
            StoreError::io(format!("cannot make the folder {}", dir.display()), &error)
        })
}

/// Makes the empty database file with mode 0600; SQLite gives its companions the same mode.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io(
            format!("cannot make {}", path.display()),
            &error,
        )),
        _ => Ok(()),
    }
}

fn connect(path: &Path, key: &Key) -> Result<Connection, StoreError> {
    let mut attached = attach(path, key);
    // Whether the key fits shows later; but where many databases are opened at once, SQLCipher now and then fails to begin.
    for _ in 0..ATTACH_AGAIN {
        if attached.is_ok() {
            break;
        }
        std::thread::sleep(ATTACH_WAIT);
        attached = attach(path, key);
    }
    let connection = attached?;
    connection.busy_timeout(BUSY)?;
    // The first read shows whether the key fits.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn attach(path: &Path, key: &Key) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Its errors come back as results; it need not also write to standard error.
    connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    connection.execute_batch(&key_pragma(key))?;
    Ok(connection)
}

/// SQLCipher's form for a raw key: no passphrase derivation, the 32 bytes are the key.
fn key_pragma(key: &Key) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(96));
    text.push_str("PRAGMA key = \"x'");
    for byte in key.iter() {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.push_str("'\";");
    text
}
