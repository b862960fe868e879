//! What a store keeps of a holder, in memory: for tests and the simulator, where a holder dies and comes back.

use std::collections::BTreeMap;

use starling_wire::frame::encode_body;
use starling_wire::ids::{EntryId, EpochTag, MailboxId};
use starling_wire::log::Entry;
use starling_wire::log::grant::Grant;
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::grounds::Grounds;
use starling_wire::ordering::{Ballot, Slot};

use super::{Holder, Persist, Restored, Setup};
use crate::machine::Time;
use crate::mailbox::shelf::Item;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    boxes: BTreeMap<MailboxId, Restored>,
    entries: BTreeMap<(MailboxId, u64), (Entry, u32)>,
    slots: BTreeMap<(MailboxId, Slot), Written>,
    grants: Vec<(Grant, MailboxId)>,
    over: BTreeMap<MailboxId, u32>,
}

/// A slot.
#[derive(Debug, Clone)]
enum Written {
    Register(Option<Ballot>, Option<(Ballot, EntryId)>, Grounds),
    Settled(Certificate, Option<EpochTag>),
}

impl Disk {
    /// Writes one thing.
    pub fn write(&mut self, persist: Persist) {
        match persist {
            Persist::Opened {
                mailbox,
                plan,
                grant,
                day,
            } => {
                self.grants.push((grant, mailbox));
                self.boxes.insert(mailbox, Restored::new(plan, day));
            }
            Persist::Used { mailbox, day } => self.change(mailbox, |kept| kept.used_day = day),
            Persist::Keep {
                number,
                until_day,
                entry,
            } => {
                let mailbox = entry.head().mailbox;
                self.change(mailbox, |kept| kept.last = number);
                self.entries.insert((mailbox, number), (entry, until_day));
            }
            Persist::Drop {
                mailbox,
                numbers,
                dropped,
            } => {
                self.change(mailbox, |kept| kept.dropped = dropped);
                for number in numbers {
                    self.entries.remove(&(mailbox, number));
                }
            }
            Persist::Closing { mailbox, day } => {
                self.change(mailbox, |kept| kept.closing = Some(day));
            }
            Persist::Over {
                mailbox,
                remembered,
            } => self.end(mailbox, remembered),
            Persist::Forget { before } => {
                self.grants.retain(|(grant, _)| grant.until_day >= before);
                self.over.retain(|_, until| *until >= before);
            }
            Persist::Register { .. } | Persist::Settled { .. } | Persist::Next { .. } => {
                self.write_slot(persist);
            }
        }
    }

    fn write_slot(&mut self, persist: Persist) {
        match persist {
            Persist::Register {
                mailbox,
                slot,
                promised,
                accepted,
                grounds,
            } => {
                let kept = || self.grounds(mailbox, slot).cloned();
                let grounds = grounds.or_else(kept).unwrap_or_default();
                let register = Written::Register(promised, accepted, grounds);
                self.slots.insert((mailbox, slot), register);
            }
            Persist::Settled {
                mailbox,
                certificate,
                next,
            } => {
                let slot = certificate.slot();
                let settled = Written::Settled(certificate, next);
                self.slots.insert((mailbox, slot), settled);
            }
            Persist::Next {
                mailbox,
                slot,
                next,
            } => {
                if let Some(Written::Settled(_, begins)) = self.slots.get_mut(&(mailbox, slot)) {
                    *begins = Some(next);
                }
            }
            _ => {}
        }
    }

    /// An entry.
    pub fn entry(&self, mailbox: MailboxId, number: u64) -> Option<&Entry> {
        self.entries.get(&(mailbox, number)).map(|(entry, _)| entry)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|(entry, _)| entry)
    }

    /// The grounds of what was agreed to at an open slot.
    pub fn grounds(&self, mailbox: MailboxId, slot: Slot) -> Option<&Grounds> {
        match self.slots.get(&(mailbox, slot))? {
            Written::Register(_, _, grounds) => Some(grounds),
            Written::Settled(..) => None,
        }
    }

    /// A slot's certificate.
    pub fn certificate(&self, mailbox: MailboxId, slot: Slot) -> Option<&Certificate> {
        match self.slots.get(&(mailbox, slot))? {
            Written::Settled(certificate, _) => Some(certificate),
            Written::Register(..) => None,
        }
    }

    /// A holder that knows what was written.
    pub fn restore(&self, setup: Setup, now: Time) -> Holder {
        let mut holder = Holder::new(setup);
        for kept in self.boxes.values() {
            holder.restore_box(kept.clone(), now);
        }
        for ((mailbox, number), (entry, until_day)) in &self.entries {
            holder.restore_entry(*mailbox, *number, Item::of(entry, *until_day));
        }
        for ((mailbox, slot), written) in &self.slots {
            let place = (*mailbox, *slot);
            match written {
                Written::Register(promised, accepted, grounds) => {
                    let bytes = encode_body(grounds).len() as u64;
                    holder.restore_register(place, *promised, *accepted, bytes);
                }
                Written::Settled(certificate, next) => {
                    let bytes = encode_body(certificate).len() as u64;
                    holder.restore_settled(place, (certificate.entry(), *next), bytes, now);
                }
            }
        }
        for (grant, mailbox) in &self.grants {
            holder.restore_grant(*grant, *mailbox);
        }
        for (mailbox, until) in &self.over {
            holder.restore_over(*mailbox, *until);
        }
        holder
    }

    fn change(&mut self, mailbox: MailboxId, change: impl FnOnce(&mut Restored)) {
        if let Some(kept) = self.boxes.get_mut(&mailbox) {
            change(kept);
        }
    }

    fn end(&mut self, mailbox: MailboxId, remembered: Option<u32>) {
        self.boxes.remove(&mailbox);
        self.entries.retain(|(of, _), _| *of != mailbox);
        self.slots.retain(|(of, _), _| *of != mailbox);
        if let Some(until) = remembered {
            self.over.insert(mailbox, until);
        }
    }
}
