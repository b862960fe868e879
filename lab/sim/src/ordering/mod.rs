//! The ordering of a group's commits, checked: every interleaving of one slot ([`slot`]).

mod bits;
pub mod slot;
