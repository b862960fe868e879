//! Which profile a command means, and what a node that is started for it is told.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use starling_control::{ErrorKind, Failure};
use starling_node::NodeConfig;
use starling_node::transport::proxy::ProxySetting;

/// The profile that is meant where none is named.
const DEFAULT: &str = "default";
/// Bytes of a profile's name.
const NAME_MAX: usize = 32;

/// What every command needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The profile's folder, absolute.
    pub home: PathBuf,
    /// Where received files go; the profile's own folder if absent.
    pub downloads: Option<PathBuf>,
    /// Print JSON.
    pub json: bool,
    /// For a node that is started.
    pub listen: Option<SocketAddr>,
    /// For a node that is started: look for contacts on the local network.
    pub lan: Option<bool>,
    /// For a node that is started: play the tones of calls.
    pub tones: Option<bool>,
    /// For a node that is started: the HTTP proxy.
    pub proxy: Option<String>,
    /// For a node that is started: a policy file beside the machine's own.
    pub policy: Option<PathBuf>,
}

impl Settings {
    /// For a node of this profile.
    pub fn node_config(&self) -> NodeConfig {
        let mut config = NodeConfig::new(self.home.clone());
        config.listen = self.listen.unwrap_or(config.listen);
        config.lan_discovery = self.lan.unwrap_or(config.lan_discovery);
        config.tones = self.tones.unwrap_or(config.tones);
        config.downloads.clone_from(&self.downloads);
        let variable = |name: &str| env::var(name).ok();
        config.proxy = match &self.proxy {
            Some(url) => ProxySetting::read(url, ""),
            None => ProxySetting::from_environment(variable),
        };
        config.further_policy.clone_from(&self.policy);
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
    absolute(&named)
}

/// The same folder for a process that is elsewhere.
pub fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(folder).map_err(|error| {
        let sentence = format!("the folder \"{}\" is unusable: {error}", folder.display());
        Failure::new(ErrorKind::Usage, sentence)
    })
}

/// The person's download folder, if there is one, for a profile in the data folder. A profile in a folder of its own keeps its
/// files to itself.
pub fn downloads(home: Option<&Path>, profile: Option<&str>) -> Option<PathBuf> {
    let own = home.is_some() || (profile.is_none() && set("STARLING_HOME").is_some());
    let person = set("HOME").filter(|_| !own)?;
    let person = Path::new(&person);
    let config = set("XDG_CONFIG_HOME").map_or_else(|| person.join(".config"), PathBuf::from);
    let named = fs::read_to_string(config.join("user-dirs.dirs"))
        .ok()
        .and_then(|text| download_line(&text, person));
    named
        .or_else(|| Some(person.join("Downloads")))
        .filter(|folder| folder.is_dir())
}

/// `XDG_DOWNLOAD_DIR="$HOME/..."`, as the tool xdg-user-dirs writes it.
fn download_line(text: &str, person: &Path) -> Option<PathBuf> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?
        .trim_matches('"');
    let folder = match value.strip_prefix("$HOME/") {
        Some(rest) => person.join(rest),
        None => PathBuf::from(value),
    };
    // The tool's way to say "none" is the home folder itself.
    (folder.is_absolute() && folder != person).then_some(folder)
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
    fn the_download_folder_is_the_one_the_desktop_names() {
        let person = Path::new("/home/alice");
        let of = |text| download_line(text, person);
        let french =
            "XDG_DESKTOP_DIR=\"$HOME/Bureau\"\nXDG_DOWNLOAD_DIR=\"$HOME/Téléchargements\"\n";
        assert_eq!(of(french), Some(person.join("Téléchargements")));
        assert_eq!(of("XDG_DOWNLOAD_DIR=\"/data/in\""), Some("/data/in".into()));
        for none in ["", "XDG_DOWNLOAD_DIR=\"$HOME/\"", "XDG_DOWNLOAD_DIR=\"in\""] {
            assert_eq!(of(none), None, "{none}");
        }
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
