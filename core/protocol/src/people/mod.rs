//! People: requests, answers, blocking.

pub mod requests;
