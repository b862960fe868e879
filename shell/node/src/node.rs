//! A node: profile lock, store, supernode role, session, control socket. Everything that lives as long as the process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::profile;
use starling_store::{Store, StoreError, StoreHandle};
use starling_wire::limits::{DEVICE_NAME_MAX, NAME_MAX};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tracing::error;

use crate::announce;
use crate::audio::{self, Audio};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::context::store_failure;
use crate::control::socket::{ControlSocket, SocketError};
use crate::control::{ControlHandle, ControlInbox, commands, handle};
use crate::db::Db;
use crate::drivers::promotion;
use crate::drivers::supernode::{Supernode, SupernodeError};
use crate::echo::Echo;
use crate::ending;
use crate::identity::Identity;
use crate::joining::Joining;
use crate::lock::{LockError, ProfileLock};
use crate::roles::candidacy::Candidacy;
use crate::roles::carrier::Carrier;
use crate::roles::machine_policy::PolicyFileError;
use crate::roles::serve;
use crate::roles::settings::Scope;
use crate::roles::volume::Volume;
use crate::session::{Session, SessionError, Start};
use crate::transport::pins::Pins;
use crate::transport::relay_server::Limits;

/// A running node.
#[derive(Debug)]
pub struct Node {
    app: Arc<App>,
    control: ControlHandle,
    _socket: ControlSocket,
    _tasks: JoinSet<()>,
    _lock: ProfileLock,
}

/// What commands work on.
#[derive(Debug)]
pub struct App {
    /// How the node was started.
    pub config: NodeConfig,
    /// Time.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// To clients.
    pub events: broadcast::Sender<Event>,
    /// The sound-test node.
    pub echo: Echo,
    /// Sound devices.
    pub audio: Arc<Audio>,
    pub(crate) pins: Pins,
    /// What is carried for others.
    pub(crate) carrier: Carrier,
    /// On its way into an account.
    pub(crate) joining: Joining,
    session: RwLock<Option<Arc<Session>>>,
    supernode: RwLock<Option<Arc<Supernode>>>,
    /// Whom that serves, and how many at most.
    serving: Mutex<(Scope, Limits)>,
    /// Whether the network asked this machine to serve.
    pub(crate) candidacy: Candidacy,
    /// What was carried for others this month.
    pub(crate) volume: Mutex<Volume>,
    /// Only one command changes account, network or roles at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Account, network or roles are others now.
    pub(crate) changed: Arc<Notify>,
    stop: Notify,
    /// The account was deleted.
    wiping: AtomicBool,
}

/// Why the node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// What the administrator decided is not known.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// Profile in use or unusable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The supernode role.
    #[error(transparent)]
    Supernode(#[from] SupernodeError),
    /// The account's doors.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Node {
    /// Starts everything the profile asks for.
    pub async fn start(mut config: NodeConfig) -> Result<Self, NodeError> {
        config.obey()?;
        crate::descriptors::raise();
        let clock = Clock::start();
        let lock = ProfileLock::take(&config.home)?;
        let home = config.home.clone();
        let store = tokio::task::spawn_blocking(move || StoreHandle::start(open_store(&home)?))
            .await
            .map_err(|error| StoreError::Internal(error.to_string()))??;
        let (control, inbox) = handle::channel();
        let db = Db::new(store);
        let app = Arc::new(App {
            clock,
            audio: Audio::load(&db).await?,
            db,
            events: inbox.events.clone(),
            echo: Echo::new(),
            pins: Pins::default(),
            carrier: Carrier::new(clock),
            joining: Joining::default(),
            session: RwLock::default(),
            supernode: RwLock::default(),
            serving: Mutex::default(),
            candidacy: Candidacy::default(),
            volume: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            changed: Arc::new(Notify::new()),
            stop: Notify::new(),
            wiping: AtomicBool::default(),
            config,
        });
        app.load_volume().await?;
        app.load_candidacy().await?;
        app.serve_as_before().await?;
        if let Some(profile) = app.db.read(profile::load).await? {
            app.start_session(Identity::from_profile(&profile)).await?;
        }
        let socket = ControlSocket::open(&app.config.home, control.clone())?;
        let mut tasks = JoinSet::new();
        if app.config.tones {
            let events = app.events.subscribe();
            tasks.spawn(audio::run(Arc::clone(&app.audio), events));
        }
        tasks.spawn(answer_all(Arc::clone(&app), inbox));
        tasks.spawn(announce::run(Arc::clone(&app)));
        tasks.spawn(serve::watch(Arc::clone(&app)));
        tasks.spawn(promotion::run(Arc::clone(&app)));
        Ok(Self {
            app,
            control,
            _socket: socket,
            _tasks: tasks,
            _lock: lock,
        })
    }

    /// The way to ask it.
    pub fn control(&self) -> ControlHandle {
        self.control.clone()
    }

    /// What is listened on, in words; empty for a node that only reaches out.
    pub fn listening(&self) -> Vec<String> {
        self.app
            .supernode()
            .map(|supernode| supernode.listening())
            .unwrap_or_default()
    }

    /// Until somebody asks it to stop.
    pub async fn wait(&self) {
        self.app.stop.notified().await;
    }

    /// Says goodbye and closes everything.
    pub async fn stop(self) {
        self.app.echo.stop().await;
        let session = self
            .app
            .session
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(session) = session {
            session.stop().await;
        }
        self.app.stop_supernode().await;
        self.app.keep_volume().await;
        if self.app.wiping.load(Ordering::SeqCst)
            && let Err(error) = ending::wipe(&self.app.config.home)
        {
            error!(%error, "the deleted account's data could not be removed; it goes at the next start");
        }
    }
}

async fn answer_all(app: Arc<App>, mut inbox: ControlInbox) {
    let mut running = JoinSet::new();
    while let Some(request) = inbox.requests.recv().await {
        while running.try_join_next().is_some() {}
        let app = Arc::clone(&app);
        running.spawn(async move {
            let answer = Box::pin(commands::carry_out(&app, request.command)).await;
            let _ = request.answer.send(answer);
        });
    }
}

impl App {
    /// The signed-in session, or a failure that says what to do first.
    pub fn session(&self) -> Result<Arc<Session>, Failure> {
        let session = self
            .session
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        session.ok_or_else(|| {
            let sentence =
                "this profile has no account yet; make one with `starling account create NAME`";
            Failure::new(ErrorKind::State, sentence)
        })
    }

    /// The supernode of this process.
    pub fn supernode(&self) -> Option<Arc<Supernode>> {
        self.supernode
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whom this process serves, and how many at most.
    pub(crate) fn serving(&self) -> (Scope, Limits) {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_serving(&self, scope: Scope, limits: Limits) {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = (scope, limits);
    }

    /// From now on this one serves.
    pub(crate) fn set_supernode(&self, supernode: Supernode) {
        *self
            .supernode
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(supernode));
    }

    /// Stops serving, if this process does.
    pub(crate) async fn stop_supernode(&self) {
        let running = self
            .supernode
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(running) = running {
            self.pins.serve_no_more();
            running.stop().await;
        }
    }

    /// Ends the node, and what its profile holds goes.
    pub fn forget_everything(&self) {
        self.wiping.store(true, Ordering::SeqCst);
        self.stop.notify_one();
    }

    /// Ends the node.
    pub fn ask_to_stop(&self) {
        self.stop.notify_one();
    }

    /// Makes the profile's account.
    pub async fn create_account(&self, name: &str) -> Result<view::Account, Failure> {
        let name = checked_name(name)?;
        self.adopt(Identity::create(name, &device_name())).await
    }

    /// Stores an identity and signs in with it.
    async fn adopt(&self, identity: Identity) -> Result<view::Account, Failure> {
        let _one = self.changing.lock().await;
        self.without_account()?;
        let row = identity.to_profile();
        self.db
            .write(move |tx| profile::create(tx, &row))
            .await
            .map_err(store_failure)?;
        self.sign_in(identity).await
    }

    /// A failure if this profile has an account.
    pub(crate) fn without_account(&self) -> Result<(), Failure> {
        match self.session() {
            Ok(_) => Err(Failure::new(
                ErrorKind::State,
                "this profile has an account already; use another --profile",
            )),
            Err(_) => Ok(()),
        }
    }

    /// Starts the session of an identity that is stored.
    pub(crate) async fn sign_in(&self, identity: Identity) -> Result<view::Account, Failure> {
        self.start_session(identity)
            .await
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        Ok(account_view(&self.session()?.ctx.identity.get()))
    }

    /// The account is another than the one this session began with.
    pub(crate) async fn sign_in_again(&self) -> Result<view::Account, Failure> {
        let before = self
            .session
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(before) = before {
            before.stop().await;
        }
        let profile = self.db.read(profile::load).await.map_err(store_failure)?;
        let profile = profile.ok_or_else(|| store_failure(StoreError::Missing("account")))?;
        self.sign_in(Identity::from_profile(&profile)).await
    }

    async fn start_session(&self, identity: Identity) -> Result<(), SessionError> {
        let start = Start {
            config: self.config.clone(),
            clock: self.clock,
            db: self.db.clone(),
            events: self.events.clone(),
            pins: self.pins.clone(),
            carrier: self.carrier.clone(),
            homes: self.homes().await?,
            identity,
            changed: Arc::clone(&self.changed),
            audio: Arc::clone(&self.audio),
        };
        let session = Session::start(start).await?;
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(session);
        self.changed.notify_one();
        Ok(())
    }
}

/// The profile's store; a fresh one where the account was deleted and its data had not gone yet.
fn open_store(home: &Path) -> Result<Store, StoreError> {
    let store = Store::open(home)?;
    if !store.read(ending::is_due)? {
        return Ok(store);
    }
    drop(store);
    ending::wipe(home).map_err(|error| StoreError::Internal(error.to_string()))?;
    Store::open(home)
}

/// A person's or a network's name, as everybody's node takes it.
pub(crate) fn checked_name(name: &str) -> Result<&str, Failure> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        let sentence = format!("a name has 1 to {NAME_MAX} bytes and no control characters");
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    Ok(name)
}

/// What this machine is called, as a first name for the device.
pub(crate) fn device_name() -> String {
    shortened(&std::fs::read_to_string("/etc/hostname").unwrap_or_default())
}

fn shortened(name: &str) -> String {
    let mut short = String::new();
    for letter in name.trim().chars().filter(|c| !c.is_control()) {
        // Bytes, not letters: a name beyond `DEVICE_NAME_MAX` would make a chain that nobody accepts.
        if short.len() + letter.len_utf8() > DEVICE_NAME_MAX {
            break;
        }
        short.push(letter);
    }
    if short.is_empty() {
        "this device".to_owned()
    } else {
        short
    }
}

/// The account as clients see it.
pub fn account_view(identity: &Identity) -> view::Account {
    view::Account {
        id: identity.account().to_string(),
        name: identity.name.clone(),
        device: identity.device_id().to_string(),
        device_name: identity.device_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_a_long_name_has_a_valid_account() {
        let name = shortened(&"名".repeat(60));
        assert_eq!(name.len(), 63, "whole letters of three bytes");
        let identity = Identity::create("Alice", &name);
        assert!(identity.chain.verify().is_ok());
        assert_eq!(shortened(" \n"), "this device");
    }
}
