//! Shows the window with what is installed: an app window of a Chromium-family browser with its own data folder (own task-bar
//! entry, nothing shared with the person's browsing), else the default browser, else words. No browser and no display are not
//! errors. What is started gets the path of a redirect file, never a secret.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

/// Browsers that know `--app`, best first.
const APP_BROWSERS: [&str; 6] = [
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "chromium-browser",
    "brave-browser",
    "microsoft-edge",
];
/// A browser that cannot start says so quickly.
const START_WITHIN: Duration = Duration::from_millis(1500);

/// How the window was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// As an app window of this browser.
    App(String),
    /// In the default browser.
    Default,
    /// Not at all: the person opens this file.
    ByHand(PathBuf),
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(browser) => write!(f, "The window is open ({browser})."),
            Self::Default => f.write_str("The window is open in your browser."),
            Self::ByHand(file) => write!(
                f,
                "Open this file in a browser on this machine, within a minute: {}",
                file.display()
            ),
        }
    }
}

/// Shows `redirect`; an app window keeps its data in `data`.
pub async fn open(redirect: &Path, data: &Path) -> Opened {
    if !has_display(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Opened::ByHand(redirect.into());
    }
    for browser in APP_BROWSERS {
        if start(app_command(browser, redirect, data)).await {
            return Opened::App(browser.into());
        }
    }
    let mut default = Command::new("xdg-open");
    default.arg(redirect);
    if start(default).await {
        return Opened::Default;
    }
    Opened::ByHand(redirect.into())
}

fn has_display(is_set: impl Fn(&str) -> bool) -> bool {
    is_set("WAYLAND_DISPLAY") || is_set("DISPLAY")
}

fn app_command(browser: &str, redirect: &Path, data: &Path) -> Command {
    let mut command = Command::new(browser);
    command
        .arg(format!("--app=file://{}", url_path(redirect)))
        .arg(format!("--user-data-dir={}", data.display()))
        .args([
            "--class=Starling",
            "--no-first-run",
            "--no-default-browser-check",
        ]);
    command
}

/// A path as it stands in a `file:` URL (RFC 8089).
fn url_path(path: &Path) -> String {
    let mut url = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// Whether it started: it runs on, or handed over to a running one and ended well.
async fn start(mut command: Command) -> bool {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let Ok(mut child) = spawned else { return false };
    match tokio::time::timeout(START_WITHIN, child.wait()).await {
        Ok(ended) => ended.is_ok_and(|status: ExitStatus| status.success()),
        Err(_) => {
            tokio::spawn(reap(child));
            true
        }
    }
}

async fn reap(mut child: Child) {
    // How a browser ends is the person's business.
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_display_there_is_nothing_to_start() {
        assert!(!has_display(|_| false));
        assert!(has_display(|name| name == "DISPLAY"));
        assert!(has_display(|name| name == "WAYLAND_DISPLAY"));
    }

    #[test]
    fn a_path_becomes_a_url_and_the_browser_keeps_to_its_folder() {
        let command = app_command("chromium", Path::new("/a b/ü#.html"), Path::new("/p/ui"));
        let line = format!("{:?}", command.as_std());
        assert!(
            line.contains("--app=file:///a%20b/%C3%BC%23.html"),
            "{line}"
        );
        assert!(line.contains("--user-data-dir=/p/ui"), "{line}");
        assert!(!line.contains("no-sandbox"), "{line}");
    }

    #[tokio::test]
    async fn a_browser_that_fails_at_once_is_passed_over() {
        assert!(!start(Command::new("false")).await);
        assert!(!start(Command::new("starling-no-such-browser")).await);
        assert!(start(Command::new("true")).await);
    }

    #[test]
    fn the_words_name_the_file() {
        let words = Opened::ByHand("/p/open-1.html".into()).to_string();
        assert!(
            words.contains("Open this file in a browser on this machine"),
            "{words}"
        );
        assert!(words.ends_with("/p/open-1.html"), "{words}");
    }
}
