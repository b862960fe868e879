//! What we say: messages in the order in which they were written, at most [`WINDOW`] of them without a receipt. Texts
//! stay in the store; here are only the ids in flight and how far the store was read.

use std::collections::BTreeSet;

use starling_wire::chat::ChatMessage;
use starling_wire::ids::MessageId;

use crate::conversation::LinkId;

/// Messages sent without a receipt. With a round trip of 50 ms and a commit of 5 ms this allows 6,000 a second.
pub const WINDOW: usize = 512;
/// Messages read from the store at once: 2 MiB at most.
pub const LOAD: usize = 128;

/// "Read the next messages without a receipt from the store."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// To be given back with the answer.
    pub number: u64,
    /// Those written after this one; from the beginning if `None`.
    pub after: Option<MessageId>,
    /// How many at most.
    pub limit: u32,
}

/// Messages on their way to a contact.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Where messages go.
    link: Option<LinkId>,
    in_flight: BTreeSet<MessageId>,
    /// The last message read from the store since the link came up.
    read_up_to: Option<MessageId>,
    /// Whether the store may hold more than was read.
    more: bool,
    loading: Option<u64>,
    loads: u64,
}

impl Outbox {
    /// A message was stored that has to be sent.
    pub const fn written(&mut self) {
        self.more = true;
    }

    /// From now on messages go over `link`: first everything without a receipt, in order.
    pub fn set_link(&mut self, link: Option<LinkId>) {
        // What was asked for and not answered is unread.
        self.more |= link.is_some() || self.has_something();
        self.link = link;
        self.in_flight.clear();
        self.read_up_to = None;
        self.loading = None;
    }

    /// Where messages go.
    pub const fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// What to read next, if there is a link, room in the window and something to read.
    pub fn load(&mut self) -> Option<Load> {
        let room = WINDOW - self.in_flight.len();
        if self.link.is_none() || !self.more || self.loading.is_some() || room < LOAD {
            return None;
        }
        // What is written from here on is not in this answer for certain.
        self.more = false;
        self.loads += 1;
        self.loading = Some(self.loads);
        Some(Load {
            number: self.loads,
            after: self.read_up_to,
            limit: LOAD as u32,
        })
    }

    /// The store's answer: what to send now. `last` says that the store holds no more. An answer to a question from
    /// before the link changed is dropped.
    pub fn loaded(
        &mut self,
        number: u64,
        messages: Vec<ChatMessage>,
        last: bool,
    ) -> Vec<(LinkId, ChatMessage)> {
        let Some(link) = self.link.filter(|_| self.loading == Some(number)) else {
            return Vec::new();
        };
        self.loading = None;
        self.more |= !last;
        if let Some(end) = messages.last() {
            self.read_up_to = Some(end.id);
        }
        self.in_flight
            .extend(messages.iter().map(|message| message.id));
        messages
            .into_iter()
            .map(|message| (link, message))
            .collect()
    }

    /// Receipts came. Returns those that confirm something in flight (`CHAT-05`): nobody confirms what was not sent.
    pub fn receipted(&mut self, ids: &[MessageId]) -> Vec<MessageId> {
        ids.iter()
            .copied()
            .filter(|id| self.in_flight.remove(id))
            .collect()
    }

    /// Whether receipts are missing.
    pub fn waits_for_receipts(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether there is, or may be, something to say.
    pub fn has_something(&self) -> bool {
        self.more || self.loading.is_some() || self.waits_for_receipts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    fn messages(range: std::ops::Range<u64>) -> Vec<ChatMessage> {
        let message = |number: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_le_bytes());
            ChatMessage {
                id: MessageId(id),
                sent_at: 0,
                text: number.to_string(),
            }
        };
        range.map(message).collect()
    }

    #[test]
    fn the_window_is_filled_in_order_and_never_overfilled() {
        let mut outbox = Outbox::default();
        outbox.written();
        assert_eq!(outbox.load(), None, "nobody to send to");
        outbox.set_link(Some(LINK));
        let mut next = 0;
        while let Some(load) = outbox.load() {
            assert_eq!(load.after, messages(0..next).last().map(|m| m.id));
            let read = messages(next..next + u64::from(load.limit));
            next += u64::from(load.limit);
            let sent = outbox.loaded(load.number, read.clone(), false);
            assert!(sent.into_iter().map(|(_, message)| message).eq(read));
        }
        assert_eq!(next as usize, WINDOW);
        let confirmed: Vec<_> = messages(0..LOAD as u64).iter().map(|m| m.id).collect();
        assert_eq!(outbox.receipted(&confirmed), confirmed);
        assert!(outbox.load().is_some());
    }

    #[test]
    fn chat_05_a_receipt_for_what_was_not_sent_is_ignored() {
        let mut outbox = Outbox::default();
        outbox.set_link(Some(LINK));
        let load = outbox.load().unwrap();
        let sent = messages(0..1);
        outbox.loaded(load.number, sent.clone(), true);
        assert_eq!(outbox.receipted(&[MessageId([9; 16])]), []);
        assert_eq!(outbox.receipted(&[sent[0].id]), [sent[0].id]);
        assert_eq!(outbox.receipted(&[sent[0].id]), [], "once");
        assert!(!outbox.has_something());
    }

    #[test]
    fn what_is_written_while_the_store_is_read_is_not_overlooked() {
        let mut outbox = Outbox::default();
        outbox.set_link(Some(LINK));
        let load = outbox.load().unwrap();
        outbox.written();
        assert_eq!(outbox.loaded(load.number, vec![], true), []);
        assert!(outbox.load().is_some(), "asked again");
    }

    #[test]
    fn a_link_lost_while_the_first_messages_are_read_leaves_something_to_say() {
        let mut outbox = Outbox::default();
        outbox.written();
        outbox.set_link(Some(LINK));
        assert!(outbox.load().is_some());
        outbox.set_link(None);
        assert!(outbox.has_something(), "or nobody would dial again");
    }

    #[test]
    fn a_new_link_begins_with_the_first_message_without_a_receipt() {
        let mut outbox = Outbox::default();
        outbox.set_link(Some(LINK));
        let first = outbox.load().unwrap();
        outbox.loaded(first.number, messages(0..3), false);
        let stale = outbox.load().unwrap();
        outbox.set_link(None);
        assert!(outbox.has_something());
        outbox.set_link(Some(LinkId(2)));
        assert_eq!(outbox.loaded(stale.number, messages(3..4), true), []);
        assert_eq!(outbox.load().unwrap().after, None);
    }
}
