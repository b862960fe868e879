//! A call that finds no direct way is sought a forwarder for (spec page `forwarding.md`): one small task beside its voice, round
//! the machine `conference::participant`. The call's own connection stays, and is spoken on whenever the forwarder fails.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{Connection, ConnectionError};
use iroh::{Endpoint, EndpointAddr};
use starling_media::sframe::{Direction, Opener, Sealer};
use starling_protocol::conference::participant::{Participant, ParticipantEvent, Side};
use starling_wire::alpn;
use starling_wire::conference::{FOCUS_FRAME_MAX, Join, Joined, Room, RoomKey, Sign};
use starling_wire::ids::{AccountId, CallId};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{debug, trace};

use super::Input;
use super::running::Aborting;
use super::task::Task;
use crate::clock::{random, sleep_until};
use crate::context::Context;
use crate::media_path::{Detour, Inlet, Outlet};
use crate::paths::PathGuard;
use crate::traffic::Purpose;
use crate::transport::{congestion, dial, endpoint, stream};

/// Rooms that the other side told of and nobody has looked at.
const TOLD_MAX: usize = 4;
/// Rooms that are entered in one call: whoever needs more is better off with the relay.
const KEYS_MAX: usize = 256;
/// How often a sign of life is given, and the call's own path looked at.
const SIGN_EVERY: Duration = Duration::from_millis(100);
/// The forwarder answers within this.
const WELCOME_TIME: Duration = Duration::from_secs(3);

/// The tasks of calls with sound.
#[derive(Default)]
pub struct Forwardings(BTreeMap<CallId, Forwarding>);

struct Forwarding {
    told: mpsc::Sender<Room>,
    _task: Aborting,
}

impl Forwardings {
    /// The other side knows a room.
    pub fn told(&self, call: CallId, room: Room) {
        if let Some(forwarding) = self.0.get(&call) {
            // Full: whoever tells of so many is not followed.
            let _ = forwarding.told.try_send(room);
        }
    }

    /// The call is over.
    pub fn end(&mut self, call: CallId) {
        self.0.remove(&call);
    }
}

impl Task {
    /// A call's sound is connected: from now on something better than the relay is looked for, unless UDP is forbidden.
    pub(super) fn seek_forwarder(&mut self, call: CallId) {
        let Some(listen) = self.ctx.config.udp() else {
            return;
        };
        let running = self.running.get(&call);
        let Some((running, voice)) = running.zip(self.voice(call)) else {
            return;
        };
        if self.forwardings.0.contains_key(&call) {
            return;
        }
        let side = if running.outgoing {
            Side::Caller
        } else {
            Side::Callee
        };
        let way = Way {
            ctx: Arc::clone(&self.ctx),
            peer: running.peer,
            listen: listen.ip(),
        };
        let seeking = Seeking {
            way,
            call,
            inputs: self.inputs.clone(),
            inlet: voice.inlet(),
            outlet: voice.outlet(),
            machine: Participant::new(side, self.ctx.clock.now()),
            work: JoinSet::new(),
            there: None,
            keys: Vec::new(),
        };
        let (told, rooms) = mpsc::channel(TOLD_MAX);
        let task = self.tasks.spawn(seeking.run(rooms)).into();
        let forwarding = Forwarding { told, _task: task };
        self.forwardings.0.insert(call, forwarding);
    }
}

/// The task of one call.
struct Seeking {
    way: Way,
    call: CallId,
    inputs: mpsc::Sender<Input>,
    inlet: Inlet,
    outlet: Outlet,
    machine: Participant,
    /// A home is asked, or a room entered: one at a time.
    work: JoinSet<Done>,
    there: Option<Box<There>>,
    /// Of the rooms entered in this call.
    keys: Vec<RoomKey>,
}

enum Done {
    Room(Option<Room>),
    Entered(Option<Box<There>>),
}

/// In a room.
struct There {
    connection: Connection,
    detour: Detour,
    opener: Opener,
    _origin: Origin,
    _path: PathGuard,
}

impl Seeking {
    async fn run(mut self, mut rooms: mpsc::Receiver<Room>) {
        let mut every = tokio::time::interval(SIGN_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.machine.poll_timeout();
            let wake = due.map(|due| self.way.ctx.clock.instant(due.at));
            tokio::select! {
                room = rooms.recv() => match room {
                    Some(room) => self.told(room),
                    None => return,
                },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                datagram = next(self.there.as_deref()) => self.came(datagram),
                () = sleep_until(wake) => self.machine.handle_timeout(self.way.ctx.clock.now()),
                _ = every.tick() => self.look(),
            }
            self.drain().await;
        }
    }

    fn told(&mut self, room: Room) {
        // A key that was used once would begin with the same nonces again.
        if self.keys.contains(&room.key) || self.keys.len() >= KEYS_MAX {
            return debug!(reason = "used before", "did not enter a room");
        }
        match self.way.admissible(room) {
            Some(room) => self.machine.handle_told(room, self.way.ctx.clock.now()),
            None => debug!(reason = "always relayed", "did not enter a room"),
        }
    }

    fn done(&mut self, done: Done) {
        let now = self.way.ctx.clock.now();
        match done {
            Done::Room(room) => self.machine.handle_room(room, now),
            Done::Entered(Some(there)) => {
                self.there = Some(there);
                self.machine.handle_joined(now);
            }
            Done::Entered(None) => self.machine.handle_gone(now),
        }
    }

    /// Something came through the room: a sign of life, or a packet of voice.
    fn came(&mut self, datagram: Result<Bytes, ConnectionError>) {
        let now = self.way.ctx.clock.now();
        let (Ok(sealed), Some(there)) = (datagram, &mut self.there) else {
            return self.machine.handle_gone(now);
        };
        match there.opener.open(&sealed) {
            Ok(plain) => match Sign::read(&plain) {
                Some(sign) => {
                    there
                        .detour
                        .learn(Duration::from_millis(sign.rtt_ms.into()));
                    self.machine.handle_sign(sign.hears, now);
                }
                None => {
                    let traffic = &self.way.ctx.traffic;
                    traffic.received(Purpose::Calls, plain.len() as u64);
                    self.inlet.offer(plain.into(), now);
                }
            },
            Err(reason) => trace!(%reason, "dropped what a forwarder brought"),
        }
    }

    fn look(&mut self) {
        let now = self.way.ctx.clock.now();
        let direct = self.outlet.is_direct() == Some(true);
        self.machine.handle_path(direct, now);
        if let Some(there) = &self.there {
            let rtt = there.detour.own_rtt().as_millis();
            let sign = Sign {
                hears: self.machine.hears(now),
                rtt_ms: u16::try_from(rtt).unwrap_or(u16::MAX),
            };
            there.detour.send(&sign.write());
        }
    }

    async fn drain(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            trace!(?event, "wants");
            match event {
                ParticipantEvent::Ask(number) => {
                    let asking = self.way.clone().ask(number);
                    self.work.spawn(async move { Done::Room(asking.await) });
                }
                ParticipantEvent::Join { room, ours } => {
                    self.leave();
                    self.keys.push(room.key.clone());
                    let entering = self.way.clone().enter(room, ours);
                    self.work
                        .spawn(async move { Done::Entered(entering.await) });
                }
                ParticipantEvent::Tell(room) => {
                    let _ = self.inputs.send(Input::Room(self.call, room)).await;
                }
                ParticipantEvent::Leave => self.leave(),
                ParticipantEvent::Carry(on) => {
                    let there = self.there.as_ref().filter(|_| on);
                    self.outlet.take(there.map(|there| there.detour.clone()));
                    debug!(on, "a forwarder carries the sound");
                }
            }
        }
    }

    /// What was begun before comes too late.
    fn leave(&mut self) {
        self.work = JoinSet::new();
        self.outlet.take(None);
        if let Some(there) = self.there.take() {
            there.connection.close(0u32.into(), b"left");
        }
    }
}

/// The next datagram of a room; never, outside one.
async fn next(there: Option<&There>) -> Result<Bytes, ConnectionError> {
    match there {
        Some(there) => there.connection.read_datagram().await,
        None => std::future::pending().await,
    }
}

/// How a forwarder is found and reached, for a call with this person.
#[derive(Clone)]
struct Way {
    ctx: Arc<Context>,
    peer: AccountId,
    listen: IpAddr,
}

impl Way {
    fn admissible(&self, room: Room) -> Option<Room> {
        if !self.ctx.relaying.holds(self.peer) {
            return Some(room);
        }
        at_home(room, self.ctx.home_list())
    }

    /// Asks the home in use for a room, the next time one that stands by.
    async fn ask(self, number: u32) -> Option<Room> {
        let homes = self.ctx.home_list();
        let home = homes.get(number as usize % homes.len().max(1))?.clone();
        match self.ctx.supernodes.ask(&home, &Request::OpenRoom).await {
            Ok(Answer::Room { id, port }) => Some(Room {
                forwarder: home,
                port,
                id,
                key: RoomKey(random()),
            }),
            Ok(_) => None,
            Err(error) => {
                debug!(%error, "a home opens no room");
                None
            }
        }
    }

    async fn enter(self, room: Room, ours: bool) -> Option<Box<There>> {
        let place = self.ctx.pins.place(&room.forwarder);
        let origin = self.bind(&place).await?;
        let id = endpoint::endpoint_id(place.id)?;
        let address = EndpointAddr::new(id).with_ip_addr(room.at(&place));
        let transport = congestion::voice();
        let dialled = dial::connect(&origin.0, address, alpn::FOCUS, transport).await;
        let connection = dialled
            .inspect_err(|error| debug!(%error, "a forwarder was not reached"))
            .ok()?;
        let welcome = tokio::time::timeout(WELCOME_TIME, say(&connection, &room)).await;
        if let Ok(Some(Joined::Refused(reason))) = &welcome {
            debug!(%reason, "a forwarder did not let us in");
        }
        if !matches!(welcome, Ok(Some(Joined::Welcome))) {
            return None;
        }
        let (sends, hears) = if ours {
            (Direction::Opener, Direction::Guest)
        } else {
            (Direction::Guest, Direction::Opener)
        };
        let RoomKey(key) = &room.key;
        let there = There {
            _path: self.ctx.paths.enter_forwarded(self.peer, &connection),
            detour: Detour::new(connection.clone(), Sealer::new(key, sends)),
            opener: Opener::new(key, hears),
            connection,
            _origin: origin,
        };
        Some(Box::new(there))
    }

    /// An endpoint for this room alone. The other side is never told of it; and the supernode is one key at two places, its relay
    /// and its UDP port, which an endpoint that knows both would mix up.
    async fn bind(&self, place: &SupernodeAddr) -> Option<Origin> {
        let listen = match place.tcp.ip() {
            to if to.is_ipv4() == self.listen.is_ipv4() => self.listen,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let listen = SocketAddr::new(listen, 0);
        let endpoint = endpoint::direct(&random(), &self.ctx.pins, listen, Vec::new()).await;
        endpoint.ok().map(Origin)
    }
}

/// `FWD-11`: whoever is always relayed for somebody goes to his own homes, which know where he is, at the addresses that he
/// knows of them, and to nobody whom that person names.
fn at_home(room: Room, homes: Vec<SupernodeAddr>) -> Option<Room> {
    let mut homes = homes.into_iter();
    let forwarder = homes.find(|home| home.id == room.forwarder.id)?;
    Some(Room { forwarder, ..room })
}

async fn say(connection: &Connection, room: &Room) -> Option<Joined> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    let join = Join { room: room.id };
    stream::write(&mut send, &join).await.ok()?;
    send.finish().ok()?;
    let answer = stream::read::<Joined>(&mut receive, FOCUS_FRAME_MAX).await;
    answer.ok().flatten()
}

/// What a room is entered from, as long as we are in it.
struct Origin(Endpoint);

impl Drop for Origin {
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let endpoint = self.0.clone();
            runtime.spawn(async move { endpoint::close(&endpoint).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::ids::{EndpointKey, RoomId};

    use super::*;

    #[test]
    fn fwd_11_whoever_is_always_relayed_goes_to_own_homes_only_and_where_they_are() {
        let at = |id: u8, ip: u8| SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: ([192, 0, 2, ip], 27474).into(),
            discovery_port: 27476,
        };
        let room = |forwarder| Room {
            forwarder,
            port: 27474,
            id: RoomId([1; 16]),
            key: RoomKey([2; 32]),
        };
        let homes = vec![at(1, 1), at(2, 2)];
        let told = at_home(room(at(2, 99)), homes.clone());
        assert_eq!(told, Some(room(at(2, 2))), "where we know it");
        assert_eq!(at_home(room(at(3, 1)), homes), None);
    }
}
