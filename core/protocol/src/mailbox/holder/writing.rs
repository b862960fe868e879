//! What is left in a box.

use std::sync::Arc;

use starling_wire::ids::MailboxId;
use starling_wire::log::frames::{About, Refusal};
use starling_wire::log::keys::Side;
use starling_wire::log::{BODY_MAX, Entry, Head, KEPT_DAYS, Kind};
use starling_wire::ordering::statement::Receipt;

use super::{Connection, DEPOSITS, Holder, Persist, Refused, Transmit};
use crate::machine::Time;
use crate::mailbox::shelf::Item;

impl Holder {
    pub(super) fn deposit(
        &mut self,
        who: Connection,
        head: Head,
        body: Arc<[u8]>,
        now: Time,
    ) -> Refused {
        let id = head.id(&body);
        let refused = |why| (About::Entry(id), why);
        let mailbox = self.box_of(who, Side::Deposit).map_err(refused)?;
        self.pace(mailbox, &head, now).map_err(refused)?;
        let Some(kept) = self.boxes.get(&mailbox) else {
            return Err(refused(Refusal::NoBox));
        };
        // BOX-12: the same again is answered as before.
        if let Some(number) = kept.shelf.number(id) {
            self.receipt(who, mailbox, number);
            return Ok(());
        }
        // BOX-03
        let verified = head.verify(body, mailbox, &kept.public.deposit);
        let entry = verified.map_err(|_| refused(Refusal::BadEntry))?;
        if let Err(why) = self.may_keep(mailbox, &entry, now) {
            if why == Refusal::Stale {
                let slot = head.slot;
                self.transmits
                    .push((who, Transmit::Certificate { mailbox, slot }));
            }
            return Err(refused(why));
        }
        let number = self.keep(mailbox, entry).map_err(refused)?;
        self.receipt(who, mailbox, number);
        self.feed(mailbox);
        Ok(())
    }

    /// `BOX-10`: how often something is left in a box.
    fn pace(&mut self, mailbox: MailboxId, head: &Head, now: Time) -> Result<(), Refusal> {
        let kept = self.boxes.get_mut(&mailbox).ok_or(Refusal::NoBox)?;
        let counts = (head.body_bytes as usize).div_ceil(BODY_MAX);
        // What is larger takes more turns, and the last of them decides.
        let taken = (0..counts).filter(|_| kept.deposits.take(DEPOSITS, now));
        match taken.count() == counts {
            true => Ok(()),
            false => Err(Refusal::TooOften),
        }
    }

    /// Whether an entry belongs here and now.
    fn may_keep(&self, mailbox: MailboxId, entry: &Entry, now: Time) -> Result<(), Refusal> {
        let kept = self.boxes.get(&mailbox).ok_or(Refusal::NoBox)?;
        let head = entry.head();
        if kept.is_closed(self.today) {
            return Err(Refusal::Closed);
        }
        // BOX-20: who stops takes what is needed to choose another one.
        if self.leaving.is_some() && head.kind == Kind::Message {
            return Err(Refusal::Leaving);
        }
        // BOX-14: what is said belongs to an epoch that goes on; a proposal to a slot that is open.
        let stale = match head.kind {
            Kind::Message => kept.slots.is_stale(head.slot, now),
            Kind::Commit { .. } | Kind::ExternalCommit { .. } => kept
                .slots
                .settled_on(head.slot)
                .is_some_and(|settled| settled != entry.id()),
            Kind::Certificate | Kind::GroupInfo | Kind::Moved | Kind::Welcome => false,
        };
        if stale { Err(Refusal::Stale) } else { Ok(()) }
    }

    fn keep(&mut self, mailbox: MailboxId, entry: Entry) -> Result<u64, Refusal> {
        let until_day = self.today + KEPT_DAYS;
        let kept = self.boxes.get(&mailbox).ok_or(Refusal::NoBox)?;
        let item = Item::of(&entry, until_day);
        // BOX-09
        let room = kept.shelf.make_room(&item, &kept.slots);
        let gone = room.ok_or(Refusal::BoxFull)?;
        // BOX-19: nothing is driven out of a box that is about to close.
        if !gone.is_empty() && kept.closing.is_some() {
            return Err(Refusal::BoxFull);
        }
        // BOX-11
        let freed = gone.iter().filter_map(|number| kept.shelf.get(*number));
        let freed: u64 = freed.map(|item| item.cost).sum();
        let entries = self.entries + 1 - gone.len();
        if entries > self.caps.entries || self.bytes + item.cost - freed > self.caps.bytes {
            return Err(Refusal::HolderFull);
        }
        if !gone.is_empty() {
            self.drop_entries(mailbox, gone, true);
        }
        let kept = self.boxes.get_mut(&mailbox).ok_or(Refusal::NoBox)?;
        let number = kept.shelf.add(item);
        self.entries += 1;
        self.bytes += item.cost;
        let next = item.kind.next();
        let next = next.filter(|next| kept.slots.note_next(item.slot, item.id, *next));
        self.persists.push(Persist::Keep {
            number,
            until_day,
            entry,
        });
        if let Some(next) = next {
            let slot = item.slot;
            self.persists.push(Persist::Next {
                mailbox,
                slot,
                next,
            });
        }
        Ok(number)
    }

    fn receipt(&mut self, who: Connection, mailbox: MailboxId, number: u64) {
        let kept = self.boxes.get(&mailbox);
        let Some(item) = kept.and_then(|kept| kept.shelf.get(number)) else {
            return;
        };
        let receipt = Receipt {
            seat: self.seat(mailbox),
            entry: item.id,
            number,
            until_day: item.until_day,
        };
        self.transmits.push((who, Transmit::Receipt(receipt)));
    }
}
