//! How our browser window gets in: a one-time code (256 bits) in an HTML file (mode 0600) of the profile that sends the
//! browser to the page server, which swaps the code for the run's cookie. The code never stands in a command-line argument,
//! where other users of the machine could read it. It is good once and for 60 s; then the file is removed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use maud::{DOCTYPE, html};

use super::secret::Secret;

/// How long a code is good.
pub const CODE_TTL: Duration = Duration::from_secs(60);
/// Path of the exchange.
pub const ENTER: &str = "/enter";
/// Codes that may be out at once; the oldest makes room.
const CODES_MAX: usize = 8;

/// The codes that are out.
#[derive(Debug)]
pub struct Entrance {
    folder: PathBuf,
    origin: String,
    codes: Mutex<Vec<Code>>,
}

/// What leads a browser in.
#[derive(Debug)]
pub struct WayIn {
    /// The redirect file to open.
    pub file: PathBuf,
    /// Where it leads, code and all.
    pub url: String,
}

#[derive(Debug)]
struct Code {
    secret: Secret,
    file: PathBuf,
    until: Instant,
}

impl Entrance {
    /// Redirect files go to `folder` (made with mode 0700); left-overs of an earlier run are removed.
    pub fn new(folder: PathBuf, origin: &str) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if is_redirect(&entry.path()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            folder,
            origin: origin.into(),
            codes: Mutex::new(Vec::new()),
        })
    }

    /// A new code; the answer leads in with it.
    pub fn issue(&self, now: Instant) -> io::Result<WayIn> {
        let secret = Secret::fresh()?;
        let label = Secret::fresh()?;
        let file = self
            .folder
            .join(format!("open-{}.html", &label.text()[..12]));
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)?;
        let url = format!("{}{ENTER}?code={}", self.origin, secret.text());
        out.write_all(redirect(&url).as_bytes())?;
        let mut codes = self.lock();
        while codes.len() >= CODES_MAX {
            forget(codes.remove(0));
        }
        codes.push(Code {
            secret,
            file: file.clone(),
            until: now + CODE_TTL,
        });
        Ok(WayIn { file, url })
    }

    /// Whether `given` is a code that is out and not too old. It is used up by that.
    pub fn redeem(&self, given: &str, now: Instant) -> bool {
        self.expire(now);
        let mut codes = self.lock();
        let Some(at) = codes.iter().position(|code| code.secret.matches(given)) else {
            return false;
        };
        forget(codes.remove(at));
        true
    }

    /// Forgets codes that are too old, and their files.
    pub fn expire(&self, now: Instant) {
        let mut codes = self.lock();
        let (good, old) = codes.drain(..).partition(|code| now < code.until);
        *codes = good;
        let old: Vec<Code> = old;
        old.into_iter().for_each(forget);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Code>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.lock().drain(..).for_each(forget);
    }
}

/// A page that leads on to `target`.
fn redirect(target: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content={ "0;url=" (target) };
                link rel="icon" href="data:,";
                title { "Starling" }
            }
            body { p { a href=(target) { "Open Starling" } } }
        }
    };
    page.into_string()
}

fn forget(code: Code) {
    // Gone already is as good.
    let _ = fs::remove_file(code.file);
}

fn is_redirect(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("open-") && name.ends_with(".html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_in(file: &Path) -> String {
        let text = fs::read_to_string(file).unwrap();
        let (_, rest) = text.split_once("code=").unwrap();
        rest[..43].to_owned()
    }

    #[test]
    fn a_code_is_good_once_and_for_a_minute_and_its_file_goes_with_it() {
        let home = tempfile::tempdir().unwrap();
        let entrance = Entrance::new(home.path().join("window"), "http://127.0.0.1:1").unwrap();
        let start = Instant::now();
        let file = entrance.issue(start).unwrap().file;
        let code = code_in(&file);
        assert!(!entrance.redeem("", start));
        assert!(!entrance.redeem(&code[1..], start));
        assert!(entrance.redeem(&code, start + Duration::from_secs(59)));
        assert!(!file.exists());
        assert!(!entrance.redeem(&code, start));

        let file = entrance.issue(start).unwrap().file;
        let code = code_in(&file);
        assert!(!entrance.redeem(&code, start + CODE_TTL));
        assert!(!file.exists());
    }

    #[test]
    fn few_codes_are_out_and_none_is_left_lying() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("window");
        let count = || fs::read_dir(&folder).unwrap().count();
        let entrance = Entrance::new(folder.clone(), "http://127.0.0.1:1").unwrap();
        for _ in 0..20 {
            entrance.issue(Instant::now()).unwrap();
        }
        assert_eq!(count(), CODES_MAX);
        drop(entrance);
        assert_eq!(count(), 0);
        fs::write(folder.join("open-old.html"), "from a run that was killed").unwrap();
        let _entrance = Entrance::new(folder.clone(), "http://127.0.0.1:1").unwrap();
        assert_eq!(count(), 0);
    }
}
