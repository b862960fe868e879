//! Rooms in which a node forwards sealed datagrams between participants (spec page `forwarding.md`): today the two of a call
//! that find no direct way.

pub mod focus;
pub mod participant;
