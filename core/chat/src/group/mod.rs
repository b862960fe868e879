//! Conversations of many: one device's side of one group, with everything that belongs to it. [`Conversation`] is the machine that a driver
//! runs; it is made of the keys ([`crate::mls`]), the order of commits ([`crate::order`]), where the group stands ([`ground`]), what its
//! members may do ([`rules`]) and what they want changed ([`changes`]).
//!
//! The loop contract is that of all machines: `handle_*` in; then [`Conversation::poll_persist`], [`Conversation::poll_transmit`],
//! [`Conversation::poll_event`] until each is empty; then [`Conversation::poll_timeout`]. The device's keys are lent to each input. What they changed
//! ([`crate::mls::Client::take_changes`]) and all that `poll_persist` gives are one transaction, committed before anything of the same drain is sent
//! or shown.

pub mod changes;
pub mod conversation;
pub mod ground;
pub mod outputs;
mod questions;
mod reading;
pub mod rules;

pub use changes::{Edit, Wish, WishError};
pub use conversation::{Conversation, SayError};
pub use ground::Ground;
