//! What this process carries for others: whose each frame is, how much may pass, how much has passed. One for the whole
//! life of the node; supernodes come and go. Rates are in each direction; volumes both directions together.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use starling_protocol::overlay::shares::{Asked, Flow, Rates, Shares, Ticket};
use starling_wire::ids::EndpointKey;
use tokio::sync::Notify;

use super::Role;
use super::meter::Meter;
use crate::clock::{Clock, sleep_until};

/// 1 kbit/s in bytes a second.
const KBIT: u64 = 125;

/// What a frame is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freight {
    /// Ours: from or to a door of this process.
    Own,
    /// Carried for others.
    For(Role),
    /// Not carried: the role is off.
    Off(Role),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Carrier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    meter: Meter,
    /// By role: whether it is on.
    on: [AtomicBool; Role::ALL.len()],
    doors: RwLock<Doors>,
    queue: Mutex<Queue>,
    /// Somebody has begun to wait, or rates are others.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Doors {
    /// The supernode of this process.
    supernode: Option<EndpointKey>,
    /// Of this process.
    own: HashSet<EndpointKey>,
    /// Registered here.
    registered: HashSet<EndpointKey>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: Shares,
    /// Letters taken in and handed out; their bytes have passed as frames already.
    letters: Shares,
    letters_flow: Flow,
    waiting: BTreeMap<Ticket, Option<Waker>>,
}

/// Rates in kbit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoleRates {
    /// By role.
    pub roles: [Option<u32>; Role::ALL.len()],
    /// All together.
    pub total: Option<u32>,
}

impl Carrier {
    /// Everything is off, and nothing was carried.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            meter: Meter::new(clock),
            on: Default::default(),
            doors: RwLock::default(),
            queue: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Bytes by role.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// Whether a role is on.
    pub fn is_on(&self, role: Role) -> bool {
        self.0.on[role as usize].load(Ordering::Relaxed)
    }

    /// Switches a role.
    pub fn set(&self, role: Role, on: bool) {
        self.0.on[role as usize].store(on, Ordering::Relaxed);
    }

    /// Other caps from now on.
    pub fn set_rates(&self, rates: RoleRates) {
        let bytes = |kbit: Option<u32>| kbit.map(|kbit| u64::from(kbit) * KBIT);
        let [supernode, relay, mailbox] = rates.roles.map(bytes);
        let mut queue = self.queue();
        queue.frames.set_rates(Rates {
            classes: [supernode, relay],
            total: bytes(rates.total),
        });
        queue.letters.set_rates(Rates {
            classes: [mailbox, None],
            total: None,
        });
        drop(queue);
        self.0.changed.notify_one();
    }

    /// The supernode of this process; whoever was registered at an earlier one counts no more.
    pub fn serve(&self, supernode: EndpointKey) {
        let mut doors = self.0.doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.supernode = Some(supernode);
        doors.registered.clear();
    }

    /// A door of this process, as long as what is returned lives.
    pub fn own(&self, door: EndpointKey) -> OwnDoor {
        let mut doors = self.0.doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.own.insert(door);
        OwnDoor {
            carrier: self.clone(),
            door,
        }
    }

    /// Front doors that are registered at our supernode.
    pub fn registered(&self, front_doors: impl IntoIterator<Item = EndpointKey>) {
        let mut doors = self.0.doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.registered.extend(front_doors);
    }

    /// Whether a link of this key costs nobody but us.
    pub fn is_own(&self, key: EndpointKey) -> bool {
        let doors = self.0.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors.supernode == Some(key) || doors.own.contains(&key)
    }

    /// `ROLE-02`: what a frame between these two is. To reach our supernode, or to knock at a front door that is registered here, is
    /// the supernode's business; what two others send each other is the relay's.
    pub fn freight(&self, from: EndpointKey, to: EndpointKey) -> Freight {
        let doors = self.0.doors.read().unwrap_or_else(PoisonError::into_inner);
        if doors.own.contains(&from) || doors.own.contains(&to) {
            return Freight::Own;
        }
        let either = |set: &HashSet<EndpointKey>| set.contains(&from) || set.contains(&to);
        let own = doors.supernode == Some(from) || doors.supernode == Some(to);
        if own || either(&doors.registered) {
            return Freight::For(Role::Supernode);
        }
        self.relayed()
    }

    /// `FWD-06`: what passes a room is the relay's business, whichever key of theirs its members entered with.
    pub fn room_freight(&self, from: EndpointKey, to: EndpointKey) -> Freight {
        let doors = self.0.doors.read().unwrap_or_else(PoisonError::into_inner);
        if doors.own.contains(&from) || doors.own.contains(&to) {
            return Freight::Own;
        }
        self.relayed()
    }

    fn relayed(&self) -> Freight {
        if self.is_on(Role::Relay) {
            Freight::For(Role::Relay)
        } else {
            Freight::Off(Role::Relay)
        }
    }

    /// A place in the order of service for one link.
    pub fn lane(&self) -> Lane {
        Lane {
            carrier: self.clone(),
            flow: Flow::default(),
            ticket: None,
        }
    }

    /// A letter of so many bytes is taken in or handed out: whether the mailbox's rate allows it now.
    pub fn letter(&self, bytes: u64) -> bool {
        let now = self.0.clock.now();
        let mut queue = self.queue();
        let mut flow = queue.letters_flow;
        let asked = queue.letters.ask(&mut flow, 0, bytes, now);
        queue.letters_flow = flow;
        match asked {
            Asked::Pass => {
                drop(queue);
                self.0.meter.passed(Role::Mailbox, bytes);
                true
            }
            Asked::Wait(ticket) => {
                queue.letters.leave(ticket);
                false
            }
        }
    }

    /// Lets those who wait go on, each at its time. Runs as long as something is carried.
    pub async fn pace(self) {
        loop {
            let changed = self.0.changed.notified();
            let next = self.pass_all();
            let wake = next.map(|at| self.0.clock.instant(at));
            tokio::select! {
                () = sleep_until(wake) => {}
                () = changed => {}
            }
        }
    }

    fn pass_all(&self) -> Option<Duration> {
        let now = self.0.clock.now();
        let mut queue = self.queue();
        while let Some(ticket) = queue.frames.poll_pass(now) {
            if let Some(waker) = queue.waiting.remove(&ticket).flatten() {
                waker.wake();
            }
        }
        queue.frames.poll_timeout()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A door of this process: what goes in and out there is not carried for others.
#[derive(Debug)]
pub struct OwnDoor {
    carrier: Carrier,
    door: EndpointKey,
}

impl Drop for OwnDoor {
    fn drop(&mut self) {
        let doors = &self.carrier.0.doors;
        let mut doors = doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.own.remove(&self.door);
    }
}

/// One link's place in the order of service: it has at most one frame waiting, and reads no further meanwhile.
#[derive(Debug)]
pub struct Lane {
    carrier: Carrier,
    flow: Flow,
    ticket: Option<Ticket>,
}

impl Lane {
    /// Whose it is.
    pub const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Ready when so many bytes may pass in this role. Ask with the same until it is.
    pub fn poll_pass(&mut self, role: Role, bytes: u64, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.carrier.0.clock.now();
        let mut queue = self.carrier.queue();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => match queue.frames.ask(&mut self.flow, role as usize, bytes, now) {
                Asked::Pass => {
                    drop(queue);
                    self.carrier.0.meter.passed(role, bytes);
                    return Poll::Ready(());
                }
                Asked::Wait(ticket) => {
                    queue.waiting.insert(ticket, None);
                    ticket
                }
            },
        };
        let Some(waker) = queue.waiting.get_mut(&ticket) else {
            drop(queue);
            self.ticket = None;
            self.carrier.0.meter.passed(role, bytes);
            return Poll::Ready(());
        };
        *waker = Some(cx.waker().clone());
        drop(queue);
        if self.ticket.replace(ticket).is_none() {
            self.carrier.0.changed.notify_one();
        }
        Poll::Pending
    }

    /// The same, to wait for.
    pub async fn pass(&mut self, role: Role, bytes: u64) {
        std::future::poll_fn(|cx| self.poll_pass(role, bytes, cx)).await;
    }

    /// What waits is given up.
    pub fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut queue = self.carrier.queue();
            queue.waiting.remove(&ticket);
            queue.frames.leave(ticket);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> EndpointKey {
        EndpointKey([byte; 32])
    }

    #[test]
    fn role_02_whose_a_frame_is_depends_on_both_its_ends() {
        let carrier = Carrier::new(Clock::start());
        let [supernode, own, alice, bob, inner, other] = [1, 2, 3, 4, 5, 6].map(key);
        carrier.serve(supernode);
        let door = carrier.own(own);
        carrier.registered([alice, bob]);
        let served = Freight::For(Role::Supernode);
        assert_eq!(carrier.freight(alice, supernode), served, "a request");
        assert_eq!(carrier.freight(supernode, alice), served, "its answer");
        assert_eq!(carrier.freight(alice, bob), served, "a knock");
        assert_eq!(carrier.freight(other, alice), served, "from elsewhere");
        assert_eq!(carrier.freight(own, supernode), Freight::Own);
        assert_eq!(carrier.freight(alice, own), Freight::Own);
        assert_eq!(carrier.freight(inner, other), Freight::Off(Role::Relay));
        // In a room a registered door is nothing special.
        assert_eq!(carrier.room_freight(alice, bob), Freight::Off(Role::Relay));
        assert_eq!(carrier.room_freight(alice, own), Freight::Own);
        carrier.set(Role::Relay, true);
        assert_eq!(carrier.freight(inner, other), Freight::For(Role::Relay));
        assert!(carrier.is_own(own) && carrier.is_own(supernode) && !carrier.is_own(alice));
        drop(door);
        assert!(!carrier.is_own(own));
        carrier.serve(supernode);
        assert_eq!(carrier.freight(alice, bob), Freight::For(Role::Relay));
    }

    #[test]
    fn letters_have_a_rate_of_their_own() {
        let carrier = Carrier::new(Clock::start());
        assert!(carrier.letter(20_000) && carrier.letter(20_000), "no cap");
        let mut rates = RoleRates::default();
        rates.roles[Role::Mailbox as usize] = Some(8);
        carrier.set_rates(rates);
        assert!(carrier.letter(20_000), "the first one is taken whole");
        assert!(!carrier.letter(100), "20 s are used up");
    }

    #[tokio::test]
    async fn whoever_leaves_while_waiting_leaves_nothing_behind() {
        let carrier = Carrier::new(Clock::start());
        carrier.set_rates(RoleRates {
            total: Some(8),
            ..RoleRates::default()
        });
        let mut lane = carrier.lane();
        lane.pass(Role::Relay, 2_000).await;
        let wait = tokio::time::timeout(Duration::from_millis(20), lane.pass(Role::Relay, 1));
        assert!(wait.await.is_err());
        drop(lane);
        assert!(carrier.queue().waiting.is_empty());
        assert_eq!(carrier.queue().frames.poll_timeout(), None);
    }
}
