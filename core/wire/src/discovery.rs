//! The daily token by which contacts recognise each other on a LAN. To everybody else it is 16 random bytes that change at
//! midnight UTC.

use data_encoding::HEXLOWER;

use crate::ids::AccountId;

const CONTEXT: &str = "starling 1 lan token";
const DAY_S: u64 = 24 * 3600;

/// A token as announced.
pub type Token = [u8; 16];

/// The account's token on the day that holds `now` (Unix seconds).
pub fn token(account: AccountId, discovery_key: &[u8; 32], now: u64) -> Token {
    let day = now / DAY_S;
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(discovery_key);
    hasher.update(account.as_bytes());
    hasher.update(&day.to_be_bytes());
    let mut token = [0; 16];
    token.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    token
}

/// Whether `seen` is the account's token today, yesterday or tomorrow (clocks differ).
pub fn recognises(seen: &Token, account: AccountId, discovery_key: &[u8; 32], now: u64) -> bool {
    [now.saturating_sub(DAY_S), now, now + DAY_S]
        .iter()
        .any(|day| token(account, discovery_key, *day) == *seen)
}

/// The token in the full name of an announced service, its first label; `None` if that is no token.
pub fn from_service_name(name: &str) -> Option<Token> {
    let label = name.split('.').next()?;
    // Two digits a byte: nothing longer is decoded.
    if label.len() != 2 * size_of::<Token>() {
        return None;
    }
    HEXLOWER.decode(label.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_01_a_contact_recognises_it_and_a_stranger_cannot_link_two_days() {
        let (alice, key, noon) = (AccountId([1; 32]), [2; 32], 1_800_000_000);
        let today = token(alice, &key, noon);
        assert!(recognises(&today, alice, &key, noon + DAY_S));
        assert!(!recognises(&today, alice, &key, noon + 2 * DAY_S));
        assert!(!recognises(&today, alice, &[3; 32], noon));
        assert_ne!(today, token(alice, &key, noon + DAY_S));
    }
}
