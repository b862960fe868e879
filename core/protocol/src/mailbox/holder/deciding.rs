//! What a holder says of slots: its registers, whose turn it is, certificates.

use serde::Serialize;
use starling_wire::frame;
use starling_wire::ids::{EntryId, MailboxId};
use starling_wire::log::frames::{About, Answer, Refusal};
use starling_wire::log::keys::Side;
use starling_wire::ordering::choice::SignedCertificate;
use starling_wire::ordering::grounds::{Grounds, SignedGrounds};
use starling_wire::ordering::statement::{Promise, Signed};
use starling_wire::ordering::{Ballot, Slot};

use super::{Connection, Holder, Kept, Persist, Refused, SLOT_COST, Transmit};
use crate::machine::Time;
use crate::mailbox::register::{self, Place, Register};
use crate::mailbox::slots::Standing;
use crate::mailbox::turns::Drawn;

impl Holder {
    pub(super) fn prepare(
        &mut self,
        who: Connection,
        (slot, ballot): (Slot, Ballot),
        seen: Option<Signed<Promise>>,
        now: Time,
    ) -> Refused {
        let Some((mailbox, register)) = self.open_register(who, slot)? else {
            return Ok(());
        };
        let seen = seen.and_then(|seen| self.promised_elsewhere(mailbox, slot, seen));
        // BOX-16: what would not be promised in any case does not wait.
        if !register.may_promise(ballot, seen) {
            self.tell_promise(who, mailbox, slot);
        } else if self.turns.ask((mailbox, slot), who, ballot, now) {
            self.promise(who, (mailbox, slot), ballot, now);
        }
        Ok(())
    }

    /// The ballot that another holder of the slot promised.
    fn promised_elsewhere(
        &self,
        mailbox: MailboxId,
        slot: Slot,
        seen: Signed<Promise>,
    ) -> Option<Ballot> {
        let seen = seen.verify().ok()?;
        let holders = &self.boxes.get(&mailbox)?.holders;
        let fits = seen.get().slot == slot && holders.has(seen.get().seat);
        fits.then_some(seen.get().ballot)
    }

    pub(super) fn accept(
        &mut self,
        who: Connection,
        (slot, ballot): (Slot, Ballot),
        entry: EntryId,
        grounds: SignedGrounds,
        now: Time,
    ) -> Refused {
        let Some((mailbox, mut register)) = self.open_register(who, slot)? else {
            return Ok(());
        };
        let refused = |why| Err((About::Slot(slot), why));
        let Some(kept) = self.boxes.get(&mailbox) else {
            return refused(Refusal::NoBox);
        };
        // BOX-17: only a commit of this slot that is here.
        let number = kept.shelf.number(entry);
        let item = number.and_then(|number| kept.shelf.get(number));
        if !item.is_some_and(|item| item.slot == slot && item.kind.next().is_some()) {
            return refused(Refusal::NoEntry);
        }
        let place = self.place(kept, mailbox, slot);
        let agreed = match register.has_agreed(ballot, entry) {
            Ok(true) => register.accept(place, ballot, entry, &Grounds::default()),
            Ok(false) => {
                let grounds = grounds.verify(&kept.holders, slot, (ballot, entry));
                let grounds = grounds.map_err(|_| (About::Slot(slot), Refusal::NotAllowed))?;
                let vote = register.accept(place, ballot, entry, &grounds);
                self.put(mailbox, slot, register, Some(grounds))
                    .map_err(|why| (About::Slot(slot), why))?;
                vote
            }
            Err(why) => Err(why),
        };
        match agreed {
            Ok(vote) => {
                self.turns.begin((mailbox, slot), who, now);
                self.transmits.push((who, Transmit::Vote(vote)));
                Ok(())
            }
            Err(register::Refusal::Overtaken) => {
                self.tell_promise(who, mailbox, slot);
                Ok(())
            }
            Err(register::Refusal::OneEach | register::Refusal::NotAllowed) => {
                refused(Refusal::NotAllowed)
            }
        }
    }

    /// `BOX-18`: a slot is settled by a certificate of its holders, and by nothing else.
    pub(super) fn settle(
        &mut self,
        who: Connection,
        signed: SignedCertificate,
        now: Time,
    ) -> Refused {
        let Some(slot) = signed.votes.first().map(|vote| vote.statement.slot) else {
            return Err((About::Frame, Refusal::BadCertificate));
        };
        let refused = |why| (About::Slot(slot), why);
        let mailbox = self.box_of(who, Side::Deposit).map_err(refused)?;
        let Some(kept) = self.boxes.get_mut(&mailbox) else {
            return Err(refused(Refusal::NoBox));
        };
        if kept.slots.settled_on(slot).is_some() {
            self.tell_settled(who, mailbox, slot);
            return Ok(());
        }
        if kept.is_closed(self.today) {
            return Err(refused(Refusal::Closed));
        }
        let verified = signed.verify(&kept.holders);
        let certificate = verified.map_err(|_| refused(Refusal::BadCertificate))?;
        let entry = certificate.entry();
        let number = kept.shelf.number(entry);
        let item = number.and_then(|number| kept.shelf.get(number));
        let next = item.and_then(|item| item.kind.next());
        let before = kept.slots.bytes();
        if !kept.slots.settle(slot, entry, next, now) {
            return Err(refused(Refusal::BoxFull));
        }
        kept.slots.weigh(slot, written(&certificate));
        self.bytes = self.bytes - before + kept.slots.bytes();
        self.persists.push(Persist::Settled {
            mailbox,
            certificate,
            next,
        });
        let mut told: Vec<Connection> = kept.visitors.iter().copied().collect();
        told.retain(|visitor| {
            let visitor = self.connections.get(visitor);
            visitor.is_some_and(|visitor| visitor.follows.is_some())
        });
        told.extend(self.turns.end((mailbox, slot)));
        told.push(who);
        told.sort_unstable();
        told.dedup();
        for visitor in told {
            self.tell_settled(visitor, mailbox, slot);
        }
        Ok(())
    }

    pub(super) fn state(&mut self, who: Connection, slots: &[Slot]) -> Refused {
        let mailbox = self
            .box_of(who, Side::Read)
            .or_else(|_| self.box_of(who, Side::Deposit))
            .map_err(|why| (About::Frame, why))?;
        for slot in slots {
            let kept = self.boxes.get(&mailbox);
            match kept.and_then(|kept| kept.slots.get(*slot)) {
                Some(Standing::Settled { .. }) => self.tell_settled(who, mailbox, *slot),
                Some(Standing::Open(_)) => self.tell_promise(who, mailbox, *slot),
                None => self.answer(who, Answer::Untouched(*slot)),
            }
        }
        Ok(())
    }

    /// Somebody was drawn among those who waited; the others hear which ballot is in their way.
    pub(super) fn give_turn(&mut self, drawn: Drawn<(MailboxId, Slot), Connection>, now: Time) {
        let (who, ballot) = drawn.next;
        self.promise(who, drawn.slot, ballot, now);
        let (mailbox, slot) = drawn.slot;
        for other in drawn.others {
            self.tell_promise(other, mailbox, slot);
        }
    }

    /// The register that somebody may ask of; `None` if the slot is settled, which he was told.
    fn open_register(
        &mut self,
        who: Connection,
        slot: Slot,
    ) -> Result<Option<(MailboxId, Register)>, (About, Refusal)> {
        let refused = |why| (About::Slot(slot), why);
        let mailbox = self.box_of(who, Side::Deposit).map_err(refused)?;
        let Some(kept) = self.boxes.get(&mailbox) else {
            return Err(refused(Refusal::NoBox));
        };
        if kept.slots.settled_on(slot).is_some() {
            self.tell_settled(who, mailbox, slot);
            return Ok(None);
        }
        if kept.is_closed(self.today) {
            return Err(refused(Refusal::Closed));
        }
        let register = kept.slots.register(slot).map_err(refused)?;
        // BOX-11
        if kept.slots.get(slot).is_none() && self.bytes + SLOT_COST > self.caps.bytes {
            return Err(refused(Refusal::HolderFull));
        }
        Ok(Some((mailbox, register)))
    }

    /// Promises a ballot whose number was looked at, unless a higher one was promised meanwhile.
    fn promise(
        &mut self,
        who: Connection,
        (mailbox, slot): (MailboxId, Slot),
        ballot: Ballot,
        now: Time,
    ) {
        let kept = self.boxes.get(&mailbox);
        let Some(Ok(mut register)) = kept.map(|kept| kept.slots.register(slot)) else {
            return;
        };
        let promised = register.prepare(ballot, Some(ballot));
        if promised && self.put(mailbox, slot, register, None).is_ok() {
            self.turns.begin((mailbox, slot), who, now);
        }
        self.tell_promise(who, mailbox, slot);
    }

    /// Keeps a register, and the grounds of what was agreed to when that changed.
    fn put(
        &mut self,
        mailbox: MailboxId,
        slot: Slot,
        register: Register,
        grounds: Option<Grounds>,
    ) -> Result<(), Refusal> {
        let kept = self.boxes.get_mut(&mailbox).ok_or(Refusal::NoBox)?;
        let before = kept.slots.bytes();
        // BOX-11: grounds that are longer than a slot's share have to find room.
        let weight = grounds.as_ref().map(written);
        let beyond = weight.map_or(0, |bytes| bytes.saturating_sub(SLOT_COST));
        if self.bytes + beyond > self.caps.bytes {
            return Err(Refusal::HolderFull);
        }
        kept.slots.put(slot, register);
        if let Some(bytes) = weight {
            kept.slots.weigh(slot, bytes);
        }
        self.bytes = self.bytes - before + kept.slots.bytes();
        let (promised, accepted) = register.kept();
        self.persists.push(Persist::Register {
            mailbox,
            slot,
            promised,
            accepted,
            grounds,
        });
        Ok(())
    }

    fn place<'a>(&self, kept: &'a Kept, mailbox: MailboxId, slot: Slot) -> Place<'a> {
        Place {
            holders: &kept.holders,
            seat: self.seat(mailbox),
            slot,
        }
    }

    fn tell_promise(&mut self, who: Connection, mailbox: MailboxId, slot: Slot) {
        let Some(kept) = self.boxes.get(&mailbox) else {
            return;
        };
        let place = self.place(kept, mailbox, slot);
        let register = kept.slots.register(slot).ok();
        match register.and_then(|register| register.promise(place)) {
            Some(promise) => self.transmits.push((who, Transmit::Promise(promise))),
            None => self.refuse(who, About::Slot(slot), Refusal::NotAllowed),
        }
    }

    fn tell_settled(&mut self, who: Connection, mailbox: MailboxId, slot: Slot) {
        self.transmits
            .push((who, Transmit::Certificate { mailbox, slot }));
    }
}

/// How many bytes it takes on disk.
fn written(kept: &impl Serialize) -> u64 {
    frame::encode_body(kept).len() as u64
}
