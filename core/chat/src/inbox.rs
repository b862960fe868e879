//! What comes in: checked, then handed to the store in batches. One batch is with the store at a time; what arrives
//! meanwhile makes the next one, so a slow disk makes larger batches instead of a longer queue of them.

use starling_wire::chat::{ChatError, ChatMessage, check_text};
use starling_wire::ids::MessageId;

use crate::conversation::LinkId;

/// Messages that may wait for the store; a driver reads no more frames while there are so many (`CHAT-07`).
pub const UNSTORED_MAX: usize = 1_024;
/// The latest time that is shown: the end of the year 9999, in Unix milliseconds.
pub const SENT_AT_MAX: u64 = 253_402_300_799_999;

/// What the store is to do in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// For [`Outcome::number`].
    pub number: u64,
    /// Messages of theirs, in the order in which they came.
    pub incoming: Vec<ChatMessage>,
    /// Messages of ours that they have.
    pub delivered: Vec<MessageId>,
}

/// What the store did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of the batch.
    pub number: u64,
    /// Incoming messages that were not known yet (`CHAT-03`), in order.
    pub fresh: Vec<MessageId>,
    /// Messages of ours that had no receipt before.
    pub delivered: Vec<MessageId>,
}

/// Checked input on its way to the store.
#[derive(Debug, Default)]
pub struct Inbox {
    waiting: Vec<(LinkId, ChatMessage)>,
    delivered: Vec<MessageId>,
    /// The batch that is with the store: its number, and where its messages came from.
    with_store: Option<(u64, Vec<(LinkId, MessageId)>)>,
    /// Whether it notes receipts of theirs.
    notes_receipts: bool,
    batches: u64,
}

impl Inbox {
    /// A message came (`CHAT-01`, `CHAT-06`).
    pub fn message(&mut self, link: LinkId, mut message: ChatMessage) -> Result<(), ChatError> {
        check_text(&message.text)?;
        // CHAT-06: the author's clock is shown, never trusted: order is that of storage.
        message.sent_at = message.sent_at.min(SENT_AT_MAX);
        self.waiting.push((link, message));
        Ok(())
    }

    /// Receipts came for these messages of ours, which were in flight.
    pub fn delivered(&mut self, ids: impl IntoIterator<Item = MessageId>) {
        self.delivered.extend(ids);
    }

    /// The next batch, unless one is with the store.
    pub fn batch(&mut self) -> Option<Batch> {
        let nothing = self.waiting.is_empty() && self.delivered.is_empty();
        if nothing || self.with_store.is_some() {
            return None;
        }
        self.batches += 1;
        let waiting = std::mem::take(&mut self.waiting);
        let sources = waiting
            .iter()
            .map(|(link, message)| (*link, message.id))
            .collect();
        self.with_store = Some((self.batches, sources));
        self.notes_receipts = !self.delivered.is_empty();
        Some(Batch {
            number: self.batches,
            incoming: waiting.into_iter().map(|(_, message)| message).collect(),
            delivered: std::mem::take(&mut self.delivered),
        })
    }

    /// The store committed the batch: these may be receipted now (`CHAT-04`), also the ones it knew before, since their
    /// first receipt may be lost. Nothing for a batch that was given up.
    pub fn stored(&mut self, number: u64) -> Vec<(LinkId, MessageId)> {
        match self.with_store.take_if(|(current, _)| *current == number) {
            Some((_, sources)) => sources,
            None => Vec::new(),
        }
    }

    /// The store could not: everything on its way is forgotten. Without a receipt it comes again. `true` if receipts of theirs were
    /// among it: their messages wait in the store as if they had none.
    pub fn give_up(&mut self) -> bool {
        self.waiting.clear();
        let noting = self.with_store.take().is_some() && self.notes_receipts;
        !std::mem::take(&mut self.delivered).is_empty() || noting
    }

    /// Whether a driver may read further frames (`CHAT-07`).
    pub fn has_room(&self) -> bool {
        let with_store = self
            .with_store
            .as_ref()
            .map_or(0, |(_, sources)| sources.len());
        self.waiting.len() + with_store < UNSTORED_MAX
    }

    /// Whether nothing is on its way to the store.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.delivered.is_empty() && self.with_store.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    fn message(number: u8, text: &str) -> ChatMessage {
        ChatMessage {
            id: MessageId([number; 16]),
            sent_at: 1_795_500_000_000,
            text: text.to_owned(),
        }
    }

    #[test]
    fn chat_01_an_empty_text_never_reaches_the_store() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.message(LINK, message(1, " ")), Err(ChatError::Empty));
        assert_eq!(inbox.batch(), None);
    }

    #[test]
    fn chat_04_a_receipt_is_due_only_after_the_commit_and_also_for_what_was_known() {
        let mut inbox = Inbox::default();
        inbox.message(LINK, message(1, "hello")).unwrap();
        let batch = inbox.batch().unwrap();
        inbox.message(LINK, message(2, "are you there?")).unwrap();
        assert_eq!(inbox.batch(), None, "one batch at a time");
        assert_eq!(inbox.stored(batch.number + 1), [], "another batch's answer");
        assert_eq!(inbox.stored(batch.number), [(LINK, MessageId([1; 16]))]);
        let next = inbox.batch().unwrap();
        assert_eq!(next.incoming.len(), 1);
        inbox.give_up();
        assert_eq!(
            inbox.stored(next.number),
            [],
            "nothing is said of a batch given up"
        );
        assert!(inbox.is_empty());
    }

    #[test]
    fn chat_06_a_clock_from_the_end_of_time_is_shown_as_the_year_9999() {
        let mut inbox = Inbox::default();
        let late = ChatMessage {
            sent_at: u64::MAX,
            ..message(1, "hello")
        };
        inbox.message(LINK, late).unwrap();
        assert_eq!(inbox.batch().unwrap().incoming[0].sent_at, SENT_AT_MAX);
    }

    #[test]
    fn chat_07_a_flood_stops_at_the_bound_until_the_store_has_it() {
        let mut inbox = Inbox::default();
        let mut taken = 0;
        while inbox.has_room() {
            inbox.message(LINK, message(1, "flood")).unwrap();
            taken += 1;
        }
        assert_eq!(taken, UNSTORED_MAX);
        let batch = inbox.batch().unwrap();
        assert!(!inbox.has_room(), "with the store is not stored");
        inbox.stored(batch.number);
        assert!(inbox.has_room());
    }
}
