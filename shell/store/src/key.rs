//! The database's key: 32 random bytes. Today it lies in a file of its own beside the database, readable by its owner
//! only; [`KeySource::describe`] says so in `status`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::StoreError;

/// The key file's name inside the profile's folder.
pub const KEY_FILE: &str = "store.key";
const KEY_BYTES: usize = 32;

/// The key itself, wiped from memory when dropped.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Where the key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file of mode 0600 beside the database.
    File(PathBuf),
}

impl KeySource {
    /// In words, for `status`.
    pub fn describe(&self) -> String {
        match self {
            Self::File(path) => format!(
                "the profile is encrypted, but its key lies beside it in {}: whoever can read your files can read it",
                path.display()
            ),
        }
    }
}

/// Reads the key of the database in `dir`; makes one when there is neither key nor database.
pub(crate) fn load(dir: &Path, database_exists: bool) -> Result<(Key, KeySource), StoreError> {
    let path = dir.join(KEY_FILE);
    let key = match read(&path) {
        Ok(key) => key,
        Err(error) if error.kind() == io::ErrorKind::NotFound && database_exists => {
            return Err(StoreError::KeyMissing(path.display().to_string()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, &path)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(StoreError::KeyDamaged(path.display().to_string()));
        }
        Err(error) => {
            return Err(StoreError::io(
                format!("cannot read {}", path.display()),
                &error,
            ));
        }
    };
    Ok((key, KeySource::File(path)))
}

fn read(path: &Path) -> io::Result<Key> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    File::open(path)?
        .take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    let mut key = Key::default();
    if bytes.len() != KEY_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// Written beside its place, made durable, then moved there: a killed process never leaves half a key.
fn create(dir: &Path, path: &Path) -> Result<Key, StoreError> {
    let mut key = Key::default();
    getrandom::fill(&mut *key).map_err(|error| {
        StoreError::io(
            "cannot get random bytes",
            &io::Error::other(error.to_string()),
        )
    })?;
    let new = dir.join("store.key.new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| StoreError::io(format!("cannot write {}", path.display()), &error))?;
    Ok(key)
}
