//! The overlay: which supernode is home and where contacts on the local network are, and whether the
//! network is still the same, as one client sees it; and the list
//! of all supernodes, as one of them knows it.

pub mod crowd;
pub mod dial_back;
pub mod home;
pub mod lan;
pub mod membership;
pub mod promotion;
pub mod qualification;
pub mod shares;
pub mod standby;
pub mod surroundings;
