//! People: requests, answers, blocking; and what a device learns about its own account from outside.

pub mod asking;
pub mod own_record;
pub mod requests;
