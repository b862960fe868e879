//! Presence, its simple form: a front door is here while its relay link is up. Two sides: the supernode's [`desk`], which
//! knows who is here and who wants to hear of it, and the client's [`watcher`]. Beside the desk lie the [`letters`] that a
//! door is to hear of. Spec page: `docs/spec/super.md`.

pub mod desk;
pub mod letters;
pub mod watcher;
