//! Groups of devices: what works, what a hostile member can do, and what a crash leaves.

pub mod cast;
mod forks;
mod fuzz;
mod hostile;
mod mallory;
mod random;
mod stored;
mod together;
