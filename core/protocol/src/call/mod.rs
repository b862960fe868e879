//! One-to-one calls. [`leg`] is one call as one side sees it; [`switchboard`] holds all of a device's calls: one at a
//! time, who is busy, what happens when two people call each other. Spec page: `docs/spec/call.md`.

pub mod leg;
pub mod switchboard;
