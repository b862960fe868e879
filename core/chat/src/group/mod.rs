//! Conversations of many: what their members may do (spec page "group"). The keys are [`crate::mls`]'s, which commit ends an epoch
//! is [`crate::order`]'s.

pub mod rules;
