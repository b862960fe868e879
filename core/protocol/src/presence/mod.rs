//! Presence: how a person is, told to those who may know. The supernode's side is the [`desk`], which knows who is here and
//! who wants to hear of it and can read nothing; the client's are the [`publisher`], which says how its own person is, and the
//! [`watcher`]; what several devices of a contact say together is [`person`]. Beside the desk lie the [`letters`] that a door is
//! to hear of, and what is [`untold`] to those who watch. Spec page: `docs/spec/presence.md`.

pub mod desk;
pub mod letters;
pub mod person;
pub mod publisher;
pub mod untold;
pub mod watcher;
