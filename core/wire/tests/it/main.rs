//! Everything that comes from outside, fed with what should not come.

mod fuzz;
mod mutator;
