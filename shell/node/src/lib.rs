//! The running peer: sockets, timers, files and devices around the pure machines of `core/`.

pub mod abouts;
mod announce;
pub mod backup;
pub mod book;
pub mod bulk;
pub mod clock;
pub mod config;
pub mod context;
pub mod control;
pub mod db;
pub mod descriptors;
pub mod drivers;
pub mod echo;
mod ending;
pub mod identity;
mod joining;
pub mod lock;
mod media_path;
mod network;
pub mod node;
pub mod own;
pub mod own_set;
pub mod paths;
pub mod recovery;
pub mod relaying;
mod restore;
pub mod roles;
pub mod session;
pub mod status;
pub mod strangers;
pub mod traffic;
pub mod transport;

pub use config::NodeConfig;
pub use control::ControlHandle;
pub use node::{Node, NodeError};
pub use starling_store::StoreError;
