//! The *Echo / Sound Test* contact: a second, separate node, started beside this one when somebody opens it and stopped
//! five minutes later. It is reached through the real stack; nothing here knows that it is on the same machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

/// How long it runs after it was last opened.
const LIFE: Duration = Duration::from_secs(5 * 60);
const START_TIME: Duration = Duration::from_secs(20);
/// What the process prints before its link.
const READY: &str = "link: ";

/// Starts and stops the sound-test node.
#[derive(Debug, Clone)]
pub struct Echo(Arc<Mutex<Option<Running>>>);

#[derive(Debug)]
struct Running {
    child: Child,
    link: String,
    until: Instant,
}

/// Why there is no sound test.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// This process does not know its own program.
    #[error("the sound test is not available in this process")]
    NoProgram,
    /// The process could not be started or ended early.
    #[error("the sound-test node could not be started: {0}")]
    Start(String),
}

impl Echo {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Starts it for `account`, in the network `network` leads to, or keeps the running one for five minutes more.
    /// Returns its link.
    pub async fn open(
        &self,
        program: &Path,
        home: &Path,
        account: &str,
        network: &str,
    ) -> Result<String, EchoError> {
        let mut slot = self.0.lock().await;
        if let Some(running) = slot.as_mut()
            && matches!(running.child.try_wait(), Ok(None))
        {
            running.until = Instant::now() + LIFE;
            return Ok(running.link.clone());
        }
        let (child, link) = start(program.to_owned(), &home.join("echo"), account, network).await?;
        *slot = Some(Running {
            child,
            link: link.clone(),
            until: Instant::now() + LIFE,
        });
        drop(slot);
        tokio::spawn(stop_in_time(Arc::clone(&self.0)));
        Ok(link)
    }

    /// A call or transfer with it goes on: it may stay.
    pub async fn keep(&self) {
        if let Some(running) = self.0.lock().await.as_mut() {
            running.until = running.until.max(Instant::now() + Duration::from_secs(30));
        }
    }

    /// Stops it now.
    pub async fn stop(&self) {
        if let Some(mut running) = self.0.lock().await.take() {
            end(&mut running.child).await;
        }
    }
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

async fn start(
    program: PathBuf,
    home: &Path,
    account: &str,
    network: &str,
) -> Result<(Child, String), EchoError> {
    let trouble = |error: std::io::Error| EchoError::Start(error.to_string());
    // It ends when its standard input closes, so it cannot outlive this process.
    let mut child = Command::new(program)
        .arg("--home")
        .arg(home)
        .args(["echo-bot", "--for", account, "--network", network])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(trouble)?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| EchoError::Start("it has no output".to_owned()))?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(link) = line.strip_prefix(READY) {
                return Some(link.to_owned());
            }
        }
        None
    };
    match tokio::time::timeout(START_TIME, ready).await {
        Ok(Some(link)) => Ok((child, link)),
        Ok(None) => Err(EchoError::Start("it ended at once".to_owned())),
        Err(_) => Err(EchoError::Start("it did not become ready".to_owned())),
    }
}

async fn stop_in_time(slot: Arc<Mutex<Option<Running>>>) {
    loop {
        let until = match slot.lock().await.as_ref() {
            Some(running) => running.until,
            None => return,
        };
        if Instant::now() < until {
            tokio::time::sleep_until(until).await;
            continue;
        }
        if let Some(mut running) = slot.lock().await.take() {
            end(&mut running.child).await;
            debug!("the sound-test node was stopped: five minutes are over");
        }
        return;
    }
}

/// Closing its input asks it to end; it has three seconds.
async fn end(child: &mut Child) {
    drop(child.stdin.take());
    if tokio::time::timeout(Duration::from_secs(3), child.wait())
        .await
        .is_err()
    {
        let _ = child.kill().await;
    }
}
