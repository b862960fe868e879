//! Indexing a file before it is offered: its BLAKE3 root and the hashes of its groups, kept in a file beside the store so
//! that a restart need not read everything again.

use std::fs::{File, OpenOptions};
use std::io::BufReader;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::CreateOutboard;

use super::{BulkError, tree};

/// A file ready to be served.
#[derive(Debug, Clone)]
pub struct Indexed {
    /// The file itself.
    pub path: PathBuf,
    /// Its group hashes.
    pub outboard: PathBuf,
    /// Its BLAKE3 hash.
    pub root: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
}

/// An indexed file, open.
#[derive(Debug)]
pub struct Source {
    pub(super) file: File,
    pub(super) outboard: PreOrderOutboard<File>,
}

impl Indexed {
    /// Reads the whole file once. Blocks; call it off the runtime.
    pub fn create(path: &Path, outboard: &Path) -> Result<Self, BulkError> {
        let file = File::open(path).map_err(BulkError::Disk)?;
        let size = file.metadata().map_err(BulkError::Disk)?.len();
        let store = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(outboard)
            .map_err(BulkError::Disk)?;
        let mut index = PreOrderOutboard {
            root: blake3::Hash::from_bytes([0; 32]),
            tree: tree(size),
            data: store,
        };
        index
            .init_from(BufReader::with_capacity(1 << 20, file))
            .map_err(|error| match error.kind() {
                // Shorter than it was a moment ago.
                std::io::ErrorKind::UnexpectedEof => BulkError::Changed,
                _ => BulkError::Disk(error),
            })?;
        index.data.sync_all().map_err(BulkError::Disk)?;
        Ok(Self {
            path: path.to_owned(),
            outboard: outboard.to_owned(),
            root: *index.root.as_bytes(),
            size,
        })
    }

    /// Opens both files for serving. Blocks.
    pub fn open(&self) -> Result<Source, BulkError> {
        let file = File::open(&self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BulkError::Vanished,
            _ => BulkError::Disk(error),
        })?;
        if file.metadata().map_err(BulkError::Disk)?.len() != self.size {
            return Err(BulkError::Changed);
        }
        let data = File::open(&self.outboard).map_err(BulkError::Disk)?;
        let root = blake3::Hash::from_bytes(self.root);
        let outboard = PreOrderOutboard {
            root,
            tree: tree(self.size),
            data,
        };
        Ok(Source { file, outboard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_files_blake3_hash() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0_usize, 1, 16 * 1024, 16 * 1024 + 1, 1_000_000] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let path = folder.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let indexed = Indexed::create(&path, &folder.path().join("index")).unwrap();
            assert_eq!(indexed.root, *blake3::hash(&bytes).as_bytes(), "{size}");
            assert_eq!(indexed.size, size as u64);
        }
    }

    #[test]
    fn a_file_that_changed_its_size_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"one").unwrap();
        let indexed = Indexed::create(&path, &folder.path().join("index")).unwrap();
        std::fs::write(&path, b"three").unwrap();
        assert!(matches!(indexed.open(), Err(BulkError::Changed)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(indexed.open(), Err(BulkError::Vanished)));
    }
}
