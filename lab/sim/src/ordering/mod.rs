//! The ordering of a group's commits, checked: every interleaving of one slot ([`slot`]), and whole groups through loss, parting, crashes
//! and a lie ([`world`]).

mod bits;
pub mod findings;
mod holder;
mod person;
pub mod slot;
pub mod world;
