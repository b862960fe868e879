//! Several devices of one account: how another one joins ([`pairing`]).

pub mod pairing;
