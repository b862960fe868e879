//! Boxes: how they are opened, entered and closed, what day it is, and what was there before a restart.

use std::collections::BTreeSet;

use starling_wire::ids::{EntryId, EpochTag, MailboxId};
use starling_wire::log::frames::{About, Answer, Refusal};
use starling_wire::log::grant::{Grant, Token};
use starling_wire::log::keys::{Plan, Side};
use starling_wire::ordering::{Ballot, Slot};

use super::{
    CLOSING_DAYS, CONNECTIONS_PER_BOX_MAX, Connection, DEPOSITS, Holder, Kept, LEFTOVER_DAYS,
    Persist, REMEMBERED_DAYS, REMEMBERED_MAX, Refused, UNUSED_DAYS,
};
use crate::machine::Time;
use crate::mailbox::register::Register;
use crate::mailbox::shelf::{Item, Shelf};
use crate::mailbox::slots::Slots;
use crate::tokens::Tokens;

/// A box as it was kept.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What it follows from.
    pub plan: Plan,
    /// When it was used last.
    pub used_day: u32,
    /// The last day on which it takes anything, if it was closed.
    pub closing: Option<u32>,
    /// The highest number that was given.
    pub last: u64,
    /// The highest of those that made room.
    pub dropped: u64,
}

impl Restored {
    /// A box that was opened on this day.
    pub const fn new(plan: Plan, used_day: u32) -> Self {
        Self {
            plan,
            used_day,
            closing: None,
            last: 0,
            dropped: 0,
        }
    }
}

impl Holder {
    /// A box that was kept. Before its entries and slots.
    pub fn restore_box(&mut self, restored: Restored, now: Time) {
        let mailbox = restored.plan.mailbox(self.own);
        if let Some(mut kept) = self.kept(&restored.plan, restored.used_day, now) {
            kept.closing = restored.closing;
            kept.shelf = Shelf::restored(restored.last, restored.dropped);
            self.boxes.insert(mailbox, kept);
        }
    }

    /// An entry that was kept.
    pub fn restore_entry(&mut self, mailbox: MailboxId, number: u64, item: Item) {
        if let Some(kept) = self.boxes.get_mut(&mailbox) {
            self.entries += 1;
            self.bytes += item.cost;
            kept.shelf.restore(number, item);
        }
    }

    /// A register that was kept, with so many bytes of grounds.
    pub fn restore_register(
        &mut self,
        (mailbox, slot): (MailboxId, Slot),
        promised: Option<Ballot>,
        accepted: Option<(Ballot, EntryId)>,
        bytes: u64,
    ) {
        if let Some(kept) = self.boxes.get_mut(&mailbox) {
            let before = kept.slots.bytes();
            kept.slots.put(slot, Register::restored(promised, accepted));
            kept.slots.weigh(slot, bytes);
            self.bytes += kept.slots.bytes() - before;
        }
    }

    /// A slot whose certificate was kept, with so many bytes.
    pub fn restore_settled(
        &mut self,
        (mailbox, slot): (MailboxId, Slot),
        (entry, next): (EntryId, Option<EpochTag>),
        bytes: u64,
        now: Time,
    ) {
        if let Some(kept) = self.boxes.get_mut(&mailbox) {
            let before = kept.slots.bytes();
            kept.slots.settle(slot, entry, next, now);
            kept.slots.weigh(slot, bytes);
            self.bytes += kept.slots.bytes() - before;
        }
    }

    /// A grant that was used.
    pub fn restore_grant(&mut self, grant: Grant, mailbox: MailboxId) {
        let used = (mailbox, grant.until_day);
        self.used_grants.insert((grant.issuer, grant.serial), used);
    }

    /// A box that is over and remembered.
    pub fn restore_over(&mut self, mailbox: MailboxId, until_day: u32) {
        self.over.insert(mailbox, until_day);
    }

    /// `BOX-13`: another day has come, or a start: what is over goes. A day before the last one is a clock that was set back.
    pub fn handle_day(&mut self, today: u32) {
        self.assert_drained();
        self.today = self.today.max(today);
        let today = self.today;
        let mailboxes: Vec<MailboxId> = self.boxes.keys().copied().collect();
        for mailbox in mailboxes {
            let Some(kept) = self.boxes.get_mut(&mailbox) else {
                continue;
            };
            // Who is connected for days uses it, too.
            if !kept.visitors.is_empty() && kept.used_day < today {
                kept.used_day = today;
                self.persists.push(Persist::Used {
                    mailbox,
                    day: today,
                });
            }
            let expired = kept.shelf.expired(today);
            if kept.is_over(today, expired.len()) {
                self.end_box(mailbox);
            } else if !expired.is_empty() {
                self.drop_entries(mailbox, expired, false);
            }
        }
        let counts = |until: u32| until >= today;
        let before = self.used_grants.len() + self.over.len();
        self.used_grants.retain(|_, (_, until)| counts(*until));
        self.over.retain(|_, until| counts(*until));
        if self.used_grants.len() + self.over.len() < before {
            self.persists.push(Persist::Forget { before: today });
        }
    }

    pub(super) fn open(&mut self, who: Connection, token: Token, plan: Plan, now: Time) -> Refused {
        let refused = |why| Err((About::Open, why));
        let mailbox = plan.mailbox(self.own);
        if self.boxes.contains_key(&mailbox) {
            self.answer(who, Answer::Opened(mailbox));
            return Ok(());
        }
        if self.leaving.is_some() {
            return refused(Refusal::Leaving);
        }
        // BOX-07: a grant is good for one box; a box that decided something is not opened a second time.
        let Token::Granted(signed) = token;
        let verified = signed.verify(self.today, |issuer| self.issuers.contains(&issuer));
        let Ok(grant) = verified else {
            return refused(Refusal::NoGrant);
        };
        let used = self.used_grants.get(&(grant.issuer, grant.serial));
        if used.is_some_and(|(opened, _)| *opened != mailbox) {
            return refused(Refusal::NoGrant);
        }
        if self.over.contains_key(&mailbox) {
            return refused(Refusal::Closed);
        }
        // BOX-11
        if self.boxes.len() >= self.caps.boxes {
            return refused(Refusal::HolderFull);
        }
        let today = self.today;
        let Some(kept) = self.kept(&plan, today, now) else {
            return refused(Refusal::NoBox);
        };
        self.boxes.insert(mailbox, kept);
        self.restore_grant(grant, mailbox);
        self.persists.push(Persist::Opened {
            mailbox,
            plan,
            grant,
            day: today,
        });
        self.answer(who, Answer::Opened(mailbox));
        Ok(())
    }

    pub(super) fn enter(
        &mut self,
        who: Connection,
        mailbox: MailboxId,
        (side, proof): (Side, ([u8; 32], [u8; 32])),
    ) -> Refused {
        let refused = |why| Err((About::Enter, why));
        let (Some(visitor), Some(kept)) = (self.connections.get(&who), self.boxes.get(&mailbox))
        else {
            return refused(Refusal::NoBox);
        };
        // BOX-08: one box for each connection.
        if visitor.mailbox.is_some_and(|other| other != mailbox) {
            return refused(Refusal::NoBox);
        }
        let known = kept.visitors.contains(&who);
        if !known && kept.visitors.len() >= CONNECTIONS_PER_BOX_MAX {
            return refused(Refusal::HolderFull);
        }
        // BOX-05
        if !side.is_proved(&kept.public, mailbox, self.ends(visitor), proof) {
            return refused(Refusal::NoKey);
        }
        self.let_in(who, mailbox, side);
        Ok(())
    }

    fn let_in(&mut self, who: Connection, mailbox: MailboxId, side: Side) {
        let (today, leaving) = (self.today, self.leaving.is_some());
        let (Some(visitor), Some(kept)) =
            (self.connections.get_mut(&who), self.boxes.get_mut(&mailbox))
        else {
            return;
        };
        visitor.mailbox = Some(mailbox);
        match side {
            Side::Read => visitor.reads = true,
            Side::Deposit => visitor.deposits = true,
        }
        kept.visitors.insert(who);
        let closing = kept.closing;
        if kept.used_day < today {
            kept.used_day = today;
            self.persists.push(Persist::Used {
                mailbox,
                day: today,
            });
        }
        self.answer(who, Answer::Entered(side));
        if let Some(day) = closing {
            self.answer(who, Answer::Closing { day });
        }
        if leaving {
            self.answer(who, Answer::Leaving);
        }
    }

    /// `BOX-19`: a box is closed by whoever can write to it. It goes on for a day, all who are there are told, and nothing in it makes
    /// room any more.
    pub(super) fn close(&mut self, who: Connection) -> Refused {
        let mailbox = self
            .box_of(who, Side::Deposit)
            .map_err(|why| (About::Frame, why))?;
        let day = self.today + CLOSING_DAYS;
        let Some(kept) = self.boxes.get_mut(&mailbox) else {
            return Ok(());
        };
        let told = match kept.closing {
            Some(day) => {
                self.answer(who, Answer::Closing { day });
                return Ok(());
            }
            None => kept.visitors.iter().copied().collect::<Vec<_>>(),
        };
        kept.closing = Some(day);
        self.persists.push(Persist::Closing { mailbox, day });
        for visitor in told {
            self.answer(visitor, Answer::Closing { day });
        }
        Ok(())
    }

    /// Takes entries away; `early` if they made room.
    pub(super) fn drop_entries(&mut self, mailbox: MailboxId, numbers: Vec<u64>, early: bool) {
        let Some(kept) = self.boxes.get_mut(&mailbox) else {
            return;
        };
        let before = kept.shelf.len();
        self.bytes -= kept.shelf.remove(&numbers, early);
        self.entries -= before - kept.shelf.len();
        self.persists.push(Persist::Drop {
            mailbox,
            numbers,
            dropped: kept.shelf.dropped(),
        });
    }

    fn end_box(&mut self, mailbox: MailboxId) {
        let Some(kept) = self.boxes.remove(&mailbox) else {
            return;
        };
        self.entries -= kept.shelf.len();
        self.bytes -= kept.shelf.bytes() + kept.slots.bytes();
        for who in &kept.visitors {
            if let Some(visitor) = self.connections.get_mut(who) {
                visitor.follows = None;
            }
        }
        let decided = !kept.slots.is_empty();
        let remembered = decided.then_some(self.today + REMEMBERED_DAYS);
        if let Some(until) = remembered {
            if self.over.len() >= REMEMBERED_MAX
                && let Some(first) = self.over.iter().min_by_key(|(_, until)| **until)
            {
                let first = *first.0;
                self.over.remove(&first);
            }
            self.over.insert(mailbox, until);
        }
        self.persists.push(Persist::Over {
            mailbox,
            remembered,
        });
    }

    /// A new box for this holder; `None` if it is not in the plan.
    fn kept(&self, plan: &Plan, used_day: u32, now: Time) -> Option<Kept> {
        let public = *plan.at(self.own)?;
        Some(Kept {
            public,
            holders: plan.holders(),
            shelf: Shelf::default(),
            slots: Slots::new(plan.first),
            used_day,
            closing: None,
            deposits: Tokens::full(DEPOSITS, now),
            visitors: BTreeSet::new(),
        })
    }
}

impl Kept {
    /// Whether nobody needs the box any more, once so many of its entries are gone.
    fn is_over(&self, today: u32, expired: usize) -> bool {
        if self.shelf.len() > expired {
            return false;
        }
        let closed = self.closing.is_some_and(|day| day < today);
        let untouched = self.shelf.is_empty() && self.slots.is_empty();
        let days = if untouched {
            LEFTOVER_DAYS
        } else {
            UNUSED_DAYS
        };
        closed || self.used_day.saturating_add(days) < today
    }

    /// Whether it takes nothing any more.
    pub(super) fn is_closed(&self, today: u32) -> bool {
        self.closing.is_some_and(|day| day < today)
    }
}
