//! What is read from a box: page by page, as it comes, or by id.

use starling_wire::ids::{EntryId, MailboxId};
use starling_wire::log::frames::{About, Answer, PAGE_ENTRIES_MAX, Refusal};
use starling_wire::log::keys::Side;

use super::{Connection, Holder, Refused, Transmit};

impl Holder {
    pub(super) fn fetch(&mut self, who: Connection, after: u64, limit: u16) -> Refused {
        let mailbox = self.readable(who)?;
        self.send_page(who, mailbox, after, limit);
        Ok(())
    }

    pub(super) fn follow(&mut self, who: Connection, after: u64, credit: u16) -> Refused {
        let mailbox = self.readable(who)?;
        if let Some(visitor) = self.connections.get_mut(&who) {
            visitor.follows = Some((after, credit));
        }
        self.feed_one(who, mailbox, true);
        Ok(())
    }

    pub(super) fn get(&mut self, who: Connection, entries: &[EntryId]) -> Refused {
        let mailbox = self.readable(who)?;
        for id in entries {
            let kept = self.boxes.get(&mailbox);
            match kept.and_then(|kept| kept.shelf.number(*id)) {
                Some(number) => self
                    .transmits
                    .push((who, Transmit::Entry { mailbox, number })),
                None => self.refuse(who, About::Entry(*id), Refusal::NoEntry),
            }
        }
        Ok(())
    }

    /// Something was left: whoever follows gets it.
    pub(super) fn feed(&mut self, mailbox: MailboxId) {
        let Some(kept) = self.boxes.get(&mailbox) else {
            return;
        };
        let visitors: Vec<Connection> = kept.visitors.iter().copied().collect();
        for who in visitors {
            self.feed_one(who, mailbox, false);
        }
    }

    /// Sends a follower what it has not got, as far as its credit goes; the end is told when it is used up, and at first.
    fn feed_one(&mut self, who: Connection, mailbox: MailboxId, first: bool) {
        loop {
            let visitor = self.connections.get(&who);
            let Some((after, credit)) = visitor.and_then(|visitor| visitor.follows) else {
                return;
            };
            let Some(kept) = self.boxes.get(&mailbox) else {
                return;
            };
            let page = kept.shelf.page(after, credit.min(PAGE_ENTRIES_MAX));
            let sent = u16::try_from(page.numbers.len()).unwrap_or(credit);
            let left = credit.saturating_sub(sent);
            let dropped = kept.shelf.dropped();
            for number in page.numbers {
                self.transmits
                    .push((who, Transmit::Entry { mailbox, number }));
            }
            if let Some(visitor) = self.connections.get_mut(&who) {
                visitor.follows = (left > 0).then_some((page.up_to, left));
            }
            if left == 0 || (first && !page.more) {
                self.answer(
                    who,
                    Answer::Page {
                        up_to: page.up_to,
                        more: left == 0,
                        dropped,
                    },
                );
            }
            if left == 0 || !page.more {
                return;
            }
        }
    }

    fn send_page(&mut self, who: Connection, mailbox: MailboxId, after: u64, limit: u16) {
        let Some(kept) = self.boxes.get(&mailbox) else {
            return;
        };
        let page = kept.shelf.page(after, limit);
        let answer = Answer::Page {
            up_to: page.up_to,
            more: page.more,
            dropped: kept.shelf.dropped(),
        };
        for number in page.numbers {
            self.transmits
                .push((who, Transmit::Entry { mailbox, number }));
        }
        self.answer(who, answer);
    }

    fn readable(&self, who: Connection) -> Result<MailboxId, (About, Refusal)> {
        self.box_of(who, Side::Read)
            .map_err(|why| (About::Frame, why))
    }
}
