//! The mailbox holder's side of a group's log (spec pages "ordering" and "mailbox").

pub mod register;
