//! The policy file of this machine: read once, at start, from one place that only the administrator can write. It is
//! obeyed or the node does not start.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
pub use starling_wire::policy::Decided;
use starling_wire::policy::{POLICY_MAX, Policy, PolicyError};

/// The machine's own.
pub const MACHINE_POLICY: &str = "/etc/starling/policy.toml";
const ROOT: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It cannot be read.
    #[error(
        "the policy file {0} cannot be read: {1}; the node does not start without knowing what it says"
    )]
    Unreadable(PathBuf, std::io::Error),
    /// Somebody else could have written it.
    #[error(
        "the policy file {file} does not count: {part} {problem}; the node does not start with it"
    )]
    Untrusted {
        /// The file.
        file: PathBuf,
        /// The file or its folder.
        part: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What it says.
    #[error("{1} (in {0}); the node does not start with it")]
    Invalid(PathBuf, PolicyError),
}

/// What the machine's administrator decided and, where another file is named, what that forbids beyond it: it never allows
/// what the machine's own does not. `POLICY-04`: an absent file decides nothing.
pub fn load(machine: &Path, further: Option<&Path>) -> Result<Policy, PolicyFileError> {
    let policy = read(machine, &[ROOT])?.unwrap_or_default();
    let Some(further) = further else {
        return Ok(policy);
    };
    // A user may bind himself by it, or not start the node; so his own file counts.
    let more = read(further, &[ROOT, geteuid().as_raw()])?;
    let more = more.ok_or_else(|| {
        PolicyFileError::Unreadable(further.to_owned(), std::io::ErrorKind::NotFound.into())
    })?;
    Ok(policy.and(more))
}

/// What a file says, and whether it could stand where it is: for whoever wants to know before putting it there.
pub fn check(path: &Path) -> Result<(Policy, Result<(), PolicyFileError>), PolicyFileError> {
    let (text, place) = text_of(path, &[ROOT])?.ok_or_else(|| {
        PolicyFileError::Unreadable(path.to_owned(), std::io::ErrorKind::NotFound.into())
    })?;
    let policy = Policy::read(&text);
    let policy = policy.map_err(|error| PolicyFileError::Invalid(path.to_owned(), error))?;
    Ok((policy, place))
}

fn read(path: &Path, owners: &[u32]) -> Result<Option<Policy>, PolicyFileError> {
    let Some((text, place)) = text_of(path, owners)? else {
        return Ok(None);
    };
    place?;
    let policy = Policy::read(&text);
    policy
        .map(Some)
        .map_err(|error| PolicyFileError::Invalid(path.to_owned(), error))
}

type Text = (String, Result<(), PolicyFileError>);

/// The file's text, and whether nobody else can have written it.
fn text_of(path: &Path, owners: &[u32]) -> Result<Option<Text>, PolicyFileError> {
    let unreadable = |error: std::io::Error| PolicyFileError::Unreadable(path.to_owned(), error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(unreadable(error.into())),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let is = std::io::Error::other("it is no file");
        return Err(unreadable(is));
    }
    let mut place = trusted(path, path, &metadata, owners);
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        // Whoever may write the folder may put another file there.
        let metadata = folder.metadata().map_err(unreadable)?;
        place = place.and(trusted(path, folder, &metadata, owners));
    }
    let mut text = String::new();
    file.take(POLICY_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(Some((text, place)))
}

/// `POLICY-05`: nobody but its owner can have written it, and the owner is the administrator.
fn trusted(
    file: &Path,
    part: &Path,
    metadata: &std::fs::Metadata,
    owners: &[u32],
) -> Result<(), PolicyFileError> {
    let problem = if !owners.contains(&metadata.uid()) {
        "does not belong to root"
    } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        "can be written by others than its owner"
    } else {
        return Ok(());
    };
    Err(PolicyFileError::Untrusted {
        file: file.to_owned(),
        part: part.to_owned(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use starling_wire::policy::Permission;

    use super::*;

    const RELAY_NEVER: &str = "format = 1\n[roles]\nrelay = \"never\"\n";

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        /// The test's own user takes the administrator's place.
        fn read(&self, path: &Path) -> Result<Option<Policy>, String> {
            read(path, &[geteuid().as_raw()]).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn policy_04_an_absent_file_decides_nothing_and_a_present_one_is_read() {
        let machine = Machine::new();
        let absent = machine.0.path().join("no").join("policy.toml");
        assert_eq!(machine.read(&absent), Ok(None));
        assert_eq!(load(&absent, None).unwrap(), Policy::default());
        let file = machine.file("policy.toml", RELAY_NEVER, 0o644);
        let policy = machine.read(&file).unwrap().unwrap();
        assert_eq!(policy.roles.relay, Permission::Never);
        // A file that was named has to be there.
        assert!(load(&absent, Some(&absent)).is_err());
        let both = load(&absent, Some(&file)).unwrap();
        assert_eq!(both.roles.relay, Permission::Never);
    }

    #[test]
    fn policy_05_a_file_that_others_could_have_written_stops_the_node() {
        let machine = Machine::new();
        for mode in [0o664, 0o646] {
            let file = machine.file("policy.toml", RELAY_NEVER, mode);
            let refused = machine.read(&file).unwrap_err();
            assert!(refused.contains("written by others"), "{refused}");
        }
        let file = machine.file("policy.toml", RELAY_NEVER, 0o644);
        let refused = read(&file, &[u32::MAX]).unwrap_err().to_string();
        assert!(refused.contains("does not belong to root"), "{refused}");
        let link = machine.0.path().join("link.toml");
        symlink(&file, &link).unwrap();
        assert!(machine.read(&link).is_err(), "a symbolic link");
        let folder = machine.0.path();
        assert!(machine.read(folder).unwrap_err().contains("it is no file"));
        std::fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
        let refused = machine.read(&file).unwrap_err();
        assert!(refused.contains("written by others"), "{refused}");
    }

    #[test]
    fn policy_01_what_is_wrong_is_said_with_its_line() {
        let machine = Machine::new();
        for text in [
            "format = 1\n[roles]\nrelais = \"never\"",
            "format = 1\n\ntcp_port = 1",
            "format = 1\n[network]\nproxy = \"socks5://a:1\"",
        ] {
            let file = machine.file("policy.toml", text, 0o600);
            let refused = machine.read(&file).unwrap_err();
            assert!(refused.contains("line 3"), "{refused}");
        }
    }
}
