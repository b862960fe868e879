//! Everything that comes from outside, fed with what should not come.

mod calls;
mod conference;
mod corpus;
mod credentials;
mod devices;
mod fuzz;
mod groups;
mod letters;
mod logs;
mod messages;
mod mutator;
mod name_logs;
mod profiles;
mod rescue;
