//! The overlay as one client sees it: which supernode is home, and where contacts on the local network are.

pub mod home;
pub mod lan;
