//! What a profile keeps on disk: one SQLite database encrypted with SQLCipher, and the files it receives.
//!
//! [`Store`] opens the database, [`StoreHandle`] runs it behind one writer thread with group commit. Everything that is
//! read or written goes through a [`Tx`] and the typed functions of the modules below; no SQL leaves this crate.
//!
//! Units: times are Unix milliseconds unless a name ends in `_s` (Unix seconds), sizes are bytes.

pub mod about;
pub mod blobs;
pub mod calls;
pub mod contact_profiles;
pub mod contacts;
pub mod conversations;
pub mod delivery;
pub mod error;
pub mod history;
pub mod host_cache;
pub mod index_records;
pub mod introductions;
pub mod key;
pub mod key_packages;
pub mod letters;
pub mod logs;
pub mod mailbox;
pub mod messages;
pub mod name_log;
pub mod name_search;
pub mod networks;
pub mod outbox;
pub mod own_names;
pub mod own_parts;
pub mod own_set;
pub mod profile;
pub mod registrar;
pub mod requests;
pub mod rescue;
pub mod search;
pub mod settings;
pub mod supernode;
pub mod transfers;

mod database;
mod handle;
mod migrate;
mod tx;

pub use database::{DATABASE_FILE, Store};
pub use error::StoreError;
pub use handle::StoreHandle;
pub use tx::Tx;
