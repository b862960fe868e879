//! Everything two Starling nodes must agree on, and nothing else: ids, keys, signed records, frames and limits.
//!
//! Pure: bytes in, values out. Each protocol has one module with its ALPN name, its frames and its bounds; the pages in
//! `docs/spec/` describe the same in prose. Bytes from outside are bounded before anything is allocated for them, and
//! what has not been verified has another type than what has ([`account::Chain`] and [`account::VerifiedAccount`]).

pub mod account;
pub mod alpn;
pub mod call;
pub mod card;
pub mod chat;
pub mod conference;
pub mod content;
pub mod credential;
pub mod descriptor;
pub mod discovery;
pub mod ending;
pub mod envelope;
pub mod file;
pub mod frame;
pub mod group;
pub mod http_head;
pub mod ids;
pub mod invitation;
pub mod key_package;
pub mod limits;
pub mod link;
pub mod log;
pub mod name;
pub mod name_claim;
pub mod name_log;
pub mod name_query;
pub mod network;
pub mod ordering;
pub mod overlay;
pub mod own_name;
pub mod packet;
pub mod pairing;
pub mod peer;
pub mod permissions;
pub mod phrase;
pub mod placement;
pub mod policy;
pub mod postage;
pub mod presence;
pub mod profile;
pub mod proxy;
pub mod record;
pub mod registration;
pub mod rescue;
pub mod sealing;
pub mod shown_name;
pub mod speaker;
pub mod supernode;
pub mod sync;
pub mod tunnel;
pub mod verification;

#[doc(hidden)]
pub mod fuzz;
