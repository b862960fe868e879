//! The local API: the only door to a running node. Window, command line, tests and bots are its clients.
//!
//! JSON-RPC 2.0, one JSON value per line, over a Unix socket (`control.sock` in the profile, peer uid checked) and, for the
//! window, in process. Ids are text as the person sees them. Times are Unix milliseconds unless a name says otherwise.
//! Types only: this crate opens nothing.

pub mod audio;
mod call;
pub mod command;
mod contacts;
pub mod event;
pub mod fuzz;
pub mod presence;
pub mod processing;
pub mod profile;
pub mod roles;
pub mod rpc;
pub mod view;

pub use command::Command;
pub use event::Event;
pub use rpc::{ErrorKind, Failure};
