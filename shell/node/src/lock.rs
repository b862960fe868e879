//! One node per profile: an advisory lock (flock) on `node.lock`, released by the system when the process ends, however
//! it ends.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held while a node runs.
#[derive(Debug)]
pub struct ProfileLock {
    _file: File,
}

/// Why the profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another Starling already runs on this profile; use it, or stop it with `starling stop`"
    )]
    Taken,
    /// The folder is not usable.
    #[error("the profile folder {0} cannot be used: {1}")]
    Folder(String, std::io::Error),
}

impl ProfileLock {
    /// Makes the folder (mode 0700) if needed and takes its lock.
    pub fn take(home: &Path) -> Result<Self, LockError> {
        let trouble = |error| LockError::Folder(home.display().to_string(), error);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(home)
            .map_err(trouble)?;
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).map_err(trouble)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(home.join("node.lock"))
            .map_err(trouble)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => LockError::Taken,
            other => trouble(other.into()),
        })?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_on_the_same_profile_is_told_so() {
        let home = tempfile::tempdir().unwrap();
        let first = ProfileLock::take(home.path()).unwrap();
        assert!(matches!(
            ProfileLock::take(home.path()),
            Err(LockError::Taken)
        ));
        drop(first);
        assert!(ProfileLock::take(home.path()).is_ok());
    }
}
