//! Unique names: who has which ([`book`]), who gives them ([`registrar`]), who keeps the log of it ([`mirror`]), and who looks
//! whether everybody is shown the same ([`watch`]).

pub mod book;
pub mod mirror;
pub mod registrar;
pub mod watch;
