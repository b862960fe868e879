//! Which profile a command means, and what a node that is started for it is told.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use starling_control::{ErrorKind, Failure};
use starling_node::NodeConfig;

/// The profile that is meant where none is named.
const DEFAULT: &str = "default";
/// Bytes of a profile's name.
const NAME_MAX: usize = 32;

/// What every command needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The profile's folder, absolute.
    pub home: PathBuf,
    /// Print JSON.
    pub json: bool,
    /// For a node that is started.
    pub listen: Option<SocketAddr>,
    /// For a node that is started: look for contacts on the local network.
    pub lan: Option<bool>,
}

impl Settings {
    /// For a node of this profile.
    pub fn node_config(&self) -> NodeConfig {
        let mut config = NodeConfig::new(self.home.clone());
        config.listen = self.listen.unwrap_or(config.listen);
        config.lan_discovery = self.lan.unwrap_or(config.lan_discovery);
        config.echo_program = env::current_exe().ok();
        config
    }
}

/// The folder meant by `--home` or `--profile`, else by `STARLING_HOME`, else the default profile's.
pub fn folder(home: Option<&Path>, profile: Option<&str>) -> Result<PathBuf, Failure> {
    let named = match (home, profile) {
        (Some(home), _) => home.to_owned(),
        (None, Some(profile)) => in_data_folder(profile, &set)?,
        (None, None) => match set("STARLING_HOME") {
            Some(home) => home.into(),
            None => in_data_folder(DEFAULT, &set)?,
        },
    };
    std::path::absolute(&named).map_err(|error| {
        let sentence = format!(
            "the profile folder {} is unusable: {error}",
            named.display()
        );
        Failure::new(ErrorKind::Usage, sentence)
    })
}

fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// `starling/NAME` in the data folder (XDG Base Directory Specification).
fn in_data_folder(name: &str, set: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with(['.', '-']);
    if !fits {
        let sentence = format!(
            "a profile's name has 1 to {NAME_MAX} letters, digits, '-', '_' or '.', and begins with a letter or digit"
        );
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let data = set("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/share")))
        .ok_or_else(|| {
            let sentence = "there is no home folder (HOME is not set); say --home DIR";
            Failure::new(ErrorKind::Usage, sentence)
        })?;
    Ok(data.join("starling").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(variable: &str) -> Option<OsString> {
        (variable == "HOME").then(|| "/home/alice".into())
    }

    #[test]
    fn profiles_lie_in_the_data_folder() {
        let alice = in_data_folder("work", &machine).unwrap();
        assert_eq!(alice, Path::new("/home/alice/.local/share/starling/work"));
        let xdg = |variable: &str| (variable == "XDG_DATA_HOME").then(|| "/data".into());
        let moved = in_data_folder("work", &xdg).unwrap();
        assert_eq!(moved, Path::new("/data/starling/work"));
        let nowhere = in_data_folder("work", &|_| None).unwrap_err();
        assert!(nowhere.message.contains("--home"), "{nowhere}");
    }

    #[test]
    fn a_profile_name_cannot_lead_elsewhere() {
        for name in [
            "",
            "..",
            ".hidden",
            "a/b",
            "-x",
            "a b",
            "ä",
            &"x".repeat(33),
        ] {
            let failure = in_data_folder(name, &machine).unwrap_err();
            assert_eq!(failure.data.kind, ErrorKind::Usage, "{name}");
        }
    }
}
