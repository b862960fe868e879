//! Fuzz body: a line that a client of the local API sends. A plain function, run in the tests by a seeded mutator and usable
//! by `cargo fuzz` as it is.

use crate::rpc::parse_request;

/// Reads a request; one that is understood is written and read again.
pub fn request(data: &[u8]) {
    let Ok(request) = parse_request(data) else {
        return;
    };
    let line = serde_json::to_vec(&request).unwrap_or_default();
    assert_eq!(parse_request(&line).ok(), Some(request));
}
