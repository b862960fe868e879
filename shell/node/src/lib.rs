//! The running peer: sockets, timers, files and devices around the pure machines of `core/`.

pub mod control;

pub use control::ControlHandle;
