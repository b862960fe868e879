//! The side that shows the link for a new device. Nothing is signed before a person has said that the words are the same; what is signed
//! is on disk before the new device hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::device::pairing::owner::{Owner, OwnerCommand, OwnerEvent, VALID};
use starling_protocol::machine::Time;
use starling_store::{StoreError, networks, own_set, profile};
use starling_wire::account::{AccountError, Change};
use starling_wire::card::VerifiedCard;
use starling_wire::frame;
use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::limits::{DEVICES_MAX, SUPERNODES_MAX};
use starling_wire::network::SUPERNODES_IN_FILE_MAX;
use starling_wire::pairing::{
    EndReason, FROM_NEWCOMER_MAX, PairingFrame, PairingLink, Secret, Welcome,
};
use tokio::sync::{Mutex, mpsc};
use tracing::debug;

use super::Devices;
use crate::clock::{random, sleep_until, wall_s};
use crate::context::{Context, store_failure};
use crate::identity::Identity;
use crate::transport::stream;

/// Frames for one front door that wait; an exchange has a handful.
const OUTBOX: usize = 8;
const ALREADY: &str = "a new device waits for your answer about its words; say yes or no first";

/// The link of now, and what became of the last one.
#[derive(Debug, Default)]
pub struct Pairings(Mutex<Option<Pairing>>);

#[derive(Debug)]
struct Pairing {
    owner: Owner,
    /// The new device is to hold the account's key, too.
    marked: bool,
    /// The device whose words are shown.
    newcomer: Option<(DeviceId, String)>,
    /// Its streams, the newest of each front door.
    streams: BTreeMap<EndpointKey, mpsc::Sender<PairingFrame>>,
    view: view::Pairing,
}

impl Pairings {
    /// As clients see it.
    pub async fn view(&self) -> Option<view::Pairing> {
        let pairing = self.0.lock().await;
        pairing.as_ref().map(|pairing| pairing.view.clone())
    }
}

impl Pairing {
    fn goes_on(&self) -> bool {
        self.view.failed.is_none() && self.view.joined.is_none()
    }

    /// What the machine says, to the streams and to clients. Whether clients see something else now.
    fn drain(&mut self) -> bool {
        while let Some(transmit) = self.owner.poll_transmit() {
            if let Some(stream) = self.streams.get(&transmit.to) {
                let _ = stream.try_send(transmit.frame);
            }
        }
        let mut told = false;
        while let Some(event) = self.owner.poll_event() {
            told = true;
            self.happened(event);
        }
        told
    }

    fn happened(&mut self, event: OwnerEvent) {
        match event {
            OwnerEvent::Words {
                words,
                name,
                device,
            } => {
                self.view.words = Some(words.to_string());
                self.view.device_name = Some(name.clone());
                self.newcomer = Some((device, name));
            }
            OwnerEvent::Joined(device) => self.view.joined = Some(device.to_string()),
            OwnerEvent::Failed(failure) => self.view.failed = Some(failure.to_string()),
            OwnerEvent::Refused(EndReason::Used) => {
                let sentence = "another device tried this link, too; if it was not yours, say no and make a new one";
                self.view.note = Some(sentence.to_owned());
            }
            OwnerEvent::Refused(reason) => debug!(%reason, "somebody was refused"),
        }
    }
}

impl Devices {
    /// Makes a link for a new device; it is valid for ten minutes.
    pub async fn add(self: &Arc<Self>, marked: bool) -> Result<view::Pairing, Failure> {
        let ctx = &self.ctx;
        can_sign(ctx, "add devices")?;
        let account = ctx.identity.get().chain.verify().map_err(broken)?;
        if account.devices().len() >= DEVICES_MAX {
            let sentence =
                format!("an account has at most {DEVICES_MAX} devices; remove one first");
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let mut supernodes = ctx.home_list();
        supernodes.truncate(SUPERNODES_MAX);
        if supernodes.is_empty() {
            let sentence = "this device knows no supernode through which a new device could reach it; join a network first";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let secret = Secret::new(random());
        let link = PairingLink {
            secret: secret.clone(),
            door: ctx.door.key(),
            supernodes,
        };
        let now = ctx.clock.now();
        let view = view::Pairing {
            link: Some(link.to_string()),
            ..view::Pairing::default()
        };
        {
            let mut pairing = self.pairings.0.lock().await;
            let busy = |one: &Pairing| one.goes_on() && one.newcomer.is_some();
            if pairing.as_ref().is_some_and(busy) {
                return Err(Failure::new(ErrorKind::State, ALREADY));
            }
            *pairing = Some(Pairing {
                owner: Owner::new(ctx.door.key(), secret, random(), now),
                marked,
                newcomer: None,
                streams: BTreeMap::new(),
                view: view.clone(),
            });
        }
        ctx.book.admit_strangers(true);
        let devices = Arc::downgrade(self);
        self.spawn(async move {
            while let Some(devices) = devices.upgrade() {
                let Some(wake) = devices.pairing_wake().await else {
                    return devices.shut_out();
                };
                let wake = devices.ctx.clock.instant(wake);
                drop(devices);
                sleep_until(Some(wake)).await;
            }
        });
        Ok(view)
    }

    /// Looks at the time; when to look again.
    async fn pairing_wake(&self) -> Option<Time> {
        let now = self.ctx.clock.now();
        let wake = self.with_pairing(|pairing| {
            pairing.owner.handle_timeout(now);
            // Whoever comes late hears why, as long as the link would have been valid.
            let due = pairing.owner.poll_timeout().map(|due| due.at);
            due.or_else(|| pairing.owner.admits(now).then(|| now + VALID / 60))
        });
        wake.await.flatten()
    }

    /// Nobody may knock any more whom we do not know.
    fn shut_out(&self) {
        self.ctx.book.admit_strangers(false);
    }

    /// Acts on the pairing and carries out what comes of it.
    async fn with_pairing<T>(&self, act: impl FnOnce(&mut Pairing) -> T) -> Option<T> {
        let mut pairing = self.pairings.0.lock().await;
        let pairing = pairing.as_mut()?;
        let value = act(pairing);
        if pairing.drain() {
            self.ctx.emit(Event::Pairing(pairing.view.clone()));
        }
        Some(value)
    }

    /// The person says that the words are the same: the device is added.
    pub async fn confirm(self: &Arc<Self>) -> Result<view::Pairing, Failure> {
        let waits = {
            let pairing = self.pairings.0.lock().await;
            let pairing = pairing.as_ref().filter(|pairing| pairing.goes_on());
            pairing.and_then(|pairing| Some((pairing.newcomer.clone()?, pairing.marked)))
        };
        let ((device, name), owner) = waits.ok_or_else(nobody_waits)?;
        let change = Change::AddDevice {
            device,
            name,
            owner,
        };
        let signed = signed(&self.ctx, change).await?;
        let welcome = self.welcome(&signed, owner).await.map_err(store_failure)?;
        let now = self.ctx.clock.now();
        let command = OwnerCommand::Confirm(Box::new(welcome));
        // Held until it is on disk: nobody hears of it before, and the machine hears of nobody.
        let mut pairing = self.pairings.0.lock().await;
        let pairing = pairing.as_mut().ok_or_else(nobody_waits)?;
        let confirmed = pairing.owner.handle_command(command, now);
        let added = pairing.owner.poll_persist();
        confirmed.map_err(|error| Failure::new(ErrorKind::State, error.to_string()))?;
        let added = added.ok_or_else(nobody_waits)?;
        let set = Arc::clone(&self.ctx.own_set);
        let kept = self.ctx.db.write(move |tx| {
            own_set::door_joined(tx, added.device, added.door)?;
            set.signed(tx, signed)
        });
        let kept = kept.await;
        let kept = match kept {
            Ok(()) => self.doors().await,
            Err(error) => Err(error),
        };
        pairing.drain();
        self.ctx.emit(Event::Pairing(pairing.view.clone()));
        kept.map_err(store_failure)?;
        Ok(pairing.view.clone())
    }

    /// They are not, or something else is.
    pub async fn cancel(&self) -> Result<view::Pairing, Failure> {
        let now = self.ctx.clock.now();
        let cancelled = self.with_pairing(|pairing| {
            let cancelled = pairing.owner.handle_command(OwnerCommand::Cancel, now);
            cancelled.map(|()| pairing.view.clone())
        });
        let cancelled = cancelled.await.ok_or_else(nobody_waits)?;
        cancelled.map_err(|error| Failure::new(ErrorKind::State, error.to_string()))?;
        self.pairings.view().await.ok_or_else(nobody_waits)
    }

    async fn welcome(&self, card: &VerifiedCard, owner: bool) -> Result<Welcome, StoreError> {
        let identity = self.ctx.identity.get();
        let joined = self.ctx.db.read(networks::list).await?.into_iter().next();
        let mut supernodes = self.ctx.home_list();
        for supernode in self.ctx.homes().supernodes {
            if supernodes.len() < SUPERNODES_IN_FILE_MAX && !supernodes.contains(&supernode) {
                supernodes.push(supernode);
            }
        }
        Ok(Welcome {
            card: card.signed().clone(),
            request_secret: identity.request_secret,
            signing_key: identity
                .signing
                .as_ref()
                .filter(|_| owner)
                .map(|key| key.to_bytes()),
            network: joined.map_or_else(String::new, |joined| joined.name),
            supernodes,
        })
    }

    /// The account is as this card says: on disk, and told to everybody.
    pub(super) async fn keep(&self, card: VerifiedCard) -> Result<(), Failure> {
        let set = Arc::clone(&self.ctx.own_set);
        let kept = self.ctx.db.write(move |tx| set.signed(tx, card));
        kept.await.map_err(store_failure)
    }

    /// Somebody who has the link, or guesses.
    pub(super) async fn pair(
        &self,
        key: EndpointKey,
        connection: Connection,
        send: SendStream,
        mut receive: RecvStream,
    ) {
        let (stream, outbox) = mpsc::channel(OUTBOX);
        let known = self.with_pairing(|pairing| pairing.streams.insert(key, stream));
        if known.await.is_none() {
            return connection.close(1u32.into(), b"no link");
        }
        let writing = tokio::spawn(write(send, outbox));
        while let Ok(Some(frame)) =
            stream::read::<PairingFrame>(&mut receive, FROM_NEWCOMER_MAX).await
        {
            let ends = matches!(frame, PairingFrame::Kept | PairingFrame::End(_));
            let now = self.ctx.clock.now();
            self.with_pairing(|pairing| pairing.owner.handle_frame(key, frame, now))
                .await;
            if ends {
                break;
            }
        }
        self.with_pairing(|pairing| pairing.streams.remove(&key))
            .await;
        let _ = tokio::time::timeout(stream::FLUSH_TIME, writing).await;
        connection.close(0u32.into(), b"done");
    }
}

async fn write(mut send: SendStream, mut outbox: mpsc::Receiver<PairingFrame>) {
    while let Some(frame) = outbox.recv().await {
        let last = matches!(frame, PairingFrame::End(_));
        if stream::write_bytes(&mut send, &frame::encode(&frame))
            .await
            .is_err()
        {
            return;
        }
        if last {
            break;
        }
    }
    stream::flush(&mut send).await;
}

/// A card with a history that goes on with this change.
pub(super) async fn signed(ctx: &Context, change: Change) -> Result<VerifiedCard, Failure> {
    let mut identity = Identity::clone(&ctx.identity.get());
    let Some(key) = identity.signing.clone() else {
        return Err(cannot_sign("change the list of devices"));
    };
    identity.chain.append(&key, change);
    card_of(ctx, &identity).await
}

/// What contacts are to get, checked as they check it.
pub(super) async fn card_of(ctx: &Context, identity: &Identity) -> Result<VerifiedCard, Failure> {
    let sequence = ctx.db.write(|tx| profile::next_sequence(tx, wall_s()));
    let sequence = sequence.await.map_err(store_failure)?;
    let card = identity.card(sequence, &ctx.home_list(), ctx.homes().network);
    let card = card.verify();
    card.map_err(|error| Failure::new(ErrorKind::State, error.to_string()))
}

/// A failure where this device holds no key of the account.
pub(super) fn can_sign(ctx: &Context, what: &str) -> Result<(), Failure> {
    if ctx.identity.get().can_sign() {
        return Ok(());
    }
    Err(cannot_sign(what))
}

fn cannot_sign(what: &str) -> Failure {
    let sentence = format!(
        "this device does not hold the account's key and cannot {what}; do it on a device that is marked as owner"
    );
    Failure::new(ErrorKind::State, sentence)
}

fn nobody_waits() -> Failure {
    Failure::new(ErrorKind::State, "no new device waits to be added")
}

pub(super) fn broken(error: AccountError) -> Failure {
    Failure::new(ErrorKind::State, error.to_string())
}
