//! A device that follows: the one a person chose, while it is there and can be opened, else the system's default, whichever that
//! is. A thread of its own looks once a second, and at once when the choice changes or the device dies, opens what is to be used
//! and hands it over; whoever moves the sound never waits.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::choices::{Choices, Chosen};
use super::health::Health;
use super::host::Line;
use super::playback::Playback;
use super::{DeviceError, Kind};
use crate::FRAME_SAMPLES;
use crate::level::Level;

/// How often is looked at what there is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often whether the device in use lives, and is the one that is wanted.
const TICK: Duration = Duration::from_millis(100);

/// Which device is in use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The chosen one, or the system's default where none was chosen; its name.
    Wanted(String),
    /// The system's default, because the chosen one is not there or cannot be opened.
    StandIn {
        /// What is used.
        name: String,
        /// What is not.
        chosen: String,
    },
    /// None.
    Nothing(DeviceError),
}

impl Standing {
    /// What is used.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Wanted(name) | Self::StandIn { name, .. } => Some(name),
            Self::Nothing(_) => None,
        }
    }

    /// What a person should know of it; nothing where all is as it should be.
    pub fn words(&self, kind: Kind) -> Option<String> {
        match self {
            Self::Wanted(_) => None,
            Self::StandIn { name, chosen } => Some(format!(
                "the {kind} \"{chosen}\" cannot be used now; \"{name}\" is used until it can"
            )),
            Self::Nothing(error) => Some(error.to_string()),
        }
    }
}

/// What can be followed.
pub trait Followed: Sized + Send + 'static {
    /// Opens the device of this id.
    fn open_for(kind: Kind, id: &str) -> Result<Self, DeviceError>;
    /// Shared with its threads.
    fn health(&self) -> Arc<Health>;
}

impl Followed for Capture {
    fn open_for(_: Kind, id: &str) -> Result<Self, DeviceError> {
        Self::open(Some(id))
    }

    fn health(&self) -> Arc<Health> {
        Self::health(self)
    }
}

impl Followed for Playback {
    fn open_for(kind: Kind, id: &str) -> Result<Self, DeviceError> {
        Self::open_as(kind, Some(id))
    }

    fn health(&self) -> Arc<Health> {
        Self::health(self)
    }
}

/// The owner's end.
pub struct Following<D> {
    device: Option<(D, Arc<Health>)>,
    standing: Option<Standing>,
    choices: Arc<Choices>,
    news: Receiver<News<D>>,
    _life: Sender<()>,
}

struct News<D> {
    /// None: the same as before, unless the standing says that there is none.
    device: Option<D>,
    standing: Standing,
}

impl<D: Followed> Following<D> {
    /// Begins; the device comes a moment later.
    pub fn start(kind: Kind, choices: &Arc<Choices>) -> Self {
        let (sender, news) = sync_channel(1);
        let (life, lives) = channel();
        let follower = Follower {
            kind,
            choices: Arc::clone(choices),
            _line: choices.line(),
            news: sender.clone(),
            open: None,
            told: None,
        };
        let started = thread::Builder::new()
            .name(format!("follow-{kind}"))
            .spawn(move || follower.run(&lives));
        if let Err(error) = started {
            let reason = error.to_string();
            let standing = Standing::Nothing(DeviceError::Open { kind, reason });
            let device = None;
            let _ = sender.try_send(News { device, standing });
        }
        Self {
            device: None,
            standing: None,
            choices: Arc::clone(choices),
            news,
            _life: life,
        }
    }

    /// Moves over to another device, if it is time for that; what is in use now, if that changed.
    pub fn poll(&mut self) -> Option<&Standing> {
        let mut changed = false;
        while let Ok(News { device, standing }) = self.news.try_recv() {
            match (device, &standing) {
                (Some(device), _) => {
                    let health = device.health();
                    self.device = Some((device, health));
                }
                (None, Standing::Nothing(_)) => self.device = None,
                (None, _) => {}
            }
            self.standing = Some(standing);
            changed = true;
        }
        self.standing.as_ref().filter(|_| changed)
    }

    /// What is in use; nothing before it is known.
    pub const fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// The device, while it lives.
    pub fn device(&mut self) -> Option<&mut D> {
        let (device, health) = self.device.as_mut()?;
        health.is_alive().then_some(device)
    }
}

impl Following<Capture> {
    /// Takes one frame, and notes how loud it is; false while less than one is there.
    pub fn read(&mut self, out: &mut [f32; FRAME_SAMPLES]) -> bool {
        let is_there = self.device().is_some_and(|capture| capture.read(out));
        if is_there {
            self.choices.note_level(Level::of(out));
        }
        is_there
    }
}

impl<D> fmt::Debug for Following<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

/// The thread's end.
struct Follower<D> {
    kind: Kind,
    choices: Arc<Choices>,
    _line: Arc<Line>,
    news: SyncSender<News<D>>,
    open: Option<(String, Arc<Health>)>,
    told: Option<Standing>,
}

impl<D: Followed> Follower<D> {
    fn run(mut self, life: &Receiver<()>) {
        loop {
            let chosen = self.choices.chosen(self.kind);
            if !self.turn(chosen.as_ref()) {
                return;
            }
            let looked = Instant::now();
            let alive = self.is_alive();
            while looked.elapsed() < LOOK_EVERY
                && self.is_alive() == alive
                && self.choices.chosen(self.kind) == chosen
            {
                if life.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            if self.is_alive() != alive {
                self.choices.forget();
            }
        }
    }

    /// `AUDIO-02`: sees to it that the right one is open; whether anybody still wants that.
    fn turn(&mut self, chosen: Option<&Chosen>) -> bool {
        let roster = match self.choices.roster(self.kind) {
            Ok(roster) => roster,
            // What is in use may go on.
            Err(_) if self.is_alive() => return true,
            Err(error) => return self.tell(None, Standing::Nothing(error)),
        };
        let mut trouble = DeviceError::None(self.kind);
        for (listed, standing) in roster.plan(self.kind, chosen) {
            if self.is_open(&listed.id) {
                return self.told.as_ref() == Some(&standing) || self.tell(None, standing);
            }
            match D::open_for(self.kind, &listed.id) {
                Ok(device) => {
                    self.open = Some((listed.id.clone(), device.health()));
                    return self.tell(Some(device), standing);
                }
                Err(error) => trouble = error,
            }
        }
        self.open = None;
        let standing = Standing::Nothing(trouble);
        self.told.as_ref() == Some(&standing) || self.tell(None, standing)
    }

    fn tell(&mut self, device: Option<D>, standing: Standing) -> bool {
        self.told = Some(standing.clone());
        self.news.send(News { device, standing }).is_ok()
    }

    fn is_alive(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|(_, health)| health.is_alive())
    }

    fn is_open(&self, id: &str) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| open == id) && self.is_alive()
    }
}
