//! The running peer: sockets, timers, files and devices around the pure machines of `core/`.

pub mod bulk;
pub mod clock;
pub mod config;
pub mod control;
pub mod drivers;
pub mod echo;
pub mod lock;
pub mod transport;

pub use config::NodeConfig;
pub use control::ControlHandle;
