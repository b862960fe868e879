//! One-to-one calls. [`calls`] is the machine of a device: one call at a time, who is busy, what happens when two people
//! call each other, whether sound flows. [`leg`] is the signalling of one call as one side sees it; [`switchboard`] is the
//! verdict about an invitation. Spec page: `docs/spec/call.md`.

pub mod calls;
pub mod leg;
pub mod switchboard;
