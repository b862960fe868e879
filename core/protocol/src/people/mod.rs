//! People: requests, answers, blocking; what a device learns about its own account from outside; and the mailbox where strangers
//! leave their letters.

pub mod asking;
pub mod mailbox;
pub mod own_record;
pub mod requests;
