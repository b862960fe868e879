//! Receipts that wait to be sent, per link: at most [`FLUSH_AFTER`] long or [`FLUSH_AT`] of them, so that one frame
//! confirms many messages. A receipt is only put here after its message is on disk (`CHAT-04`).

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::chat::ChatFrame;
use starling_wire::ids::MessageId;
use starling_wire::limits::RECEIPT_IDS_MAX;

use crate::conversation::LinkId;

/// How long a receipt waits for others.
pub const FLUSH_AFTER: Duration = Duration::from_millis(20);
/// How many make the wait pointless.
pub const FLUSH_AT: usize = 100;

/// Receipts not sent yet.
#[derive(Debug, Default)]
pub struct Receipts {
    waiting: BTreeMap<LinkId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ids: Vec<MessageId>,
    due: Duration,
}

impl Receipts {
    /// A message that came over `link` is on disk.
    pub fn add(&mut self, link: LinkId, id: MessageId, now: Duration) {
        let waiting = self.waiting.entry(link).or_insert_with(|| Waiting {
            ids: Vec::new(),
            due: now + FLUSH_AFTER,
        });
        waiting.ids.push(id);
        if waiting.ids.len() >= FLUSH_AT {
            waiting.due = now;
        }
    }

    /// A link is gone; its messages come again over another one and are confirmed there.
    pub fn forget(&mut self, link: LinkId) {
        self.waiting.remove(&link);
    }

    /// The frames that are due.
    pub fn flush(&mut self, now: Duration) -> Vec<(LinkId, ChatFrame)> {
        let due = self.waiting.extract_if(.., |_, waiting| waiting.due <= now);
        let frames = due.flat_map(|(link, waiting)| {
            let chunks = waiting.ids.chunks(RECEIPT_IDS_MAX);
            let frames: Vec<_> = chunks
                .map(|ids| (link, ChatFrame::Receipt { ids: ids.to_vec() }))
                .collect();
            frames
        });
        frames.collect()
    }

    /// When the next ones are due.
    pub fn due(&self) -> Option<Duration> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);
    const START: Duration = Duration::from_secs(5);

    fn id(number: usize) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        MessageId(id)
    }

    #[test]
    fn one_receipt_waits_for_others_but_not_long() {
        let mut receipts = Receipts::default();
        receipts.add(LINK, id(1), START);
        receipts.add(LINK, id(2), START + FLUSH_AFTER / 2);
        assert_eq!(receipts.due(), Some(START + FLUSH_AFTER));
        assert_eq!(receipts.flush(START + FLUSH_AFTER / 2), []);
        let frame = ChatFrame::Receipt {
            ids: vec![id(1), id(2)],
        };
        assert_eq!(receipts.flush(START + FLUSH_AFTER), [(LINK, frame)]);
        assert!(receipts.is_empty());
        assert_eq!(receipts.due(), None);
    }

    #[test]
    fn chat_02_many_receipts_go_at_once_in_frames_within_the_bound() {
        let mut receipts = Receipts::default();
        for number in 0..2 * RECEIPT_IDS_MAX + 1 {
            receipts.add(LINK, id(number), START);
        }
        let frames = receipts.flush(START);
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|(_, frame)| frame.check().is_ok()));
    }

    #[test]
    fn a_link_that_is_gone_confirms_nothing() {
        let mut receipts = Receipts::default();
        receipts.add(LINK, id(1), START);
        receipts.add(LinkId(2), id(1), START);
        receipts.forget(LINK);
        let frames = receipts.flush(START + FLUSH_AFTER);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].0, LinkId(2));
    }
}
