//! The control server: who may ask, how a request reaches the node, how events reach the clients.

mod calls;
pub mod commands;
mod contacts;
mod devices;
pub mod handle;
mod names;
mod presence;
pub mod socket;

pub use handle::{ControlHandle, ControlInbox};
