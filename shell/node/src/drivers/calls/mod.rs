//! Calls: one task (`task`) round the machine of `core/protocol/call`. What people want is read in `asks`; signalling streams
//! are in `links`, the connection for the sound in `media`, what people see in `show`; the voice itself in `crate::media_path`.

mod asks;
mod course;
mod elsewhere;
mod forwarding;
mod links;
mod media;
mod own_side;
mod punching;
mod running;
pub mod settings;
mod show;
mod task;

use std::sync::Arc;

use iroh::endpoint::Connection;
use starling_control::command::Sound;
use starling_control::{ErrorKind, Failure, view};
use starling_protocol::call::calls::{LinkId, SoundEnd};
use starling_store::{StoreError, Tx, calls as log};
use starling_wire::call::CallFrame;
use starling_wire::conference::Room;
use starling_wire::ids::{AccountId, CallId, DeviceId};
use starling_wire::permissions::Permission;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::book::Relation;
use crate::clock::wall_ms;
use crate::context::{Context, store_failure};
use crate::drivers::turns::Turns;
use crate::media_path::{Notice, Sounding, prepare};
use crate::transport::inner::InnerLease;
use asks::Ask;
use links::Opened;
pub use own_side::Switch;
use settings::{Chosen, Settings};
use show::Shown;
use task::Task;

const INBOX: usize = 256;
/// Signalling streams that one contact has open at once, and all together; more are turned away. A call has one, and for
/// a moment another when it was lost.
const LINKS_OF_ONE: usize = 4;
const LINKS_MAX: usize = 64;
/// Connections for sound of one contact, and of all, that have not said yet which call they are for.
const SOUNDS_OF_ONE: usize = 6;
const SOUNDS_MAX: usize = 32;

/// All calls of one account.
#[derive(Debug)]
pub struct Calls {
    ctx: Arc<Context>,
    inputs: mpsc::Sender<Input>,
    links: Turns<AccountId>,
    sounds: Turns<AccountId>,
    shown: Shown,
    chosen: Chosen,
    /// Held by whoever changes that: what two ask for at once both holds.
    choosing: tokio::sync::Mutex<()>,
}

/// What the task is told.
enum Input {
    /// A person wants something.
    Ask(Ask, oneshot::Sender<Result<view::Call, Failure>>),
    /// Our signalling stream for a call is open, to this device.
    Linked(CallId, DeviceId, Opened),
    /// A contact's is, and this is the first it says.
    Knock(Opened, CallFrame),
    /// All their front doors have been tried.
    Dialled(CallId),
    /// A frame came.
    Frame(LinkId, CallFrame),
    /// A stream ended.
    LinkLost(LinkId),
    /// Our inner endpoint is bound.
    Bound(CallId, InnerLease),
    /// The sound's connection is up: ours, or a contact's.
    Sound(CallId, AccountId, Connection),
    /// It ended; by its number.
    SoundLost(CallId, u64, SoundEnd),
    /// The voice has something to say.
    Voice(CallId, Notice),
    /// We are in a room where this call's sound may be forwarded.
    Room(CallId, Room),
    /// We are at home, perhaps elsewhere than before.
    Home,
    /// Somebody may be a contact no more.
    Prune,
    /// The node stops: every call is ended, and that is said.
    Stop(oneshot::Sender<()>),
}

impl Calls {
    /// For a session. Calls that ran when the program ended before were ended by that.
    pub async fn start(
        ctx: Arc<Context>,
        sounding: Sounding,
    ) -> Result<(Self, impl Future<Output = ()>), StoreError> {
        let begin = |tx: &Tx<'_>| {
            log::close_open(tx, wall_ms())?;
            log::prune(tx, wall_ms())
        };
        ctx.db.write(begin).await?;
        let (inputs, receiver) = mpsc::channel(INBOX);
        let shown = Shown::default();
        let chosen = Chosen::new(ctx.db.read(Settings::load).await?);
        let (records, to_log) = mpsc::channel(INBOX);
        let task = Task::new(
            Arc::clone(&ctx),
            inputs.clone(),
            (shown.clone(), chosen.clone(), sounding),
            records,
        );
        let log_ctx = Arc::clone(&ctx);
        let work = async move {
            tokio::join!(task.run(receiver), show::keep_log(log_ctx, to_log));
        };
        let calls = Self {
            ctx,
            inputs,
            links: Turns::new(LINKS_OF_ONE, LINKS_MAX),
            sounds: Turns::new(SOUNDS_OF_ONE, SOUNDS_MAX),
            shown,
            chosen,
            choosing: tokio::sync::Mutex::default(),
        };
        Ok((calls, work))
    }

    /// Calls somebody.
    pub async fn call(&self, account: AccountId, sound: &Sound) -> Result<view::Call, Failure> {
        if self.ctx.person(account)?.relation != Relation::Contact {
            let sentence = "calls go to accepted contacts only";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        self.ask(Ask::Start(account, prepare(sound)?)).await
    }

    /// Answers what rings here.
    pub async fn answer(&self, id: Option<String>, sound: &Sound) -> Result<view::Call, Failure> {
        self.ask(Ask::Answer(id, prepare(sound)?)).await
    }

    /// Ends, cancels or declines.
    pub async fn hang_up(&self, id: Option<String>) -> Result<view::Call, Failure> {
        self.ask(Ask::HangUp(id)).await
    }

    /// Holds or comes back.
    pub async fn hold(&self, id: Option<String>, on: bool) -> Result<view::Call, Failure> {
        self.ask(Ask::Hold(id, on)).await
    }

    /// Switches the own side of the sound.
    pub async fn switch(&self, id: Option<String>, to: Switch) -> Result<view::Call, Failure> {
        self.ask(Ask::Switch(id, to)).await
    }

    /// Puts the other side through to a contact.
    pub async fn transfer(&self, id: Option<String>, to: AccountId) -> Result<view::Call, Failure> {
        if self.ctx.person(to)?.relation != Relation::Contact {
            let sentence = "you can put somebody through to accepted contacts only";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        self.ask(Ask::Transfer(id, to)).await
    }

    /// Calls of now and before, newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<view::Call>, Failure> {
        let now = self.shown.now();
        let rows = self.ctx.db.read(move |tx| log::list(tx, false, limit));
        let before = rows.await.map_err(store_failure)?;
        Ok(show::merge(&self.ctx, now, before, limit))
    }

    /// Those that were missed, newest first.
    pub async fn missed(&self, limit: u32) -> Result<Vec<view::Call>, Failure> {
        let rows = self.ctx.db.read(move |tx| log::list(tx, true, limit));
        let missed = rows.await.map_err(store_failure)?;
        Ok(show::merge(&self.ctx, Vec::new(), missed, limit))
    }

    /// How many of them were not seen.
    pub async fn unseen(&self) -> Result<u32, Failure> {
        self.ctx.db.read(log::missed).await.map_err(store_failure)
    }

    /// The person has seen them.
    pub async fn see(&self) -> Result<(), Failure> {
        let seen = self.ctx.db.write(log::see).await;
        seen.map(drop).map_err(store_failure)
    }

    /// One, as it runs or as it is in the log.
    pub async fn show(&self, id: &str) -> Result<view::Call, Failure> {
        let mut running = self.shown.now().into_iter();
        let begins = id.to_owned();
        if let Some(call) = running.find(|call| call.id.starts_with(id)) {
            return Ok(call);
        }
        let found = self.ctx.db.read(move |tx| log::find(tx, &begins));
        let mut found = found.await.map_err(store_failure)?.into_iter();
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(show::with_course(&self.ctx, only)),
            (Some(one), Some(other)) => {
                let lines = [one, other].map(|call| call.id.to_string()).to_vec();
                Err(Failure::ambiguous("which call?", lines))
            }
            (None, _) => {
                let sentence = "there is no such call; see: starling call log";
                Err(Failure::new(ErrorKind::NotFound, sentence))
            }
        }
    }

    /// How the person wants to be called.
    pub fn settings(&self) -> view::CallSettings {
        self.chosen.get().view(&self.ctx)
    }

    /// Wants it otherwise, on all devices.
    pub async fn set(&self, choice: view::CallChoice) -> Result<view::CallSettings, Failure> {
        let _choosing = self.choosing.lock().await;
        let settings = self.chosen.get().with(&self.ctx, choice).await?;
        let (own_set, item) = (Arc::clone(&self.ctx.own_set), settings.item());
        let write = self.ctx.db.write(move |tx| {
            settings::keep(tx, &item)?;
            own_set.change(tx, &[item])
        });
        write.await.map_err(store_failure)?;
        self.chosen.set(settings);
        Ok(self.settings())
    }

    /// Another device changed it.
    pub async fn reload(&self) {
        let _choosing = self.choosing.lock().await;
        match self.ctx.db.read(Settings::load).await {
            Ok(settings) => self.chosen.set(settings),
            Err(error) => debug!(%error, "how to be called could not be read"),
        }
    }

    /// A contact opened a connection for signalling.
    pub fn arrived(&self, account: AccountId, connection: Connection) {
        let Some(turn) = self.links.take(account) else {
            debug!(reason = "too many at once", "turned a call away");
            connection.close(1u32.into(), b"busy");
            return;
        };
        if self.ctx.abouts.allows(account, Permission::Call) {
            tokio::spawn(links::accept(turn, connection, self.inputs.clone()));
        } else {
            debug!(reason = "not permitted", "declines a call");
            tokio::spawn(links::decline(turn, connection));
        }
    }

    /// A contact's inner endpoint opened a connection for sound.
    pub fn sound_arrived(&self, account: AccountId, connection: Connection) {
        let Some(turn) = self.sounds.take(account) else {
            debug!(reason = "too many at once", "turned a call's sound away");
            connection.close(crate::media_path::NOT_EXPECTED.into(), b"busy");
            return;
        };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            media::accept(account, connection, inputs).await;
            drop(turn);
        });
    }

    /// Ends the calls with people who are no contacts any more.
    pub async fn prune(&self) {
        let _ = self.inputs.send(Input::Prune).await;
    }

    /// We are at home, perhaps elsewhere than before.
    pub async fn home_changed(&self) {
        let _ = self.inputs.send(Input::Home).await;
    }

    /// Whether there is a call.
    pub fn in_call(&self) -> bool {
        !self.shown.now().is_empty()
    }

    /// Ends every call and lets the other sides know, before the doors close.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inputs.send(Input::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    async fn ask(&self, ask: Ask) -> Result<view::Call, Failure> {
        let (sender, receiver) = oneshot::channel();
        let stopped = || Failure::new(ErrorKind::State, "Starling is being stopped");
        let input = Input::Ask(ask, sender);
        self.inputs.send(input).await.map_err(|_| stopped())?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }
}
