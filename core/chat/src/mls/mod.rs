//! Groups of devices that encrypt for each other: MLS (RFC 9420), by openmls, all of which is behind this module. No type of openmls
//! stands in what is public here, and its API may change with each of its versions.
//!
//! [`Client`] is a device in all its groups; it owns their keys as rows, which a driver stores. A [`Group`] is one of them in hand: it
//! stages changes, opens and seals messages, merges commits, makes and restores copies. Nothing here decides which commit
//! ends an epoch: that is the order's, to which a group is opaque bytes and tags ([`crate::group::ground`]).
//!
//! - **One commit, one meaning.** A commit is read without changing anything: it can be read again, after a crash or by a rival
//!   branch, and comes out the same. What is wrong with it is [`Void`] (all members say so) or [`Mine`] (this device rejoins).
//! - **Own commits** cannot be read from the wire; they are known by their hash, and merged from the rows they wait in.
//! - **Our own record** of a group (roles, topic, holders) is one opaque string in its context: members agree on it as they agree
//!   on the keys.
//! - **Clock.** openmls compares key packages' lifetimes with the wall clock; that is the one exception to the rule that core has
//!   no clock. Ours end beyond every clock ([`key_package`] says why). Every other time is given.
//! - **Chance.** Keys and nonces come from openmls' provider, which seeds itself from the operating system. No test depends on
//!   their bytes, and no decision here does.

mod client;
mod error;
mod fork;
mod group;
mod identity;
mod join;
mod judge;
pub mod key_package;
mod open;
mod rows;
mod stage;
mod storage;
mod suite;

#[doc(hidden)]
pub mod fuzz;

pub use client::{Client, ClientError};
pub use error::{
    CreateError, JoinError, KeyPackageError, MergeError, Mine, OpenError, SealError, StageError,
    StateError, Void,
};
pub use group::{Group, Leaf};
pub use identity::IdentityError;
pub use join::Joined;
pub use key_package::KeyPackage;
pub use open::{Commit, Looked, Opened, Text};
pub use rows::{Branch, Changes, FORMAT, LoadError, Value};
pub use stage::{Change, Outgoing};
pub use suite::Suite;

/// The extension of the group context that holds our record (private use, RFC 9420 section 17.3).
const CONTEXT_EXTENSION: u16 = 0xf574;
/// Our record of a group, in bytes.
pub const CONTEXT_MAX: usize = starling_wire::group::GROUP_RECORD_MAX;
/// Leaves of one group.
pub const LEAVES_MAX: usize = 4_096;
/// Leaves that one commit may add: their Welcome stays small, and joiners look for themselves in a short list.
pub const ADDS_MAX: usize = 50;
/// Leaves up to which a Welcome carries the tree.
pub const TREE_INSIDE_MAX: usize = 50;
/// The content of one message, in bytes.
pub const TEXT_MAX: usize = 64 * 1024;
/// A message or commit as it comes, in bytes.
pub const MESSAGE_MAX: usize = 1024 * 1024;
/// A Welcome, a group's state or its tree, in bytes.
pub const TREE_MAX: usize = 16 * 1024 * 1024;
/// Epochs before the present one whose messages are still read.
pub const PAST_EPOCHS: usize = 2;
/// Messages of one author that may come out of order.
pub const OUT_OF_ORDER_MAX: u32 = 200;
/// Messages of one author that may be missing before one that is opened.
pub const FORWARD_MAX: u32 = 20_000;

/// The label under which an epoch's tag is exported.
const TAG_LABEL: &str = "starling epoch";
