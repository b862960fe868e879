//! The application's parts as a library, so that its tests can reach them: the window.

pub mod window;
