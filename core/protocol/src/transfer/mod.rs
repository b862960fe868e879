//! File transfers with one contact: offers, answers, pulls, what survives a restart. [`transfers`] is the machine; what a
//! single frame means is [`sender`]'s or [`receiver`]'s; [`plan`] says which parts of a file are fetched next. Moving the
//! bytes is the driver's. Spec page: `docs/spec/file.md`.

pub mod entry;
pub mod exchange;
pub mod plan;
pub mod receiver;
pub mod sender;
pub mod transfers;
