//! A member's side when something is collected: from each holder what came after the last time, each entry once, and names for what is
//! missing (`BOX-22`, `BOX-23`).
//!
//! Entries come out as [`Persist::Entry`], in the same drain as the cursor that they move: the driver keeps both in one transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::log::frames::{About, Answer, Ask, ENTRIES_ASKED_MAX, Refusal};
use starling_wire::log::{Entry, Head};
use starling_wire::ordering::Seat;
use starling_wire::ordering::choice::SignedCertificate;

use crate::machine::{Deadline, Outputs, Time};

/// A holder that says nothing for so long, while we are online ourselves, is dead: another one is needed.
pub const DEAD_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Entries that a holder sends until it is asked again.
pub const CREDIT: u16 = 512;
/// Ids that are remembered, so that the same entry of another holder is no news.
const SEEN_MAX: usize = 40_000;
/// Entries that are looked for by id.
pub const WANTED_MAX: usize = 1_000;

/// One of the conversation's holders.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its seat.
    pub seat: Seat,
    /// The public half of the box's deposit key.
    pub deposit_key: [u8; 32],
}

/// What must be on disk before anything else is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// An entry that was not seen before.
    Entry(Entry),
    /// A holder was read up to here.
    Cursor {
        /// Which.
        holder: EndpointKey,
        /// The number.
        number: u64,
    },
}

/// What is asked of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Whom.
    pub holder: EndpointKey,
    /// What.
    pub ask: Ask,
}

/// What is to be done or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// All that a holder had when it was asked is here.
    CaughtUp(EndpointKey),
    /// A holder says that a slot is settled; nobody has looked at the certificate.
    Settled(Box<SignedCertificate>),
    /// At this holder entries made room before they were read: some of those after `after`, up to `up_to`.
    Gap {
        /// Where.
        holder: EndpointKey,
        /// Read up to here.
        after: u64,
        /// The last one that made room.
        up_to: u64,
    },
    /// No holder has this entry.
    Missing(EntryId),
    /// A holder sent what no member signed.
    Wrong(EndpointKey),
    /// A holder has no such box.
    NoBox(EndpointKey),
    /// A holder stops, or was silent for a day: another one is needed.
    Lost(EndpointKey),
    /// A box takes nothing after this day.
    Closing(EndpointKey, u32),
}

/// Why it wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A holder was silent for a day.
    Silent,
}

/// What one device collects of one conversation.
#[derive(Debug)]
pub struct Collector {
    holders: Vec<Holder>,
    online: bool,
    seen: BTreeSet<EntryId>,
    seen_in_order: VecDeque<EntryId>,
    /// What is looked for, and who does not have it.
    wanted: BTreeMap<EntryId, BTreeSet<EndpointKey>>,
    persists: Outputs<Persist>,
    transmits: Outputs<Transmit>,
    events: Outputs<Event>,
}

#[derive(Debug)]
struct Holder {
    source: Source,
    cursor: u64,
    connected: bool,
    /// After which number it was asked last, until it has answered.
    asked_after: Option<u64>,
    /// What it was asked for by id.
    asked_for: BTreeSet<EntryId>,
    /// How long nothing was heard that was waited for, up to `waiting_since`.
    silent: Duration,
    waiting_since: Option<Time>,
    dead: bool,
}

impl Collector {
    /// From these holders, three at most; nothing was read yet, and we are offline.
    pub fn new(sources: Vec<Source>) -> Self {
        let holder = |source| Holder {
            source,
            cursor: 0,
            connected: false,
            asked_after: None,
            asked_for: BTreeSet::new(),
            silent: Duration::ZERO,
            waiting_since: None,
            dead: false,
        };
        Self {
            holders: sources.into_iter().map(holder).collect(),
            online: false,
            seen: BTreeSet::new(),
            seen_in_order: VecDeque::new(),
            wanted: BTreeMap::new(),
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Up to where a holder was read before.
    pub fn restore_cursor(&mut self, holder: EndpointKey, number: u64) {
        if let Some(holder) = self.holder(holder) {
            holder.cursor = number;
        }
    }

    /// An entry that is here already, also one of our own.
    pub fn note_seen(&mut self, entry: EntryId) {
        if self.seen.insert(entry) {
            self.seen_in_order.push_back(entry);
        }
        if self.seen.len() > SEEN_MAX
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    /// We have a network: holders that do not answer are to blame for it from now on.
    pub fn handle_online(&mut self, now: Time) {
        self.assert_drained();
        self.online = true;
        for one in &mut self.holders {
            one.waiting_since.get_or_insert(now);
        }
    }

    /// We have none.
    pub fn handle_offline(&mut self, now: Time) {
        self.assert_drained();
        self.online = false;
        for one in &mut self.holders {
            one.lost();
            one.silent = one.silent_at(now);
            one.waiting_since = None;
        }
    }

    /// A holder was reached, and the read key was shown there.
    pub fn handle_connected(&mut self, holder: EndpointKey, now: Time) {
        self.assert_drained();
        let wanted: Vec<EntryId> = self.wanted.keys().copied().collect();
        if let Some(one) = self.holder(holder) {
            one.connected = true;
            one.waiting_since.get_or_insert(now);
            self.follow(holder);
            self.look_for(holder, &wanted);
        }
    }

    /// A connection is gone.
    pub fn handle_lost(&mut self, holder: EndpointKey, now: Time) {
        self.assert_drained();
        let online = self.online;
        if let Some(one) = self.holder(holder) {
            one.lost();
            if online {
                one.waiting_since.get_or_insert(now);
            }
        }
    }

    /// Somebody names an entry that is not here, as one that was seen when another was written.
    pub fn handle_wanted(&mut self, entry: EntryId) {
        self.assert_drained();
        if self.seen.contains(&entry) || self.wanted.len() >= WANTED_MAX {
            return;
        }
        self.wanted.entry(entry).or_default();
        let connected = self.holders.iter().filter(|holder| holder.connected);
        let connected: Vec<_> = connected.map(|one| one.source.seat.holder).collect();
        for holder in connected {
            self.look_for(holder, &[entry]);
        }
        self.name_missing();
    }

    /// A holder sent an entry.
    pub fn handle_item(
        &mut self,
        holder: EndpointKey,
        number: u64,
        (head, body): (Head, Arc<[u8]>),
    ) {
        self.assert_drained();
        let Some(one) = self.holder(holder) else {
            return;
        };
        one.heard();
        // BOX-22: an entry counts if a member signed it, whoever sends it.
        let Source { seat, deposit_key } = one.source;
        let Ok(entry) = head.verify(body, seat.mailbox, &deposit_key) else {
            return self.events.push(Event::Wrong(holder));
        };
        // What was asked for by id says nothing about what comes before it.
        if !one.asked_for.remove(&entry.id()) && number > one.cursor {
            one.cursor = number;
            self.persists.push(Persist::Cursor { holder, number });
        }
        self.wanted.remove(&entry.id());
        if self.seen.contains(&entry.id()) {
            return;
        }
        self.note_seen(entry.id());
        self.persists.push(Persist::Entry(entry));
    }

    /// A holder answered anything but an entry.
    pub fn handle_answer(&mut self, holder: EndpointKey, answer: Answer) {
        self.assert_drained();
        let Some(one) = self.holder(holder) else {
            return;
        };
        one.heard();
        match answer {
            Answer::Page {
                up_to,
                more,
                dropped,
            } => self.page(holder, (up_to, more), dropped),
            Answer::Settled(certificate) => self.events.push(Event::Settled(certificate)),
            Answer::Closing { day } => self.events.push(Event::Closing(holder, day)),
            Answer::Leaving => self.events.push(Event::Lost(holder)),
            Answer::Refused(About::Entry(entry), Refusal::NoEntry) => {
                one.asked_for.remove(&entry);
                if let Some(lacking) = self.wanted.get_mut(&entry) {
                    lacking.insert(holder);
                }
                self.name_missing();
            }
            Answer::Refused(_, Refusal::NoBox) => self.events.push(Event::NoBox(holder)),
            _ => {}
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        for one in &mut self.holders {
            // BOX-23
            if one.silent_at(now) >= DEAD_AFTER && !one.dead {
                one.dead = true;
                self.events.push(Event::Lost(one.source.seat.holder));
            }
        }
        self.name_missing();
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let alive = self.holders.iter().filter(|one| !one.dead);
        let dies = |one: &Holder| Some(one.waiting_since? + DEAD_AFTER.saturating_sub(one.silent));
        let first = alive.filter_map(dies).min();
        first.map(|at| Deadline::new(at, Wake::Silent))
    }

    /// What must be on disk first.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What to ask.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop()
    }

    /// What else.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn page(&mut self, holder: EndpointKey, (up_to, more): (u64, bool), dropped: u64) {
        let Some(one) = self.holder(holder) else {
            return;
        };
        // BOX-23: what made room before it was asked for.
        let gap = one.asked_after.take().filter(|after| dropped > *after);
        if up_to > one.cursor {
            one.cursor = up_to;
            let number = up_to;
            self.persists.push(Persist::Cursor { holder, number });
        }
        if let Some(after) = gap {
            self.events.push(Event::Gap {
                holder,
                after,
                up_to: dropped,
            });
        }
        match more {
            true => self.follow(holder),
            false => self.events.push(Event::CaughtUp(holder)),
        }
    }

    fn follow(&mut self, holder: EndpointKey) {
        if let Some(one) = self.holder(holder) {
            let after = one.cursor;
            one.asked_after = Some(after);
            let ask = Ask::Follow {
                after,
                credit: CREDIT,
            };
            self.transmits.push(Transmit { holder, ask });
        }
    }

    fn look_for(&mut self, holder: EndpointKey, entries: &[EntryId]) {
        if let Some(one) = self.holder(holder) {
            one.asked_for.extend(entries);
        }
        for part in entries.chunks(ENTRIES_ASKED_MAX) {
            let entries = part.to_vec();
            let ask = Ask::Get { entries };
            self.transmits.push(Transmit { holder, ask });
        }
    }

    /// `BOX-23`: what none of those who live has is named.
    fn name_missing(&mut self) {
        let alive = self.holders.iter().filter(|one| !one.dead);
        let alive: Vec<_> = alive.map(|one| one.source.seat.holder).collect();
        let nowhere =
            |lacking: &BTreeSet<EndpointKey>| alive.iter().all(|holder| lacking.contains(holder));
        let missing = self.wanted.iter().filter(|(_, lacking)| nowhere(lacking));
        let missing: Vec<EntryId> = missing.map(|(entry, _)| *entry).collect();
        for entry in missing {
            self.wanted.remove(&entry);
            self.events.push(Event::Missing(entry));
        }
    }

    fn holder(&mut self, holder: EndpointKey) -> Option<&mut Holder> {
        let is = |one: &&mut Holder| one.source.seat.holder == holder;
        self.holders.iter_mut().find(is)
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

impl Holder {
    const fn heard(&mut self) {
        self.silent = Duration::ZERO;
        self.waiting_since = None;
        self.dead = false;
    }

    fn lost(&mut self) {
        self.connected = false;
        self.asked_for.clear();
    }

    fn silent_at(&self, now: Time) -> Duration {
        let waiting = self.waiting_since.map(|since| now.saturating_sub(since));
        self.silent + waiting.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
