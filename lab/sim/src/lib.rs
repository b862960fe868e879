//! The simulator: thousands of nodes in one process, driven by the overlay's and the index's own machines.
//!
//! Nothing of a machine is modelled here; only what lies between them is: delays, processors, deaths, liars. Signatures are
//! counted and not computed. One seed, one result: a scenario's report is a file that the next run must repeat.
//!
//! Times are [`std::time::Duration`] since the start of the world.

pub mod chance;
pub mod client;
pub mod groups;
pub mod mailbox;
pub mod message;
pub mod nat;
pub mod ordering;
pub mod places;
pub mod queue;
pub mod report;
pub mod scenario;
pub mod supernode;
pub mod world;
