//! This profile becomes another device of an account: the side that reads the link (spec page `devices.md`). Owns the machine
//! `device::pairing::newcomer`. It has no session yet, so it stands behind a front door of its own, which the session opens again
//! with the same key once all is stored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::SigningKey;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::device::pairing::newcomer::{Newcomer, NewcomerEvent};
use starling_store::networks::{self, Joined};
use starling_store::{StoreError, Tx, own_set, profile, settings};
use starling_wire::alpn;
use starling_wire::pairing::{
    Doors, FROM_OWNER_MAX, Hello, PairingFrame, PairingLink, VerifiedWelcome,
};
use starling_wire::peer::LinkFrame;
use tokio::sync::mpsc;
use tracing::debug;

use crate::clock::{random, sleep_until, wall_ms};
use crate::context::store_failure;
use crate::identity::Identity;
use crate::node::{App, device_name};
use crate::session::card::TOLD_HOMES;
use crate::transport::front_door::FrontDoor;
use crate::transport::stream;

const INPUTS: usize = 16;

/// The attempt of now, and what became of the last one.
#[derive(Debug, Default)]
pub struct Joining(Mutex<Option<Attempt>>);

#[derive(Debug)]
struct Attempt {
    inputs: mpsc::Sender<Input>,
    view: view::Pairing,
}

#[derive(Debug)]
enum Input {
    /// What the person says about the words.
    Same(bool),
    /// A stream to the link's front door.
    Connected(u32, Connection, SendStream, RecvStream),
    Frame(u32, PairingFrame),
    Lost(u32),
}

impl Joining {
    /// As clients see it.
    pub fn view(&self) -> Option<view::Pairing> {
        self.lock().as_ref().map(|attempt| attempt.view.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Begins to join by a link. What comes of it is told as events.
    pub async fn join_device(
        self: &Arc<Self>,
        link: &str,
        name: Option<String>,
    ) -> Result<view::Pairing, Failure> {
        self.without_account()?;
        let link: PairingLink =
            link.trim()
                .parse()
                .map_err(|error: starling_wire::link::LinkError| {
                    Failure::new(ErrorKind::Usage, error.to_string())
                })?;
        let goes_on = |one: &Attempt| one.view.failed.is_none() && one.view.joined.is_none();
        if self.joining.lock().as_ref().is_some_and(goes_on) {
            let sentence = "this profile is joining already; cancel that first";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let (inputs, received) = mpsc::channel(INPUTS);
        let keys = Keys {
            device: SigningKey::from_bytes(&random()),
            door: random(),
        };
        let run = Run::begin(self, link, keys, name, inputs.clone());
        let run = run.await?;
        let view = view::Pairing::default();
        *self.joining.lock() = Some(Attempt {
            inputs,
            view: view.clone(),
        });
        tokio::spawn(run.run(received));
        Ok(view)
    }

    /// What the person says about the words on both screens.
    pub async fn answer_joining(&self, same: bool) -> Result<view::Pairing, Failure> {
        let nobody = || Failure::new(ErrorKind::State, "this profile is not joining an account");
        let inputs = self.joining.lock().as_ref().map(|one| one.inputs.clone());
        let inputs = inputs.ok_or_else(nobody)?;
        let shown = self.joining.view().is_some_and(|view| view.words.is_some());
        if same && !shown {
            let sentence = "there are no words to compare yet; wait until both devices show them";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        inputs.send(Input::Same(same)).await.map_err(|_| nobody())?;
        self.joining.view().ok_or_else(nobody)
    }

    /// Stores everything that came, in one transaction.
    async fn keep_welcome(
        &self,
        identity: &Identity,
        welcome: &VerifiedWelcome,
    ) -> Result<(), Failure> {
        let _one = self.changing.lock().await;
        self.without_account()?;
        let row = identity.to_profile();
        let joined = Joined {
            network: welcome.card.card().network,
            name: welcome.welcome.network.clone(),
            file: None,
            owner: None,
            supernodes: welcome.welcome.supernodes.clone(),
            joined_at: wall_ms(),
        };
        let keep = move |tx: &Tx<'_>| -> Result<(), StoreError> {
            profile::create(tx, &row)?;
            // What the set has comes from the other devices.
            own_set::settle(tx, None)?;
            // Contacts know nothing of this device: they are told of its homes the first time, too.
            settings::set(tx, TOLD_HOMES, "")?;
            if networks::list(tx)?.is_empty() {
                networks::join(tx, &joined)?;
            }
            Ok(())
        };
        self.db.write(keep).await.map_err(store_failure)
    }
}

struct Keys {
    device: SigningKey,
    door: [u8; 32],
}

/// One attempt.
struct Run {
    app: Arc<App>,
    door: Arc<FrontDoor>,
    link: PairingLink,
    keys: Keys,
    name: String,
    machine: Newcomer,
    inputs: mpsc::Sender<Input>,
    /// Number and sending half of the newest stream, and its connection.
    stream: Option<(Connection, SendStream)>,
    number: u32,
}

impl Run {
    async fn begin(
        app: &Arc<App>,
        link: PairingLink,
        keys: Keys,
        name: Option<String>,
        inputs: mpsc::Sender<Input>,
    ) -> Result<Self, Failure> {
        for supernode in &link.supernodes {
            app.pins.learn(supernode);
        }
        let (arrivals, _) = mpsc::channel(1);
        let home = link.supernodes.first().cloned();
        let (pins, proxy) = (app.pins.clone(), app.config.proxy.clone());
        let nobody = Arc::new(|_| None);
        let door = FrontDoor::open(&keys.door, pins, proxy, home, nobody, arrivals).await;
        let door = door.map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let doors = Doors {
            owner: link.door,
            newcomer: door.key(),
        };
        let number = random();
        let name = name.unwrap_or_else(device_name);
        let hello = Hello::new(&keys.device, name.clone(), &link.secret, doors, &number);
        let now = app.clock.now();
        let machine = Newcomer::new(link.secret.clone(), doors, hello, number, now);
        Ok(Self {
            app: Arc::clone(app),
            door: Arc::new(door),
            link,
            keys,
            name,
            machine,
            inputs,
            stream: None,
            number: 0,
        })
    }

    async fn run(mut self, mut received: mpsc::Receiver<Input>) {
        let joined = loop {
            if let Some(end) = self.drain().await {
                break end;
            }
            let wake = self.machine.poll_timeout();
            let wake = wake.map(|due| self.app.clock.instant(due.at));
            tokio::select! {
                Some(input) = received.recv() => self.handle(input),
                () = sleep_until(wake) => self.machine.handle_timeout(self.app.clock.now()),
            }
        };
        // Whoever asks from now on is told that nothing goes on.
        drop(received);
        self.flush().await;
        self.door.close().await;
        if let Some(identity) = joined {
            self.sign_in(*identity).await;
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.app.clock.now();
        match input {
            Input::Same(true) => self.machine.handle_confirm(),
            Input::Same(false) => self.machine.handle_cancel(),
            Input::Connected(number, connection, send, receive) if number == self.number => {
                self.stream = Some((connection, send));
                tokio::spawn(read(number, receive, self.inputs.clone()));
                self.machine.handle_connected();
            }
            Input::Frame(number, frame) if number == self.number => {
                self.machine.handle_frame(frame)
            }
            Input::Lost(number) if number == self.number => {
                self.stream = None;
                self.machine.handle_lost(now);
            }
            // Of a connection before this one.
            Input::Connected(..) | Input::Frame(..) | Input::Lost(_) => {}
        }
    }

    /// Carries out what the machine wants. Once it has come to an end: the new identity, if there is one.
    async fn drain(&mut self) -> Option<Option<Box<Identity>>> {
        let mut joined = None;
        while let Some(welcome) = self.machine.poll_persist() {
            let identity = self.identity(&welcome);
            if let Err(failure) = self.app.keep_welcome(&identity, &welcome).await {
                self.show(|view| view.failed = Some(failure.message.clone()));
                return Some(None);
            }
            joined = Some(Box::new(identity));
        }
        while let Some(frame) = self.machine.poll_transmit() {
            if let Some((_, send)) = &mut self.stream
                && let Err(error) = stream::write(send, &frame).await
            {
                debug!(%error, "the other device did not hear all of it");
            }
        }
        let mut end = None;
        while let Some(event) = self.machine.poll_event() {
            match event {
                NewcomerEvent::Dial => self.dial(),
                NewcomerEvent::Words(words) => {
                    self.show(|view| view.words = Some(words.to_string()));
                }
                NewcomerEvent::Joined => end = Some(joined.take()),
                NewcomerEvent::Failed(failure) => {
                    self.show(|view| view.failed = Some(failure.to_string()));
                    end = Some(None);
                }
            }
        }
        end
    }

    fn dial(&mut self) {
        self.number += 1;
        let (number, inputs) = (self.number, self.inputs.clone());
        let (door, link) = (Arc::clone(&self.door), self.link.clone());
        tokio::spawn(async move {
            let opened = async {
                let dialled = door.dial_at(link.door, &link.supernodes, alpn::LINK).await;
                let connection = dialled.ok()?;
                let (mut send, receive) = connection.open_bi().await.ok()?;
                stream::write(&mut send, &LinkFrame::Pair).await.ok()?;
                Some(Input::Connected(number, connection, send, receive))
            };
            let input = opened.await.unwrap_or(Input::Lost(number));
            let _ = inputs.send(input).await;
        });
    }

    /// As the account will know this device.
    fn identity(&self, welcome: &VerifiedWelcome) -> Identity {
        let (card, sent) = (welcome.card.card(), &welcome.welcome);
        let signing = sent.signing_key.as_ref();
        Identity {
            signing: signing.map(SigningKey::from_bytes),
            recovery_seed: None,
            device: self.keys.device.clone(),
            front_door_seed: self.keys.door,
            request_secret: sent.request_secret,
            earlier_requests: Vec::new(),
            name_hidden: card.name.is_empty(),
            discovery_key: card.discovery_key,
            chain: card.chain.clone(),
            seen: Some(welcome.card.signed().clone()),
            name: card.name.clone(),
            device_name: self.name.clone(),
            sequence: 0,
        }
    }

    /// The word that all was stored arrives before the door closes.
    async fn flush(&mut self) {
        if let Some((connection, mut send)) = self.stream.take() {
            stream::flush(&mut send).await;
            connection.close(0u32.into(), b"done");
        }
    }

    async fn sign_in(&self, identity: Identity) {
        let device = identity.device_id().to_string();
        let signed_in = async {
            self.app.apply_roles().await?;
            self.app.sign_in(identity).await
        };
        match signed_in.await {
            Ok(_) => self.show(|view| view.joined = Some(device)),
            Err(failure) => self.show(|view| view.failed = Some(failure.message.clone())),
        }
    }

    fn show(&self, change: impl FnOnce(&mut view::Pairing)) {
        let view = {
            let mut joining = self.app.joining.lock();
            let Some(attempt) = joining.as_mut() else {
                return;
            };
            change(&mut attempt.view);
            attempt.view.clone()
        };
        let _ = self.app.events.send(Event::Pairing(view));
    }
}

async fn read(number: u32, mut receive: RecvStream, inputs: mpsc::Sender<Input>) {
    while let Ok(Some(frame)) = stream::read::<PairingFrame>(&mut receive, FROM_OWNER_MAX).await {
        if inputs.send(Input::Frame(number, frame)).await.is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::Lost(number)).await;
}
