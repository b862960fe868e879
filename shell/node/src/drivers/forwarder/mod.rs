//! The forwarder: rooms in which this supernode passes sealed datagrams on between the two of a call (spec page
//! `forwarding.md`). Owns the machine `conference::focus`; the relay's switch, caps and meter count for what passes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::TransportAddr;
use iroh::endpoint::Connection;
use starling_protocol::conference::focus::{
    Asker, Closing, Dropped, Focus, FocusEvent, MemberId, NoPlace,
};
use starling_wire::conference::{FOCUS_FRAME_MAX, Join, JoinRefusal, Joined};
use starling_wire::ids::{EndpointKey, RoomId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use crate::clock::{Clock, random};
use crate::drivers::turns::{Turn, Turns};
use crate::roles::carrier::{Carrier, Freight, Lane};
use crate::transport::endpoint::endpoint_key;
use crate::transport::relay_server::block_of;
use crate::transport::stream::{self, StreamError};

/// Whoever opened a connection says within this which room it is for.
const JOIN_TIME: Duration = Duration::from_secs(5);
/// A datagram that would wait longer for its turn under the caps is dropped: a voice has no use for it.
const WAIT: Duration = Duration::from_millis(60);
/// What QUIC adds to a datagram, in bytes: short header, frame header, tag.
const QUIC_OVERHEAD: u64 = 32;
/// Connections that have not entered a room yet, of one block of addresses and of all.
const ENTERING_OF_BLOCK: usize = 32;
const ENTERING_MAX: usize = 400;
/// How often it is looked for rooms that are over.
const LOOK: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forwarder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    carrier: Carrier,
    clock: Clock,
    entering: Turns<IpAddr>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    focus: Focus,
    members: BTreeMap<MemberId, Seat>,
    next: MemberId,
}

/// A member's connection.
#[derive(Debug, Clone)]
struct Seat {
    key: EndpointKey,
    connection: Connection,
}

impl Forwarder {
    /// No room is open.
    pub fn new(carrier: Carrier, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            carrier,
            clock,
            entering: Turns::new(ENTERING_OF_BLOCK, ENTERING_MAX),
            state: Mutex::default(),
        }))
    }

    /// Opens a room for a registered front door.
    pub fn open(&self, by: Asker) -> Result<RoomId, NoPlace> {
        let (room, now) = (RoomId(random()), self.0.clock.now());
        self.state().focus.handle_open(room, by, now)?;
        Ok(room)
    }

    /// Serves those who come, as long as somebody brings them.
    pub async fn serve(self, mut visitors: mpsc::Receiver<Connection>) {
        let mut attending = JoinSet::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                visitor = visitors.recv() => {
                    let Some(connection) = visitor else { return };
                    match address_of(&connection).and_then(|ip| self.turn(ip)) {
                        Some(turn) => drop(attending.spawn(self.clone().attend(connection, turn))),
                        None => connection.close(1u32.into(), b"full"),
                    }
                }
                Some(_) = attending.join_next(), if !attending.is_empty() => {}
                _ = look.tick() => self.end_rooms(),
            }
        }
    }

    /// Ends all rooms: the calls in them go on by their relays.
    pub fn close(&self) {
        let seats = std::mem::take(&mut *self.state()).members;
        for seat in seats.into_values() {
            seat.connection.close(0u32.into(), b"leaving");
        }
    }

    /// What is carried and what was dropped, in words; nothing where there is nothing to say.
    pub fn words(&self) -> Option<String> {
        let state = self.state();
        let dropped = state.focus.dropped().iter();
        let dropped: Vec<String> = dropped
            .map(|(why, count)| format!("{count} dropped: {why}"))
            .collect();
        let calls = state.focus.in_use();
        if calls == 0 && dropped.is_empty() {
            return None;
        }
        let s = if calls == 1 { "" } else { "s" };
        let mut words = format!("{calls} call{s} forwarded over UDP");
        for one in dropped {
            words.push_str("; ");
            words.push_str(&one);
        }
        Some(words)
    }

    /// `FWD-14`: whoever comes and says nothing takes no place of others; nor do many addresses of one owner.
    fn turn(&self, ip: IpAddr) -> Option<Turn<IpAddr>> {
        self.0.entering.take(block_of(ip))
    }

    async fn attend(self, connection: Connection, turn: Turn<IpAddr>) {
        connection.set_max_concurrent_uni_streams(0u32.into());
        connection.set_max_concurrent_bi_streams(1u32.into());
        let seat = Seat {
            key: endpoint_key(connection.remote_id()),
            connection,
        };
        let admitted = tokio::time::timeout(JOIN_TIME, self.admit(&seat)).await;
        drop(turn);
        match admitted {
            Ok(Ok(member)) => self.carry(member.id, &seat).await,
            Ok(Err(reason)) => debug!(%reason, "did not let somebody into a room"),
            Err(_) => debug!(reason = "silent", "did not let somebody into a room"),
        }
        seat.connection.close(1u32.into(), b"over");
    }

    /// `FWD-03`: by a room's name, which nobody guesses. Whoever cannot be told so is not in it.
    async fn admit(&self, seat: &Seat) -> Result<Entered, JoinRefusal> {
        let unreadable = |_| JoinRefusal::Malformed;
        let streams = seat.connection.accept_bi().await;
        let (mut send, mut receive) = streams.map_err(|_| JoinRefusal::Malformed)?;
        let asked = stream::read::<Join>(&mut receive, FOCUS_FRAME_MAX).await;
        let entered = match asked {
            Ok(Some(Join { room })) => self.enter(seat, room),
            Ok(None) | Err(StreamError::Frame(_)) => Err(JoinRefusal::Malformed),
            Err(error) => Err(unreadable(error)),
        };
        let answer = match &entered {
            Ok(_) => Joined::Welcome,
            Err(reason) => Joined::Refused(*reason),
        };
        stream::write(&mut send, &answer)
            .await
            .map_err(unreadable)?;
        if entered.is_err() {
            stream::flush(&mut send).await;
        } else {
            let _ = send.finish();
        }
        entered
    }

    fn enter(&self, seat: &Seat, room: RoomId) -> Result<Entered, JoinRefusal> {
        let mut state = self.state();
        state.next += 1;
        let (id, now) = (state.next, self.0.clock.now());
        let entered = state.focus.handle_join(id, seat.key, room, now);
        if entered.is_ok() {
            state.members.insert(id, seat.clone());
        }
        state.drain();
        drop(state);
        let forwarder = self.clone();
        entered.map(|()| Entered { id, forwarder })
    }

    /// Passes on what a member sends, until its connection ends.
    async fn carry(&self, member: MemberId, seat: &Seat) {
        let mut lane = self.0.carrier.lane();
        while let Ok(datagram) = seat.connection.read_datagram().await {
            let Some(to) = self.receiver_of(member, datagram.len()) else {
                continue;
            };
            let bytes = datagram.len() as u64 + QUIC_OVERHEAD;
            let freight = self.0.carrier.room_freight(seat.key, to.key);
            if let Err(reason) = self.pass(&mut lane, freight, bytes).await {
                self.state().focus.count(reason);
                continue;
            }
            // Full, or gone: the next one goes to whoever is there then.
            let _ = to.connection.send_datagram(datagram);
        }
    }

    fn receiver_of(&self, member: MemberId, length: usize) -> Option<Seat> {
        let mut state = self.state();
        let now = self.0.clock.now();
        let to = state.focus.handle_datagram(member, length, now).ok()?;
        state.members.get(&to).cloned()
    }

    /// `FWD-06`: what a relay may carry, a forwarder may.
    async fn pass(&self, lane: &mut Lane, freight: Freight, bytes: u64) -> Result<(), Dropped> {
        let role = match freight {
            Freight::Own => return Ok(()),
            Freight::Off(_) => return Err(Dropped::RoleOff),
            Freight::For(role) => role,
        };
        let meter = self.0.carrier.meter();
        meter.received(role, bytes);
        if tokio::time::timeout(WAIT, lane.pass(role, bytes))
            .await
            .is_err()
        {
            lane.leave();
            return Err(Dropped::OverCap);
        }
        meter.sent(role, bytes);
        Ok(())
    }

    fn leave(&self, member: MemberId) {
        let mut state = self.state();
        state.members.remove(&member);
        state.focus.handle_left(member, self.0.clock.now());
        state.drain();
    }

    fn end_rooms(&self) {
        let mut state = self.state();
        state.focus.handle_timeout(self.0.clock.now());
        state.drain();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a room, until this is dropped: whatever becomes of the connection's task, no member stays behind.
struct Entered {
    id: MemberId,
    forwarder: Forwarder,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.forwarder.leave(self.id);
    }
}

impl State {
    fn drain(&mut self) {
        while let Some(FocusEvent::Close(member, why)) = self.focus.poll_event() {
            let reason: &[u8] = match why {
                Closing::Replaced => b"replaced",
                Closing::Over => b"over",
            };
            if let Some(seat) = self.members.remove(&member) {
                seat.connection.close(0u32.into(), reason);
            }
        }
    }
}

fn address_of(connection: &Connection) -> Option<IpAddr> {
    let paths = connection.paths();
    paths.iter().find_map(|path| match path.remote_addr() {
        TransportAddr::Ip(at) => Some(at.ip().to_canonical()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
