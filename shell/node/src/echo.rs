//! The *Echo / Sound Test* contact: a second, separate node, started beside this one when somebody opens it and stopped
//! five minutes later. It is reached through the real stack; nothing here knows that it is on the same machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use starling_control::{ErrorKind, Event, Failure, view};
use starling_wire::ids::AccountId;
use starling_wire::limits::SUPERNODES_MAX;
use starling_wire::link::{Link, Target};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use crate::book::Relation;
use crate::node::App;
use crate::session::Session;

/// How long it runs after it was last opened.
const LIFE: Duration = Duration::from_secs(5 * 60);
const START_TIME: Duration = Duration::from_secs(20);
/// It accepts at once.
const ACCEPT_TIME: Duration = Duration::from_secs(10);
/// What the process prints before its link.
const READY: &str = "link: ";

/// Starts and stops the sound-test node.
#[derive(Debug, Clone)]
pub struct Echo(Arc<Mutex<Option<Running>>>);

#[derive(Debug)]
struct Running {
    child: Child,
    network: String,
    link: String,
    /// Its account.
    account: String,
    until: Instant,
    /// Watches whether it is used.
    _watch: JoinSet<()>,
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
        events: broadcast::Receiver<Event>,
    ) -> Result<String, EchoError> {
        let mut slot = self.0.lock().await;
        if let Some(running) = slot.as_mut()
            && running.network == network
            && matches!(running.child.try_wait(), Ok(None))
        {
            running.until = Instant::now() + LIFE;
            return Ok(running.link.clone());
        }
        if let Some(mut old) = slot.take() {
            end(&mut old.child).await;
        }
        let (child, link) = start(program.to_owned(), &home.join("echo"), account, network).await?;
        let mut watch = JoinSet::new();
        watch.spawn(keep_while_used(self.clone(), events));
        *slot = Some(Running {
            child,
            network: network.to_owned(),
            account: account_of(&link).map_or_else(String::new, |account| account.to_string()),
            link: link.clone(),
            until: Instant::now() + LIFE,
            _watch: watch,
        });
        drop(slot);
        tokio::spawn(stop_in_time(Arc::clone(&self.0)));
        Ok(link)
    }

    /// A call or transfer with `contact` goes on: if that is the sound test, it may stay.
    async fn keep(&self, contact: &str) {
        if let Some(running) = self.0.lock().await.as_mut()
            && running.account == contact
        {
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

/// `echo.open`: a node for this account alone, in its network, as a contact.
pub async fn open(app: &Arc<App>) -> Result<view::Contact, Failure> {
    let system = |error: EchoError| Failure::new(ErrorKind::System, error.to_string());
    let session = app.session()?;
    let program = app.config.echo_program.clone();
    let program = program.ok_or_else(|| system(EchoError::NoProgram))?;
    let network = Link {
        target: Target::Network,
        network: session.ctx.homes().network,
        supernodes: session
            .ctx
            .home_list()
            .into_iter()
            .take(SUPERNODES_MAX)
            .collect(),
    };
    let mut events = app.events.subscribe();
    let own = session.ctx.identity.account().to_string();
    let link = app
        .echo
        .open(
            &program,
            &app.config.home,
            &own,
            &network.to_string(),
            app.events.subscribe(),
        )
        .await
        .map_err(system)?;
    let damaged = || system(EchoError::Start("its link is damaged".to_owned()));
    let account = account_of(&link).ok_or_else(damaged)?;
    if !is_contact(&session, account) {
        session.people.add(&link, "").await?;
        let accepted = async {
            while !is_contact(&session, account) {
                if let Err(RecvError::Closed) = events.recv().await {
                    return;
                }
            }
        };
        if tokio::time::timeout(ACCEPT_TIME, accepted).await.is_err() {
            return Err(system(EchoError::Start("it did not answer".to_owned())));
        }
    }
    session.people.mark_echo(account).await
}

fn account_of(link: &str) -> Option<AccountId> {
    match link.parse::<Link>().ok()?.target {
        Target::Account(account) => Some(account),
        Target::Network => None,
    }
}

fn is_contact(session: &Session, account: AccountId) -> bool {
    session
        .ctx
        .book
        .person(account)
        .is_some_and(|person| person.relation == Relation::Contact)
}

/// Calls and transfers with it tell so again and again while they go on.
async fn keep_while_used(echo: Echo, mut events: broadcast::Receiver<Event>) {
    loop {
        let used = match events.recv().await {
            Ok(Event::Call(call)) => (call.state != view::CallState::Ended).then_some(call.contact),
            Ok(Event::Transfer(transfer)) => {
                (transfer.state == view::TransferState::Running).then_some(transfer.contact)
            }
            Err(RecvError::Closed) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => None,
        };
        if let Some(contact) = used {
            echo.keep(&contact).await;
        }
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
