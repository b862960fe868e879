//! A scripted peer behind the window: the other end of the local API, with Alice's profile as fixture. It stands for the node
//! in tests of pages, where hostile names and every state must be on hand; `window_browser` says where the real one is used.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json, to_value};
use starling::window::Window;
use starling_control::view::*;
use starling_control::{Command, ErrorKind, Event, Failure};
use starling_node::control::handle::{self, ControlRequest};
use tempfile::TempDir;
use tokio::sync::broadcast;

/// A noon in November 2026.
pub const NOON: u64 = 1_795_521_600_000;
pub const ALICE: &str = "alice0aaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const BOB: &str = "bob00bbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub const CAROL: &str = "carol0cccccccccccccccccccccccccc";
pub const LINK: &str = "starling:aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qcaireeyu";

/// What the peer answers with; a test changes it at will.
#[derive(Debug, Default)]
pub struct Script {
    pub status: Status,
    pub contacts: Vec<Contact>,
    pub earlier: Vec<Contact>,
    pub requests: Vec<ContactRequest>,
    pub messages: Vec<Message>,
    pub transfers: Vec<Transfer>,
    pub calls: Vec<Call>,
    pub own_link: OwnLink,
    pub devices: Vec<Device>,
    pub pairing: Option<Pairing>,
    pub found: Vec<FoundName>,
    pub own_names: Vec<OwnName>,
    pub check: NameCheck,
    pub profile: OwnProfile,
    pub avatar: Avatar,
    pub owner: Owner,
    /// Whether every passphrase is wrong.
    pub refuses_restore: bool,
    /// Whether a file that is to be sent is read for ever, or until the test answers.
    pub reads_slowly: bool,
    /// What waits for that.
    pub reading: Vec<ControlRequest>,
    /// All that was asked.
    pub asked: Vec<Command>,
}

/// Of a network's owner, of whoever moves, and of the machine's sound.
#[derive(Debug, Default)]
pub struct Owner {
    pub office: NameOffice,
    pub carried: Vec<CarriedContact>,
    pub processing: Processing,
    /// How many more contacts may be asked; any number if absent.
    pub asks_left: Option<u32>,
    pub audio: Audio,
    pub level: AudioMeter,
    pub test: AudioTest,
}

/// A window with the peer behind it.
pub struct Stage {
    pub window: Window,
    pub home: TempDir,
    script: Arc<Mutex<Script>>,
    events: broadcast::Sender<Event>,
}

impl Stage {
    pub async fn set(script: Script) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (control, inbox) = handle::channel();
        let script = Arc::new(Mutex::new(script));
        let window = Window::start(control, home.path()).await.unwrap();
        let events = inbox.events.clone();
        let mut requests = inbox.requests;
        let (shared, sender) = (Arc::clone(&script), events.clone());
        tokio::spawn(async move {
            while let Some(ControlRequest { command, answer }) = requests.recv().await {
                let mut script = shared.lock().unwrap();
                if script.reads_slowly && matches!(command, Command::FileSend { .. }) {
                    script.reading.push(ControlRequest { command, answer });
                    continue;
                }
                drop(script);
                let reply = shared.lock().unwrap().answer(command, &sender);
                // The window may have given up waiting.
                let _ = answer.send(reply);
            }
        });
        Self {
            window,
            home,
            script,
            events,
        }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub fn tell(&self, event: Event) {
        self.events.send(event).expect("a page listens");
    }

    pub fn asked(&self, wanted: &Command) -> bool {
        self.script().asked.contains(wanted)
    }
}

impl Script {
    fn answer(
        &mut self,
        command: Command,
        events: &broadcast::Sender<Event>,
    ) -> Result<Value, Failure> {
        self.asked.push(command.clone());
        let reply = match command {
            Command::Status {} => to_value(&self.status),
            Command::AccountCreate { name } => {
                self.status.account = Some(account(&name));
                to_value(&self.status.account)
            }
            Command::NetworkShow {} => to_value(&self.status.network),
            Command::NetworkInit { name, .. } => to_value(network_made(&name)),
            Command::ContactList {} => to_value(&self.contacts),
            Command::ContactEarlier {} => to_value(&self.earlier),
            Command::ContactRequests {} => to_value(&self.requests),
            Command::ContactLink {} => to_value(&self.own_link),
            Command::ContactPreview { link } => return preview(&link),
            Command::ContactAdd { .. } => to_value(self.add_dora(events)),
            Command::ContactAccept { id } => {
                self.requests.retain(|request| request.id != id);
                let known = contact(&id, "Carol", Presence::Online);
                self.contacts.push(known.clone());
                let _ = events.send(Event::RequestGone(id));
                to_value(known)
            }
            Command::DeviceList {} => to_value(&self.devices),
            Command::DevicePairing {} => to_value(&self.pairing),
            Command::Search { .. } => to_value(&self.found),
            Command::NameShow {} => to_value(&self.own_names),
            Command::NameVerify { .. } => to_value(&self.check),
            Command::EchoOpen {} => {
                let echo = Contact {
                    echo: true,
                    ..contact("echo0", "Echo / Sound Test", Presence::Online)
                };
                self.contacts.push(echo.clone());
                to_value(echo)
            }
            Command::ChatLog { who, before, limit } => {
                to_value(self.log(&who, before.as_deref(), limit))
            }
            Command::ChatSend { who, text } => to_value(self.send(&who, &text, events)),
            Command::CallList { .. } => to_value(&self.calls),
            Command::CallStart { .. } => {
                return Err(Failure::new(
                    ErrorKind::State,
                    "you are in a call already; hang up first",
                ));
            }
            Command::AccountRestore { .. } if self.refuses_restore => {
                return Err(Failure::new(ErrorKind::Refused, "the passphrase is wrong"));
            }
            Command::FileList {} => to_value(&self.transfers),
            Command::FileSend { who, path } => to_value(self.send_file(&who, path, events)),
            other => self.answer_owner(&other),
        };
        Ok(reply.expect("fixtures are plain data"))
    }

    fn answer_owner(&mut self, command: &Command) -> serde_json::Result<Value> {
        match command {
            Command::RegistrarShow {} => to_value(&self.owner.office),
            Command::RegistrarInvite { .. } => to_value(["golden", "silver"]),
            Command::ContactExport {} => to_value(&self.owner.carried),
            Command::ContactImport { .. } => to_value(self.import()),
            other => self.about_profiles(other),
        }
    }

    fn about_profiles(&self, command: &Command) -> serde_json::Result<Value> {
        match command {
            Command::ProfileShow {} | Command::ProfileSet(_) => to_value(&self.profile),
            Command::ProfileAvatar { .. } => to_value(&self.avatar),
            Command::CallSettings {} => to_value(call_settings()),
            Command::CallShow { id } => to_value(self.calls.iter().find(|call| call.id == *id)),
            Command::ProcessingShow {} | Command::ProcessingSet(_) => {
                to_value(self.owner.processing)
            }
            Command::AudioDevices {} | Command::AudioUse(_) => to_value(&self.owner.audio),
            Command::AudioMeter {} => to_value(&self.owner.level),
            Command::AudioTest {} | Command::AudioTestState {} => to_value(&self.owner.test),
            _ => Ok(Value::Null),
        }
    }

    const fn import(&mut self) -> Imported {
        match &mut self.owner.asks_left {
            Some(0) => return Imported::Wait,
            Some(left) => *left -= 1,
            None => {}
        }
        Imported::Asked
    }

    fn add_dora(&mut self, events: &broadcast::Sender<Event>) -> Contact {
        let id = "dora0dddddddddddddddddddddddddddd";
        let dora = contact(id, "Dora", Presence::Online);
        self.contacts.push(dora.clone());
        let _ = events.send(Event::Contact(dora.clone()));
        dora
    }

    fn log(&self, who: &str, before: Option<&str>, limit: Option<u32>) -> Vec<Message> {
        let mut all: Vec<Message> = self
            .messages
            .iter()
            .filter(|m| m.contact == who)
            .cloned()
            .collect();
        if let Some(end) = before.and_then(|id| all.iter().position(|m| m.id == id)) {
            all.truncate(end);
        }
        let limit = limit.unwrap_or(50) as usize;
        all.split_off(all.len().saturating_sub(limit))
    }

    /// As a node would: stored, then on its way, then delivered if the contact is there.
    fn send(&mut self, who: &str, text: &str, events: &broadcast::Sender<Event>) -> Message {
        let name = self
            .contacts
            .iter()
            .find(|c| c.id == who)
            .map(|c| c.title().to_owned())
            .unwrap_or_default();
        let at = NOON + self.messages.len() as u64 * 1000;
        let mut sent = message(
            &format!("sent{}", self.messages.len()),
            who,
            &name,
            true,
            text,
            at,
        );
        sent.delivery = Delivery::Sending;
        let _ = events.send(Event::Message(sent.clone()));
        sent.delivery = Delivery::Delivered;
        let _ = events.send(Event::Message(sent.clone()));
        self.messages.push(sent.clone());
        sent
    }

    fn send_file(
        &mut self,
        who: &str,
        path: String,
        events: &broadcast::Sender<Event>,
    ) -> Transfer {
        let size = std::fs::metadata(&path)
            .expect("the window stored it")
            .len();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let transfer = Transfer {
            id: format!("up{}", self.transfers.len()),
            contact: who.into(),
            who: "Bob".into(),
            outgoing: true,
            name,
            size,
            path: Some(path),
            at: NOON + 500_000,
            ..Transfer::default()
        };
        self.transfers.push(transfer.clone());
        let _ = events.send(Event::Transfer(transfer.clone()));
        transfer
    }
}

fn preview(link: &str) -> Result<Value, Failure> {
    if !link.starts_with("starling:") {
        let words = "this is not a Starling link; a Starling link begins with \"starling:\"";
        return Err(Failure::new(ErrorKind::Usage, words));
    }
    Ok(json!({
        "kind": "account", "account": "dora0dddddddddddddddddddddddddddd", "network": null,
        "supernodes": ["192.0.2.9:27474"], "relation": "new",
    }))
}

fn network_made(name: &str) -> NetworkMade {
    let network = Network {
        name: name.into(),
        owner: true,
        ..Network::default()
    };
    NetworkMade {
        network,
        file: "[network]\nname = \"x\"\n".into(),
        link: LINK.into(),
        notes: Vec::new(),
    }
}

fn call_settings() -> CallSettings {
    CallSettings {
        waiting: true,
        forward_after: 20,
        ..CallSettings::default()
    }
}

pub fn account(name: &str) -> Account {
    let (id, device) = (ALICE.into(), "device0".into());
    Account {
        id,
        name: name.into(),
        device,
        device_name: "laptop".into(),
    }
}

pub fn contact(id: &str, name: &str, presence: Presence) -> Contact {
    Contact {
        id: id.into(),
        name: name.into(),
        presence,
        ..Contact::default()
    }
}

pub fn message(id: &str, contact: &str, who: &str, outgoing: bool, text: &str, at: u64) -> Message {
    Message {
        id: id.into(),
        contact: contact.into(),
        who: who.into(),
        outgoing,
        text: text.into(),
        sent_at: at,
        stored_at: at,
        delivery: if outgoing {
            Delivery::Delivered
        } else {
            Delivery::Received
        },
        delivered_at: None,
    }
}

/// Alice, with Bob as a contact and nothing said yet.
pub fn alice() -> Script {
    Script {
        status: Status {
            version: "0.1.0".into(),
            home: "/home/alice/.local/share/starling".into(),
            account: Some(account("Alice")),
            ..Status::default()
        },
        contacts: vec![contact(BOB, "Bob", Presence::Online)],
        own_link: OwnLink {
            link: LINK.into(),
            warnings: Vec::new(),
        },
        ..Script::default()
    }
}
