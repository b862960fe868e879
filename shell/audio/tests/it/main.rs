//! Sound through files, through a killed process and through a real sound server; and what should not come in.

mod devices;
mod follow;
mod fuzz;
mod killed;
mod mutator;
mod processing;
mod sound_server;
