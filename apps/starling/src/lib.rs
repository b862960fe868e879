//! The application's parts as a library, so that its tests can reach them: the window and the command line.

mod carried;
pub mod cli;
pub mod window;
