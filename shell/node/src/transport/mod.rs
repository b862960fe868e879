//! Sockets: iroh endpoints, the embedded relay server, certificates, frames on streams, congestion control.

pub mod congestion;
pub mod dial;
pub mod endpoint;
pub mod front_door;
pub mod inner;
pub mod pins;
pub mod relay_server;
pub mod requests;
pub mod stream;
