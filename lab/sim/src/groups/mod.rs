//! Whole conversations: devices with real keys (MLS), the order of their commits, real holders with what they keep, and connections that
//! break. Devices are taken in and out, holders change, processes end and go on with what is on disk.

mod device;
pub mod world;

pub use world::{Findings, Setting, World};
