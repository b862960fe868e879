//! A node in this process: `starling node` in the foreground, the one that other commands start in the background, and what the
//! window and the sound test share with them.

use std::sync::{Arc, OnceLock};

use clap::Args;
use starling_control::{ErrorKind, Failure};
use starling_node::lock::LockError;
use starling_node::{ControlHandle, Node, NodeConfig, NodeError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::OnceCell;
use tokio::time::{Duration, timeout};
use tracing_subscriber::EnvFilter;

use super::profile::Settings;
use super::{Outcome, print};
use crate::window::Window;

/// Saying goodbye to everybody takes less; then the process goes anyway.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// The libraries' complaints about the net are not the reader's business unless asked for.
const LOG: &str = "off,starling=warn,starling_node=warn,starling_store=warn";

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Serve others of the joined network as a supernode and relay
    #[arg(long)]
    supernode: bool,
    /// Further TCP ports of the supernode, for people whose networks let nothing else out: 443,80
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    also_listen: Vec<u16>,
    /// Started by another command: outlives its terminal, opens a window when asked to
    #[arg(long, hide = true)]
    background: bool,
}

/// `starling node`
pub async fn run(settings: &Settings, args: &NodeArgs) -> Outcome {
    log();
    let mut signals = Signals::new(args.background)?;
    let mut config = settings.node_config();
    config.supernode = args.supernode;
    config.also_listen.clone_from(&args.also_listen);
    let window = args
        .background
        .then(|| Arc::new(WindowOnDemand::new(settings)));
    if let Some(window) = &window {
        config.window = Some(Arc::clone(window).hook());
    }
    let node = start(config).await?;
    if let Some(window) = &window {
        window.serve(node.control());
    }
    if !args.background {
        greet(settings, &node);
    }
    until_the_end(node, &mut signals).await;
    Ok(())
}

/// Logs go to standard error, as `STARLING_LOG` says.
pub fn log() {
    let filter = EnvFilter::try_from_env("STARLING_LOG").unwrap_or_else(|_| EnvFilter::new(LOG));
    // Only a test starts two in one process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}

/// Starts the node; what stands in the way is said in its own words.
pub async fn start(config: NodeConfig) -> Result<Node, Failure> {
    Node::start(config).await.map_err(|error| {
        let kind = match &error {
            NodeError::Lock(LockError::Taken) => ErrorKind::State,
            NodeError::Store(starling_node::StoreError::Newer { .. }) => ErrorKind::State,
            _ => ErrorKind::System,
        };
        Failure::new(kind, error.to_string())
    })
}

fn greet(settings: &Settings, node: &Node) {
    print::line(&format!(
        "Starling runs on the profile {}",
        settings.home.display()
    ));
    for listening in node.listening() {
        print::line(&format!("listens: {listening}"));
    }
    print::line("Ctrl-C ends it.");
}

/// Until a signal or a client ends the node.
pub async fn until_the_end(node: Node, signals: &mut Signals) {
    tokio::select! {
        () = node.wait() => {}
        () = signals.end() => {}
    }
    if timeout(STOP_WITHIN, node.stop()).await.is_err() {
        print::say("starling: not everybody could be told goodbye in time");
    }
}

/// What ends a process from outside.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    ignore_hangup: bool,
}

impl Signals {
    /// In the background the terminal's end is nobody's business.
    pub fn new(ignore_hangup: bool) -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(
                    ErrorKind::System,
                    format!("the system gives no signals: {error}"),
                )
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            ignore_hangup,
        })
    }

    /// Until one comes.
    pub async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => if !self.ignore_hangup { return },
            }
        }
    }
}

/// The page server of this process, started when the window is first asked for.
#[derive(Debug)]
pub struct WindowOnDemand {
    home: std::path::PathBuf,
    control: OnceLock<ControlHandle>,
    window: OnceCell<Window>,
}

impl WindowOnDemand {
    pub fn new(settings: &Settings) -> Self {
        Self {
            home: settings.home.clone(),
            control: OnceLock::new(),
            window: OnceCell::new(),
        }
    }

    /// From now on the node is there to be shown.
    pub fn serve(&self, control: ControlHandle) {
        // Set once: a process has one node.
        let _ = self.control.set(control);
    }

    /// A way into the window.
    pub async fn door(&self) -> Result<starling_control::view::WindowDoor, Failure> {
        let starting = || Failure::new(ErrorKind::State, "Starling is still starting; try again");
        let control = self.control.get().ok_or_else(starting)?;
        let trouble =
            |error: crate::window::WindowError| Failure::new(ErrorKind::System, error.to_string());
        let window = self
            .window
            .get_or_try_init(|| Window::start(control.clone(), &self.home))
            .await
            .map_err(trouble)?;
        window.door().map_err(trouble)
    }

    /// For the node's configuration.
    pub fn hook(self: Arc<Self>) -> starling_node::config::WindowHook {
        Arc::new(move || {
            let window = Arc::clone(&self);
            Box::pin(async move { window.door().await })
        })
    }
}
