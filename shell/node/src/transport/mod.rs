//! Sockets: iroh endpoints, the ways to a relay, the embedded relay server, certificates, frames on streams, congestion
//! control.

pub mod congestion;
pub mod dial;
pub mod endpoint;
pub mod front_door;
pub mod http_head;
pub mod inner;
pub mod ladder;
pub mod names;
pub mod overlay;
pub mod packets;
pub mod pins;
pub mod proxy;
pub mod reach;
pub mod relay_server;
pub mod requests;
pub mod scout;
pub mod shim;
pub mod stream;
