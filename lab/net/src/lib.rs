//! The network laboratory: emulated links, NATs, speech scores and the benchmark table.
//!
//! Everything here runs in network namespaces that the lab makes itself and that vanish with the
//! process; nothing touches the machine's own network. Times are [`std::time::Duration`], rates are
//! bits per second of IP packets, sound is mono `f32` in -1..1.

pub mod actor;
pub mod align;
pub mod bench;
pub mod capture;
pub mod cost;
pub mod demo;
pub mod ear;
pub mod echo;
pub mod error;
pub mod groups;
pub mod host;
pub mod link_model;
pub mod link_tun;
pub mod matrix;
pub mod namespace;
pub mod nat;
pub mod net;
pub mod pulse;
pub mod resample;
pub mod score;
pub mod series;
pub mod stoi;
pub mod story;
pub mod voice;

pub use actor::{Actor, ActorError, Place, Seat};
pub use capture::Capture;
pub use error::LabError;
pub use host::{Host, InterfaceCounters};
pub use link_model::{Bursts, DropReason, Line, QueueLimit};
pub use link_tun::PairStats;
pub use namespace::{HostProcess, Namespace};
pub use nat::{Access, NatLab};
pub use net::Net;
