//! Unique names: who has which ([`book`]), who gives them ([`registrar`]) and whom he hears first ([`attendance`]), how far the log of it goes and who signed which part
//! ([`history`]), who keeps a copy ([`mirror`]), who looks whether everybody is shown the same ([`watch`]), and who may search how
//! often ([`pace`]).

pub mod attendance;
pub mod book;
pub mod history;
pub mod mirror;
pub mod pace;
pub mod registrar;
pub mod watch;
