//! Where the server listens, and what it knows this user by: asked of the environment as libpulse does. Servers on other machines
//! are left to ALSA's own client.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

/// Bytes of a cookie.
pub(super) const COOKIE: usize = 256;
/// One server for all users of a machine, where there is one.
const OF_ALL: &str = "/var/run/pulse/native";

/// Sockets, in the order in which they are to be tried.
pub(super) fn sockets() -> Vec<PathBuf> {
    sockets_by(|name| env::var_os(name).filter(|value| !value.is_empty()))
}

fn sockets_by(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(servers) = variable("PULSE_SERVER") {
        let servers = servers.to_string_lossy().into_owned();
        return servers.split_whitespace().filter_map(socket).collect();
    }
    let own = variable("PULSE_RUNTIME_PATH")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("XDG_RUNTIME_DIR")?).join("pulse")));
    let own = own.map(|folder| folder.join("native"));
    own.into_iter().chain([PathBuf::from(OF_ALL)]).collect()
}

/// `{machine}unix:/path`, of which only the path must be there.
fn socket(server: &str) -> Option<PathBuf> {
    let server = match server.strip_prefix('{') {
        Some(rest) => {
            let (machine, server) = rest.split_once('}')?;
            is_this(machine).then_some(server)?
        }
        None => server,
    };
    let path = PathBuf::from(server.strip_prefix("unix:").unwrap_or(server));
    path.is_absolute().then_some(path)
}

fn is_this(machine: &str) -> bool {
    let known = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let ids = known
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    ids.into_iter().any(|id| id.trim() == machine)
}

/// Zeroes where there is none: the server may know the user by the socket.
pub(super) fn cookie() -> [u8; COOKIE] {
    let home = || env::var_os("HOME").map(PathBuf::from);
    let settings = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let places = [
        env::var_os("PULSE_COOKIE").map(PathBuf::from),
        settings.map(|folder| folder.join("pulse/cookie")),
        home().map(|folder| folder.join(".config/pulse/cookie")),
        home().map(|folder| folder.join(".pulse-cookie")),
    ];
    let mut cookies = places.into_iter().flatten().filter_map(|path| {
        let mut cookie = [0; COOKIE];
        File::open(path).ok()?.read_exact(&mut cookie).ok()?;
        Some(cookie)
    });
    cookies.next().unwrap_or([0; COOKIE])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Vec<String> {
        let sockets = sockets_by(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        });
        let paths = sockets.iter().map(|path| path.display().to_string());
        paths.collect()
    }

    #[test]
    fn the_environment_says_where_the_server_is() {
        let run = ("XDG_RUNTIME_DIR", "/run/user/1000");
        assert_eq!(of(&[run]), ["/run/user/1000/pulse/native", OF_ALL]);
        assert_eq!(
            of(&[run, ("PULSE_RUNTIME_PATH", "/tmp/pulse")]),
            ["/tmp/pulse/native", OF_ALL]
        );
        assert_eq!(of(&[]), [OF_ALL]);
    }

    #[test]
    fn a_server_that_is_named_is_the_only_one_and_others_machines_are_not_asked() {
        let named = |servers| of(&[("XDG_RUNTIME_DIR", "/run"), ("PULSE_SERVER", servers)]);
        assert_eq!(named("unix:/a/native"), ["/a/native"]);
        assert_eq!(
            named("tcp:192.0.2.1 /b {no machine's}unix:/c unix:/d"),
            ["/b", "/d"]
        );
        assert!(named("box.example unix:relative {unix:/e").is_empty());
        if let Ok(id) = fs::read_to_string("/etc/machine-id") {
            assert_eq!(named(&format!("{{{}}}unix:/f", id.trim())), ["/f"]);
        }
    }
}
