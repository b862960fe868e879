//! Conversations between contacts, pure: which message is sent when, what is stored before what is said, and what a
//! receipt means. The wire form stands in `wire::chat`, the protocol in `docs/spec/chat.md`.
//!
//! [`Conversation`] is the machine a driver runs, one per contact. It is made of [`outbox::Outbox`] (what we say),
//! [`inbox::Inbox`] (what we hear) and [`receipts::Receipts`] (what we confirm).
//!
//! The loop contract that all machines obey, as it applies here:
//! - In: `handle_*`, each with `now`, the time since the node started. There is no other clock and no randomness.
//! - Out: [`Conversation::poll_persist`], [`Conversation::poll_transmit`], [`Conversation::poll_event`], emptied in this
//!   order before the next input; then [`Conversation::poll_timeout`].
//! - A batch from `poll_persist` is one transaction, committed before anything of the same drain is sent; its outcome
//!   comes back by [`Conversation::handle_persisted`]. Receipts and arrivals follow only from that, so "receipted" means
//!   "on disk".
//! - The store is the queue. The machine holds the ids in flight and asks for texts with [`Event::Load`]; after a lost
//!   link or a crash it reads again what has no receipt. Nothing here has to be saved.
//!
//! What is said in a conversation of many is a [`transcript`]: pure, too, and the same for all whatever the order in which
//! messages come.
//!
//! # Where group encryption goes (part 5)
//!
//! Today a link's transport encrypts, and a message goes straight to a device of the contact. With MLS the seam is:
//! between [`outbox::Outbox`] and [`Transmit`] a text becomes ciphertext, in the transaction that stores it; between
//! a received frame and [`inbox::Inbox`] ciphertext becomes a text. Both sides of the seam keep their shape: ids,
//! windows, receipts and the order of effects do not depend on what the bytes in between look like.

pub mod conversation;
pub mod group;
pub mod inbox;
pub mod mls;
pub mod order;
pub mod outbox;
pub mod receipts;
pub mod transcript;

#[doc(hidden)]
pub mod fuzz;

pub use conversation::{
    CloseReason, Conversation, Deadline, Event, LinkId, Reach, Reason, Transmit,
};
pub use inbox::{Batch, Outcome};
pub use outbox::Load;
