//! Secrets of one run: 256 random bits as base64url text (RFC 4648), compared in constant time, never printed.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// One secret.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// From the system's random source.
    pub fn fresh() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes)))
    }

    /// For the one place that hands it out.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `given` is it. Takes the same time wherever the two differ; the length is no secret.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_alone_and_is_not_printed() {
        let (one, other) = (Secret::fresh().unwrap(), Secret::fresh().unwrap());
        assert!(one.matches(one.text()));
        assert!(!one.matches(other.text()));
        assert!(!one.matches(&one.text()[1..]));
        assert!(!one.matches(""));
        assert_eq!(one.text().len(), 43);
        assert_eq!(format!("{one:?}"), "Secret(hidden)");
    }
}
