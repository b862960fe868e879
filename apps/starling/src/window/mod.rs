//! The window: a web page server on loopback, rendered by this binary and shown by the installed browser as an app window.
//!
//! It is one client of the local API among others: everything shown comes from a [`starling_control::view`], everything done is
//! a [`starling_control::Command`]. Who may ask stands in `guard`, how our own browser gets in stands in `entrance`. Pages are
//! complete without JavaScript; with it, changes arrive as server-sent events (`live`) that carry HTML fragments.

mod action;
mod doorway;
mod entrance;
mod guard;
mod live;
mod multipart;
mod open;
mod pages;
mod picture;
mod secret;
mod server;
mod upload;

pub use open::{Opened, open};
pub use server::{Window, WindowError};
