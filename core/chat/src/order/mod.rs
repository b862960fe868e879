//! Which commit ends an epoch: the members' side (spec page "ordering", ADR 15).
//!
//! [`proposer::Proposer`] brings one entry, ours or one that may be settled already, through one slot.

pub mod chain;
pub mod evidence;
pub mod group;
pub mod member;
#[doc(hidden)]
pub mod pretend;
pub mod proposer;
