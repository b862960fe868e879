//! Several devices of one account: how another one joins ([`pairing`]), and how all of them keep one set of entries ([`sync`]).

pub mod pairing;
pub mod sync;
