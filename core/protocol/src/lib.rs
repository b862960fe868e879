//! Conversations as state machines, one folder per protocol, one file per side. Pure: no clock, no socket, no randomness
//! but a seed. How they are driven stands in [`machine`].

pub mod backoff;
pub mod call;
pub mod conference;
pub mod device;
pub mod index;
pub mod machine;
pub mod mailbox;
pub mod names;
pub mod overlay;
pub mod pace;
pub mod people;
pub mod presence;
pub mod tokens;
pub mod transfer;
