//! Own devices: what they tell each other of the set ([`crate::own_set`]), and how another one joins ([`owner`]). Owns the links and
//! the machine `device::pairing::owner`; decisions are `protocol::device`.

mod effects;
mod link;
mod list;
pub mod owner;
mod recover;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::device::sync::SyncEvent;
use starling_wire::alpn;
use starling_wire::ids::{DeviceId, EndpointKey};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use self::link::Links;
use self::owner::Pairings;
use super::people::People;
use super::records::Records;
use super::registration::Registrar;
use super::turns::Turns;
use crate::context::{Context, Signal};
use crate::transport::front_door::Visitor;

/// The first try to reach a device that did not answer, and the longest wait between two.
const REDIAL: Duration = Duration::from_secs(1);
const REDIAL_MAX: Duration = Duration::from_secs(60);
/// Connections of one front door, and of all, that have not said yet what they are for.
const OPENING_OF_ONE: usize = 4;
const OPENING_MAX: usize = 32;

/// The other devices of one account.
#[derive(Debug)]
pub struct Devices {
    ctx: Arc<Context>,
    people: Arc<People>,
    records: Records,
    registrar: Arc<Registrar>,
    links: Links,
    opening: Turns<EndpointKey>,
    dialling: Mutex<BTreeMap<DeviceId, AbortHandle>>,
    tasks: Mutex<JoinSet<()>>,
    /// Links for new devices.
    pub pairings: Pairings,
}

impl Devices {
    /// Of a session.
    pub fn new(
        ctx: Arc<Context>,
        people: Arc<People>,
        records: Records,
        registrar: Arc<Registrar>,
    ) -> Self {
        Self {
            ctx,
            people,
            records,
            registrar,
            links: Links::default(),
            opening: Turns::new(OPENING_OF_ONE, OPENING_MAX),
            dialling: Mutex::default(),
            tasks: Mutex::default(),
            pairings: Pairings::default(),
        }
    }

    /// Carries out what the set wants, as long as the session lives.
    pub async fn run(self: Arc<Self>) {
        self.look_for_all();
        loop {
            self.ctx.own_set.news().await;
            let waiting = self.ctx.own_set.take();
            for transmit in waiting.transmits {
                self.links.send(transmit.link, &transmit.frame);
            }
            for effect in waiting.effects {
                self.carry_out(effect).await;
            }
            for event in waiting.events {
                self.happened(event).await;
            }
        }
    }

    async fn happened(self: &Arc<Self>, event: SyncEvent) {
        match event {
            SyncEvent::Reach(device) => self.look_for(device),
            SyncEvent::Close(link) => self.links.close(link),
            SyncEvent::Refused(device, refusal) => {
                debug!(device = %device.short(), %refusal, "something of another own device was not followed");
            }
            SyncEvent::ClockApart(device) => self.ctx.identity.note_clock_apart(device),
            SyncEvent::Revoked => {
                self.ctx.identity.revoke();
                self.ctx.signal(Signal::Revoked);
            }
        }
    }

    /// A connection to the front door from a device of ours, one that was, or somebody with a link.
    pub fn arrived(self: &Arc<Self>, visitor: Visitor, key: EndpointKey, connection: Connection) {
        let Some(turn) = self.opening.take(key) else {
            return connection.close(1u32.into(), b"too many");
        };
        let devices = Arc::clone(self);
        self.spawn(async move {
            devices.admit(visitor, key, connection).await;
            drop(turn);
        });
    }

    /// We are at home, perhaps elsewhere than before: the other devices hear where.
    pub async fn at_home(self: &Arc<Self>) {
        let identity = self.ctx.identity.get();
        let device = identity.device_id();
        let doors = identity.seen.iter().flat_map(|seen| &seen.doors);
        let known = doors.filter(|door| door.device == device);
        let homes = self.ctx.home_list();
        if known.map(|door| &door.home).all(|known| *known != homes) {
            let moved = owner::card_of(&self.ctx, &identity).await;
            let kept = async { self.keep(moved?).await };
            if let Err(failure) = kept.await {
                debug!(%failure, "the other devices could not be told of the new home");
            }
        }
        self.look_for_all();
    }

    /// Our other devices are looked for at once: we are at home, perhaps elsewhere than before.
    pub fn look_for_all(self: &Arc<Self>) {
        for device in self.ctx.book.own_devices() {
            if let Some(before) = self.dialling().remove(&device) {
                before.abort();
            }
            self.look_for(device);
        }
    }

    fn look_for(self: &Arc<Self>, device: DeviceId) {
        let mut dialling = self.dialling();
        let busy = dialling
            .get(&device)
            .is_some_and(|task| !task.is_finished());
        if busy || self.links.has(device) {
            return;
        }
        let devices = Arc::downgrade(self);
        let task = self.spawn(seek(devices, device));
        dialling.insert(device, task);
    }

    async fn dial(self: &Arc<Self>, device: DeviceId) -> Sought {
        if self.links.has(device) {
            return Sought::Over;
        }
        let Some(door) = self.ctx.book.own_door(device) else {
            return Sought::Over;
        };
        match self.ctx.door.dial(&door, alpn::LINK).await {
            Ok(connection) => match self.open(device, connection).await {
                Some(()) => Sought::Over,
                None => Sought::Missed,
            },
            Err(error) => {
                debug!(%error, "another own device does not answer");
                Sought::Missed
            }
        }
    }

    /// Ends the links.
    pub async fn stop(&self) {
        self.links.close_all();
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialling(&self) -> MutexGuard<'_, BTreeMap<DeviceId, AbortHandle>> {
        self.dialling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Sought {
    /// It is linked, or no device of ours any more.
    Over,
    Missed,
}

/// Until it is linked, is no device of ours any more, or the session ends.
async fn seek(devices: Weak<Devices>, device: DeviceId) {
    let mut wait = REDIAL;
    while let Some(alive) = devices.upgrade() {
        if let Sought::Over = alive.dial(device).await {
            return;
        }
        drop(alive);
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(REDIAL_MAX);
    }
}
