//! The holder's side of conversations' logs: boxes that members opened with a grant, what lies in them, the registers of their slots.
//! It cannot read what it keeps and does not know who writes (`BOX-07` to `BOX-20`).
//!
//! Bodies are not kept in memory: the driver writes them with [`Persist::Keep`] and reads them again for [`Transmit::Entry`]. All else
//! can be made anew from the store with the `restore_*` methods. If the driver cannot commit what is to be persisted, it sends nothing
//! and makes the machine anew.
//!
//! Days are days since 1970, UTC, as the driver says; times are since the node's start.

mod deciding;
pub mod disk;
mod keeping;
mod reading;
mod writing;

pub use self::keeping::Restored;
pub use super::slots::SLOT_COST;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::log::Entry;
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::log::grant::Grant;
use starling_wire::log::keys::{Ends, Plan, PublicBox, Side};
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::grounds::Grounds;
use starling_wire::ordering::statement::{Promise, Receipt, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat, Slot};

use super::shelf::Shelf;
use super::slots::Slots;
use super::turns::Turns;
use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};
use crate::tokens::{Rate, Tokens};

/// Connections at one box.
pub const CONNECTIONS_PER_BOX_MAX: usize = 1_024;
/// Entries left in one box: so many at once, and 50 a second. One of more than 64 KiB counts as several.
pub const DEPOSITS: Rate = Rate {
    at_once: 250,
    every: Duration::from_millis(20),
};
/// Questions of one connection.
pub const QUESTIONS: Rate = Rate {
    at_once: 100,
    every: Duration::from_millis(50),
};
/// A box that is not used any more is kept for so many days.
pub const UNUSED_DAYS: u32 = 30;
/// One that never was used at all.
pub const LEFTOVER_DAYS: u32 = 1;
/// The id of a box that has decided anything is remembered for so many days: it is not opened again, for its slots would be written a
/// second time.
pub const REMEMBERED_DAYS: u32 = 400;
/// And so many of them at most.
pub const REMEMBERED_MAX: usize = 100_000;
/// After this day, counted from today, a box that was closed takes nothing any more.
pub const CLOSING_DAYS: u32 = 1;
/// A holder that stops gives what it has for so long.
pub const LEAVING_FOR: Duration = Duration::from_secs(3600);

/// What a holder keeps for others at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Boxes.
    pub boxes: usize,
    /// Entries in all of them: each takes some 200 bytes of memory.
    pub entries: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Connections.
    pub connections: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            boxes: 5_000,
            entries: 200_000,
            bytes: 2 * 1024 * 1024 * 1024,
            connections: 5_000,
        }
    }
}

/// One connection, as the driver numbers them; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// What must be on disk before anything is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// A box was opened.
    Opened {
        /// Which.
        mailbox: MailboxId,
        /// What it follows from.
        plan: Plan,
        /// The grant that is used up with it.
        grant: Grant,
        /// On this day.
        day: u32,
    },
    /// Somebody used a box.
    Used {
        /// Which.
        mailbox: MailboxId,
        /// On this day.
        day: u32,
    },
    /// An entry came. Its number is the box's highest from now on, also when the entry is dropped again.
    Keep {
        /// Its number.
        number: u64,
        /// The last day it is kept.
        until_day: u32,
        /// All of it. The box is in its head.
        entry: Entry,
    },
    /// Entries go.
    Drop {
        /// From which box.
        mailbox: MailboxId,
        /// Which.
        numbers: Vec<u64>,
        /// The highest number of those that ever made room before their time.
        dropped: u64,
    },
    /// A register changed.
    Register {
        /// In which box.
        mailbox: MailboxId,
        /// Of which slot.
        slot: Slot,
        /// What was promised.
        promised: Option<Ballot>,
        /// What was agreed to.
        accepted: Option<(Ballot, EntryId)>,
        /// The grounds of it, if that changed; else those that are kept stay.
        grounds: Option<Grounds>,
    },
    /// A slot is settled: in place of its register.
    Settled {
        /// In which box.
        mailbox: MailboxId,
        /// By what.
        certificate: Certificate,
        /// The epoch that its commit begins, if the commit is here.
        next: Option<EpochTag>,
    },
    /// The commit that a slot is settled on came later.
    Next {
        /// In which box.
        mailbox: MailboxId,
        /// Which slot.
        slot: Slot,
        /// The epoch that it begins.
        next: EpochTag,
    },
    /// A box takes nothing after this day.
    Closing {
        /// Which.
        mailbox: MailboxId,
        /// The last day.
        day: u32,
    },
    /// A box is over: all of it goes.
    Over {
        /// Which.
        mailbox: MailboxId,
        /// Its id is remembered up to this day.
        remembered: Option<u32>,
    },
    /// Ids and grants of which the last day is before this one are forgotten.
    Forget {
        /// The day.
        before: u32,
    },
}

/// What is sent. The driver signs what the holder states, reads from the store what is named by number or slot, and leaves out what has
/// gone meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// This, as it is.
    Answer(Answer),
    /// [`Answer::Receipt`].
    Receipt(Receipt),
    /// [`Answer::Promise`]. What it says was agreed to comes with the grounds that are kept of the slot.
    Promise(Promise),
    /// [`Answer::Vote`].
    Vote(Vote),
    /// [`Answer::Item`] with this entry's body.
    Entry {
        /// In which box.
        mailbox: MailboxId,
        /// Which.
        number: u64,
    },
    /// [`Answer::Settled`] with the certificate that was kept.
    Certificate {
        /// In which box.
        mailbox: MailboxId,
        /// Of which slot.
        slot: Slot,
    },
}

/// What else is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Everybody had time to fetch what is here: the role ends, all of it can go.
    Left,
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Somebody's turn at a slot is over.
    Turn,
    /// The time after leaving is over.
    Left,
}

/// What a holder is made of.
#[derive(Debug)]
pub struct Setup {
    /// Its endpoint's key.
    pub own: EndpointKey,
    /// What it keeps at most.
    pub caps: Caps,
    /// Whose grants count.
    pub issuers: BTreeSet<EndpointKey>,
    /// Today.
    pub today: u32,
    /// For chance.
    pub seed: u64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Boxes.
    pub boxes: usize,
    /// Entries.
    pub entries: usize,
    /// Bytes, each entry and each slot with its cost.
    pub bytes: u64,
    /// Connections.
    pub connections: usize,
}

/// One holder.
#[derive(Debug)]
pub struct Holder {
    own: EndpointKey,
    caps: Caps,
    issuers: BTreeSet<EndpointKey>,
    today: u32,
    boxes: BTreeMap<MailboxId, Kept>,
    connections: BTreeMap<Connection, Visitor>,
    /// What each grant opened, and its last day.
    used_grants: BTreeMap<(EndpointKey, [u8; 16]), (MailboxId, u32)>,
    /// Boxes that are over, and until when they are remembered.
    over: BTreeMap<MailboxId, u32>,
    turns: Turns<(MailboxId, Slot), Connection>,
    leaving: Option<Time>,
    entries: usize,
    bytes: u64,
    chance: Jitter,
    persists: Outputs<Persist>,
    transmits: Outputs<(Connection, Transmit)>,
    events: Outputs<Event>,
}

/// One box.
#[derive(Debug)]
struct Kept {
    public: PublicBox,
    holders: Holders,
    shelf: Shelf,
    slots: Slots,
    used_day: u32,
    /// The last day on which it takes anything.
    closing: Option<u32>,
    deposits: Tokens,
    visitors: BTreeSet<Connection>,
}

/// Somebody who is connected.
#[derive(Debug)]
struct Visitor {
    asker: EndpointKey,
    mailbox: Option<MailboxId>,
    reads: bool,
    deposits: bool,
    /// After which number, and how many more.
    follows: Option<(u64, u16)>,
    questions: Tokens,
}

impl Holder {
    /// Holds nothing yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            own: setup.own,
            caps: setup.caps,
            issuers: setup.issuers,
            today: setup.today,
            boxes: BTreeMap::new(),
            connections: BTreeMap::new(),
            used_grants: BTreeMap::new(),
            over: BTreeMap::new(),
            turns: Turns::default(),
            leaving: None,
            entries: 0,
            bytes: 0,
            chance: Jitter::new(setup.seed),
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Whose grants count from now on.
    pub fn handle_issuers(&mut self, issuers: BTreeSet<EndpointKey>) {
        self.assert_drained();
        self.issuers = issuers;
    }

    /// Other caps. What is above them stays until it expires.
    pub fn handle_caps(&mut self, caps: Caps) {
        self.assert_drained();
        self.caps = caps;
    }

    /// Somebody connected, whose endpoint key the handshake proved. `false` if there is no room: the driver closes the connection.
    pub fn handle_connected(&mut self, who: Connection, asker: EndpointKey, now: Time) -> bool {
        self.assert_drained();
        if self.connections.len() >= self.caps.connections {
            return false;
        }
        let visitor = Visitor {
            asker,
            mailbox: None,
            reads: false,
            deposits: false,
            follows: None,
            questions: Tokens::full(QUESTIONS, now),
        };
        self.connections.insert(who, visitor);
        true
    }

    /// A connection is gone.
    pub fn handle_lost(&mut self, who: Connection) {
        self.assert_drained();
        let visitor = self.connections.remove(&who);
        let Some(mailbox) = visitor.and_then(|visitor| visitor.mailbox) else {
            return;
        };
        self.turns.leave(who);
        if let Some(kept) = self.boxes.get_mut(&mailbox) {
            kept.visitors.remove(&who);
        }
    }

    /// Somebody asks something; after [`Ask::Deposit`] with the body, which is as long as its head says. What could not be read is
    /// answered with [`Self::refuse_frame`].
    pub fn handle_frame(&mut self, who: Connection, ask: Ask, body: Arc<[u8]>, now: Time) {
        self.assert_drained();
        let Some(visitor) = self.connections.get_mut(&who) else {
            return;
        };
        // Deposits have a rate of their own, that of their box.
        let counted = !matches!(ask, Ask::Deposit(_));
        let mut counts = 0..ask.weight();
        if counted && !counts.all(|_| visitor.questions.take(QUESTIONS, now)) {
            return self.refuse(who, about(&ask), Refusal::TooOften);
        }
        if let Err(refusal) = ask.check() {
            return self.refuse(who, About::Frame, refusal);
        }
        let refused = match ask {
            Ask::Open { token, plan } => self.open(who, token, *plan, now),
            Ask::Enter {
                mailbox,
                side,
                proof,
            } => self.enter(who, mailbox, (side, proof)),
            Ask::Deposit(head) => self.deposit(who, head, body, now),
            Ask::Fetch { after, limit } => self.fetch(who, after, limit),
            Ask::Follow { after, credit } => self.follow(who, after, credit),
            Ask::Get { entries } => self.get(who, &entries),
            Ask::Prepare { slot, ballot, seen } => self.prepare(who, (slot, ballot), seen, now),
            Ask::Accept {
                slot,
                ballot,
                entry,
                grounds,
            } => self.accept(who, (slot, ballot), entry, grounds, now),
            Ask::Settle(certificate) => self.settle(who, *certificate, now),
            Ask::State { slots } => self.state(who, &slots),
            Ask::Close => self.close(who),
        };
        if let Err((about, refusal)) = refused {
            self.refuse(who, about, refusal);
        }
    }

    /// What was asked could not be read.
    pub fn refuse_frame(&mut self, who: Connection) {
        self.assert_drained();
        self.refuse(who, About::Frame, Refusal::Malformed);
    }

    /// The role is to end: everybody is told, and has some time. What a group needs to choose another holder goes on.
    pub fn handle_leaving(&mut self, now: Time) {
        self.assert_drained();
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(now + LEAVING_FOR);
        let inside = self.connections.iter();
        for (who, _) in inside.filter(|(_, visitor)| visitor.mailbox.is_some()) {
            self.transmits
                .push((*who, Transmit::Answer(Answer::Leaving)));
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        while let Some(drawn) = self.turns.draw(now, &mut self.chance) {
            self.give_turn(drawn, now);
        }
        if self.leaving.is_some_and(|at| at <= now) {
            self.leaving = None;
            self.events.push(Event::Left);
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        Deadline::earliest([
            self.turns.next().map(|at| Deadline::new(at, Wake::Turn)),
            self.leaving.map(|at| Deadline::new(at, Wake::Left)),
        ])
    }

    /// What must be on disk before anything is sent.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What to send, to whom, in this order.
    pub fn poll_transmit(&mut self) -> Option<(Connection, Transmit)> {
        self.transmits.pop()
    }

    /// What else is to be done.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// How much is kept.
    pub fn figures(&self) -> Figures {
        Figures {
            boxes: self.boxes.len(),
            entries: self.entries,
            bytes: self.bytes,
            connections: self.connections.len(),
        }
    }

    fn seat(&self, mailbox: MailboxId) -> Seat {
        Seat {
            holder: self.own,
            mailbox,
        }
    }

    fn ends(&self, visitor: &Visitor) -> Ends {
        Ends {
            holder: self.own,
            asker: visitor.asker,
        }
    }

    /// `BOX-08`: the box that a connection is in, if it showed the key for this.
    fn box_of(&self, who: Connection, side: Side) -> Result<MailboxId, Refusal> {
        let visitor = self.connections.get(&who).ok_or(Refusal::NoBox)?;
        let mailbox = visitor.mailbox.ok_or(Refusal::NoBox)?;
        let showed = match side {
            Side::Read => visitor.reads,
            Side::Deposit => visitor.deposits,
        };
        if !showed {
            return Err(Refusal::NoKey);
        }
        self.boxes.get(&mailbox).ok_or(Refusal::NoBox)?;
        Ok(mailbox)
    }

    fn answer(&mut self, who: Connection, answer: Answer) {
        self.transmits.push((who, Transmit::Answer(answer)));
    }

    fn refuse(&mut self, who: Connection, about: About, refusal: Refusal) {
        self.answer(who, Answer::Refused(about, refusal));
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

/// What a refusal names when nothing of what was asked was looked at.
const fn about(ask: &Ask) -> About {
    match ask {
        Ask::Open { .. } => About::Open,
        Ask::Enter { .. } => About::Enter,
        Ask::Prepare { slot, .. } | Ask::Accept { slot, .. } => About::Slot(*slot),
        _ => About::Frame,
    }
}

/// What was refused, and why.
type Refused = Result<(), (About, Refusal)>;

#[cfg(test)]
mod tests;
