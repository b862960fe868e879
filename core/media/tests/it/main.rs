//! The voice path from outside: whole calls over networks of every kind, and bytes that should not come.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod call;
#[path = "../../../wire/tests/it/corpus.rs"]
mod corpus;
mod drift;
mod fuzz;
mod hostile;
mod mutator;
mod network;
mod quiet;
mod rate;
mod redundancy;
mod steady;
mod trouble;
