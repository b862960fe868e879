//! A conversation's log: the holder's side, and whoever leaves and collects there (spec pages "ordering" and "mailbox"). The letters
//! of a device's own mailbox are `people::mailbox`.

pub mod collector;
pub mod depositor;
pub mod holder;
pub mod register;
pub mod shelf;
pub mod slots;
pub mod turns;
