//! The overlay as one client sees it: which supernode is home.

pub mod home;
