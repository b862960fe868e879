//! One driver per protocol: it owns the machine, moves its frames, runs its timers, commits what must be durable before
//! anything is sent. Drivers do not call each other, but for a few that others use (`meet`, `letters`, `name_asking`, `registration`, `records`);
//! `session.rs` holds the table of who hears what.

pub mod boxes;
pub mod calls;
pub mod chat;
pub mod devices;
pub mod files;
pub mod forwarder;
pub mod holder;
pub mod home;
pub mod key_packages;
pub mod lan;
pub mod letters;
pub mod meet;
pub mod name_asking;
pub mod name_office;
pub mod names;
pub mod notices;
pub mod people;
pub mod presence;
pub mod profiles;
pub mod promotion;
pub mod records;
pub mod registration;
pub mod rescue;
pub mod rounds;
pub mod supernode;
pub mod surroundings;
pub mod turns;
pub mod views;
