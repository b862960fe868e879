//! The *Echo / Sound Test* node: an account of its own that serves one account only and sends back what it gets: sound, texts,
//! files. A node starts it when its owner opens that contact, and it ends when that node closes its standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use clap::Args;
use starling_control::command::Sound;
use starling_control::view::{
    self, Call, CallState, ContactRequest, Delivery, Message, Transfer, TransferState,
};
use starling_control::{Command, ErrorKind, Event, Failure};
use starling_node::{ControlHandle, Node};
use tokio::io::AsyncReadExt;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Duration, Instant, sleep};
use tracing::debug;

use super::Outcome;
use super::node::{self, Signals};
use super::print;
use super::profile::Settings;

const NAME: &str = "Echo / Sound Test";
/// Whoever started it waits a little longer.
const READY_WITHIN: Duration = Duration::from_secs(18);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Messages remembered as answered; a receipt makes an event of its own.
const ANSWERED_MAX: usize = 1024;

#[derive(Debug, Args)]
pub struct EchoBotArgs {
    /// The only account that is served
    #[arg(long = "for", value_name = "ACCOUNT")]
    account: String,
    /// A link into the network to join
    #[arg(long, value_name = "LINK")]
    network: String,
}

/// `starling echo-bot`
pub async fn run(settings: &Settings, args: &EchoBotArgs) -> Outcome {
    node::log();
    let mut signals = Signals::new(false)?;
    let mut config = settings.node_config();
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.lan_discovery = false;
    config.tones = false;
    config.echo_program = None;
    let node = node::start(config).await?;
    let served = serve(&node, args);
    let done = tokio::select! {
        done = served => done,
        () = input_closed() => Ok(()),
        () = signals.end() => Ok(()),
        () = node.wait() => Ok(()),
    };
    node.stop().await;
    done
}

async fn input_closed() {
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 64];
    while matches!(input.read(&mut buffer).await, Ok(bytes) if bytes > 0) {}
}

async fn serve(node: &Node, args: &EchoBotArgs) -> Outcome {
    let control = node.control();
    let events = control.events();
    let link = get_ready(&control, &args.network).await?;
    print::line(&format!("link: {link}"));
    let mut bot = Bot {
        control,
        account: args.account.clone(),
        answered: BTreeSet::new(),
        sent_back: BTreeMap::new(),
    };
    bot.catch_up().await?;
    bot.run(events).await
}

/// Joins, makes its account the first time, and waits until it can be reached.
async fn get_ready(control: &ControlHandle, network: &str) -> Result<String, Failure> {
    control
        .call(Command::NetworkJoin {
            source: network.to_owned(),
        })
        .await?;
    let account: Option<view::Account> = control.ask(Command::AccountShow {}).await?;
    if account.is_none() {
        control
            .call(Command::AccountCreate {
                name: NAME.to_owned(),
            })
            .await?;
    }
    // It never does anything of its own accord, and is there all the same.
    let there = view::PresenceChange {
        choice: Some(view::PresenceChoice::Online),
        ..view::PresenceChange::default()
    };
    control.call(Command::PresenceSet(there)).await?;
    let alone = view::CallChoice {
        waiting: Some(false),
        ..view::CallChoice::default()
    };
    control.call(Command::CallSet(alone)).await?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let status: view::Status = control.ask(Command::Status {}).await?;
        if status
            .supernode
            .is_some_and(|supernode| supernode.connected)
        {
            let own: view::OwnLink = control.ask(Command::ContactLink {}).await?;
            return Ok(own.link);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                ErrorKind::Unreachable,
                "the sound test found no supernode",
            ));
        }
        sleep(LOOK_EVERY).await;
    }
}

struct Bot {
    control: ControlHandle,
    account: String,
    answered: BTreeSet<String>,
    /// The received file by the id of the transfer that sends it back.
    sent_back: BTreeMap<String, String>,
}

impl Bot {
    async fn run(&mut self, mut events: broadcast::Receiver<Event>) -> Outcome {
        loop {
            match events.recv().await {
                Ok(Event::Lagged) | Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Ok(event) => self.react(event).await,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// What happened before the first event, or was missed.
    async fn catch_up(&mut self) -> Outcome {
        let requests: Vec<ContactRequest> = self.control.ask(Command::ContactRequests {}).await?;
        for request in requests {
            self.react(Event::Request(request)).await;
        }
        let transfers: Vec<Transfer> = self.control.ask(Command::FileList {}).await?;
        for transfer in transfers
            .into_iter()
            .filter(|transfer| transfer.state == TransferState::Offered)
        {
            self.react(Event::Transfer(transfer)).await;
        }
        Ok(())
    }

    async fn react(&mut self, event: Event) {
        let done = match event {
            Event::Request(request) => self.request(request).await,
            Event::Message(message) => self.message(message).await,
            Event::Call(call) => self.call(call).await,
            Event::Transfer(transfer) => self.transfer(transfer).await,
            _ => Ok(()),
        };
        if let Err(failure) = done {
            debug!(%failure, "the sound test could not answer");
        }
    }

    async fn request(&mut self, request: ContactRequest) -> Outcome {
        let id = request.id;
        let answer = if id == self.account {
            Command::ContactAccept { id }
        } else {
            Command::ContactDecline { id }
        };
        self.control.call(answer).await.map(drop)
    }

    async fn message(&mut self, message: Message) -> Outcome {
        let theirs = !message.outgoing
            && message.delivery == Delivery::Received
            && message.contact == self.account;
        if !theirs || !self.answered.insert(message.id) {
            return Ok(());
        }
        if self.answered.len() > ANSWERED_MAX {
            self.answered.clear();
        }
        let send = Command::ChatSend {
            who: message.contact,
            text: message.text,
        };
        self.control.call(send).await.map(drop)
    }

    async fn call(&mut self, call: Call) -> Outcome {
        if call.outgoing || call.state != CallState::Ringing || call.contact != self.account {
            return Ok(());
        }
        let sound = Sound {
            echo: true,
            ..Sound::default()
        };
        self.control
            .call(Command::CallAnswer {
                id: Some(call.id),
                sound,
            })
            .await
            .map(drop)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Outcome {
        if transfer.contact != self.account {
            return Ok(());
        }
        match (transfer.outgoing, transfer.state) {
            (false, TransferState::Offered) => {
                let accept = Command::FileAccept {
                    id: transfer.id,
                    to: None,
                };
                self.control.call(accept).await.map(drop)
            }
            (false, TransferState::Done) => self.send_back(transfer).await,
            (true, TransferState::Done | TransferState::Cancelled | TransferState::Failed) => {
                if let Some(path) = self.sent_back.remove(&transfer.id) {
                    remove(&path);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn send_back(&mut self, received: Transfer) -> Outcome {
        let Some(path) = received.path else {
            return Ok(());
        };
        if self.sent_back.values().any(|known| *known == path) || !self.answered.insert(received.id)
        {
            return Ok(());
        }
        let send = Command::FileSend {
            who: received.contact,
            path: path.clone(),
        };
        let sent: Transfer = self.control.ask(send).await?;
        self.sent_back.insert(sent.id, path);
        Ok(())
    }
}

fn remove(path: &str) {
    if let Err(error) = std::fs::remove_file(Path::new(path)) {
        debug!(%error, "the sound test could not remove a file");
    }
}
