//! A person of a scenario: a real `starling node` process with a profile of its own, and the control
//! connection to it. Actors stand on the machine itself (loopback), in a namespace or on a host of a
//! lab. Their processes end with them; no other process is touched.

pub mod control;
pub mod usage;

use std::fmt;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use starling_control::{Command, Event};

use crate::LabError;
use crate::actor::control::{Control, ControlError, Pending};
use crate::actor::usage::Usage;
use crate::host::Host;
use crate::namespace::{HostProcess, Namespace};

/// Starling's default port, used wherever an actor has a machine for itself.
pub const PORT: u16 = 27474;
/// How long a process may take to end by itself before it is killed; `starling node` gives itself 8 s
/// to say goodbye.
const FAREWELL: Duration = Duration::from_secs(10);
/// How much of its log is quoted when an actor fails.
const QUOTED_LINES: usize = 20;

/// Where an actor's process runs.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// On this machine, as the user who runs the lab.
    Here,
    /// In a namespace.
    Inside(&'a Namespace),
    /// On a host of a lab.
    On(&'a Host),
}

/// Where an actor's process runs and listens.
#[derive(Debug, Clone, Copy)]
pub struct Seat<'a> {
    /// Where it runs.
    pub place: Place<'a>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it.
    pub address: IpAddr,
    /// Variables of its environment.
    pub variables: &'a [(&'a str, &'a str)],
    /// Arguments of `starling node`.
    pub arguments: &'a [&'a str],
}

/// What this machine's own environment says of its network is not true in a lab.
const NOT_INHERITED: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A running node of a scenario.
#[derive(Debug)]
pub struct Actor {
    name: String,
    home: PathBuf,
    process: HostProcess,
    control: Control,
    /// When the process was started.
    pub started: Instant,
    /// How long this actor may take to answer, and others to make it notice something.
    pub patience: Duration,
}

/// What went wrong in a scenario, and with whom.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// The program was not built.
    #[error("there is no `starling` beside {0}; build it first: cargo build -p starling")]
    NotBuilt(PathBuf),
    /// The lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file of the scenario.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// An actor did not do as the scenario says.
    #[error("{who}: {source}{log}")]
    Control {
        /// Who.
        who: String,
        /// Why.
        source: ControlError,
        /// The end of the actor's log.
        log: LogTail,
    },
    /// Something came out otherwise than the scenario says.
    #[error("{0}")]
    Story(String),
}

/// The end of an actor's log, for a message.
#[derive(Debug)]
pub struct LogTail(String);

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "\n--- the end of its log ---\n{}", self.0)
    }
}

impl<'a> Seat<'a> {
    /// On loopback of this machine, at free ports.
    pub const fn here() -> Self {
        Self::loopback(Place::Here)
    }

    /// On loopback of a namespace, at free ports.
    pub const fn inside(namespace: &'a Namespace) -> Self {
        Self::loopback(Place::Inside(namespace))
    }

    /// On a host of a lab, at Starling's own port.
    pub fn on(host: &'a Host) -> Self {
        Self {
            place: Place::On(host),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT),
            address: IpAddr::V4(host.ip()),
            variables: &[],
            arguments: &[],
        }
    }

    /// With these variables in its environment.
    #[must_use]
    pub const fn with(mut self, variables: &'a [(&'a str, &'a str)]) -> Self {
        self.variables = variables;
        self
    }

    /// With these arguments of `starling node`.
    #[must_use]
    pub const fn given(mut self, arguments: &'a [&'a str]) -> Self {
        self.arguments = arguments;
        self
    }

    const fn loopback(place: Place<'a>) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            place,
            listen: SocketAddr::new(address, 0),
            address,
            variables: &[],
            arguments: &[],
        }
    }
}

impl Place<'_> {
    fn spawn(self, program: &mut Program) -> Result<HostProcess, LabError> {
        match self {
            Self::Here => HostProcess::start(program),
            Self::Inside(namespace) => namespace.spawn(program),
            Self::On(host) => host.spawn(program),
        }
    }
}

/// The `starling` program of this build: beside the running one, or one folder up for a test.
pub fn program() -> Result<PathBuf, ActorError> {
    let own = std::env::current_exe().map_err(|source| ActorError::File {
        what: "cannot find this program",
        path: PathBuf::from("/proc/self/exe"),
        source,
    })?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("starling"))
        .find(|program| program.is_file())
        .ok_or(ActorError::NotBuilt(own))
}

impl Actor {
    /// Starts a node with the profile in `home`, which is made if it is not there.
    pub fn start(
        name: &str,
        home: &Path,
        seat: Seat<'_>,
        supernode: bool,
        patience: Duration,
    ) -> Result<Self, ActorError> {
        let file_trouble = |what| {
            move |source| ActorError::File {
                what,
                path: home.to_owned(),
                source,
            }
        };
        std::fs::create_dir_all(home).map_err(file_trouble("cannot make the folder"))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.join("lab.log"))
            .map_err(file_trouble("cannot open a log in"))?;
        let mut node = Program::new(program()?);
        for variable in NOT_INHERITED {
            node.env_remove(variable);
        }
        node.envs(seat.variables.iter().copied())
            .arg("--home")
            .arg(home)
            .args(["--listen", &seat.listen.to_string(), "--lan", "off"])
            .args(["--play-tones", "off", "node"])
            .args(supernode.then_some("--supernode"))
            .args(seat.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let started = Instant::now();
        let process = seat.place.spawn(&mut node)?;
        let control = Control::connect(home, patience).map_err(|source| ActorError::Control {
            who: name.to_owned(),
            source,
            log: log_tail(home),
        })?;
        Ok(Self {
            name: name.to_owned(),
            home: home.to_owned(),
            process,
            control,
            started,
            patience,
        })
    }

    /// Who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The profile's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the process has used so far.
    pub fn usage(&self) -> Result<Usage, ActorError> {
        usage::of(self.pid()).map_err(|source| ActorError::File {
            what: "cannot read what a process uses from",
            path: PathBuf::from(format!("/proc/{}", self.pid())),
            source,
        })
    }

    /// Asks the node and reads the view that the command promises.
    pub fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, ActorError> {
        self.control
            .ask(command, self.patience)
            .map_err(|source| self.failed(source))
    }

    /// Sends a request whose answer is wanted later.
    pub fn send(&self, command: Command) -> Result<Pending, ActorError> {
        self.control
            .send(command)
            .map_err(|source| self.failed(source))
    }

    /// The answer to such a request, and when it came.
    pub fn answer<T: DeserializeOwned>(
        &self,
        pending: Pending,
    ) -> Result<(Instant, T), ActorError> {
        pending
            .wait(self.patience)
            .map_err(|source| self.failed(source))
    }

    /// Waits for an event that fits, and says when it was told.
    pub fn until<T>(
        &self,
        what: &str,
        fits: impl FnMut(&Event) -> Option<T>,
    ) -> Result<(Instant, T), ActorError> {
        self.control
            .until(what, self.patience, fits)
            .map_err(|source| self.failed(source))
    }

    /// Forgets the events told so far, so that only later ones are waited for.
    pub fn drain(&self) {
        self.control.drain();
    }

    /// Ends the node as a user would, and waits for it.
    pub fn stop(mut self) -> Result<(), ActorError> {
        let asked = self
            .control
            .ask::<serde_json::Value>(Command::NodeStop {}, self.patience);
        // Its socket may close before the answer is written: it ends, which is what was asked.
        if let Err(error) = asked
            && !matches!(error, ControlError::Gone(_))
        {
            return Err(self.failed(error));
        }
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.story(format!("ended with {status}"))),
                Err(error) => return Err(self.story(error.to_string())),
            }
        }
        Err(self.story(format!("did not end within {FAREWELL:?}")))
    }

    /// Ends several at the same time.
    pub fn stop_all(actors: impl IntoIterator<Item = Self>) -> Result<(), ActorError> {
        thread::scope(|scope| {
            let stopping = actors.into_iter().map(|actor| scope.spawn(|| actor.stop()));
            let stopping: Vec<_> = stopping.collect();
            let mut ended = stopping.into_iter().map(|one| one.join());
            ended.try_for_each(|ended| {
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }

    /// Lines of its log in which our own crates warn: in a scenario nothing unexpected happens.
    pub fn warnings(&self) -> Vec<String> {
        std::fs::read_to_string(self.home.join("lab.log"))
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains(" WARN starling") || line.contains(" ERROR starling"))
            .map(str::to_owned)
            .collect()
    }

    /// An error that says what this actor did wrong.
    pub fn story(&self, what: impl fmt::Display) -> ActorError {
        ActorError::Story(format!("{}: {what}{}", self.name, log_tail(&self.home)))
    }

    fn failed(&self, source: ControlError) -> ActorError {
        ActorError::Control {
            who: self.name.clone(),
            source,
            log: log_tail(&self.home),
        }
    }
}

fn log_tail(home: &Path) -> LogTail {
    let log = std::fs::read_to_string(home.join("lab.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    LogTail(lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n"))
}
