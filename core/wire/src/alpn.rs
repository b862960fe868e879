//! ALPN protocol names (RFC 7301). They are readable on the wire on purpose: `starling/<version>/<role>`.
//!
//! A node that hears a version it does not speak refuses the handshake (TLS alert 120, `no_application_protocol`). The
//! dialler then says that one side runs an older Starling; it never falls back silently to something weaker.

/// Registration, sealed envelopes and presence at a home supernode.
pub const SUPER: &[u8] = b"starling/1/super";
/// The same, by whoever says first of all how its person is: those who will be told are approached during the handshake.
pub const PUBLISH: &[u8] = b"starling/1/publish";
/// Records of the global index.
pub const INDEX: &[u8] = b"starling/1/index";
/// Contacts' front doors: who is there, and where the inner endpoint is.
pub const LINK: &[u8] = b"starling/1/link";
/// Chat messages and receipts.
pub const CHAT: &[u8] = b"starling/1/chat";
/// A conversation's log at a mailbox holder.
pub const LOG: &[u8] = b"starling/1/log";
/// Call signalling.
pub const CALL: &[u8] = b"starling/1/call";
/// Voice, as datagrams.
pub const MEDIA: &[u8] = b"starling/1/media";
/// File offers and verified streams.
pub const FILE: &[u8] = b"starling/1/file";
/// Sealed datagrams, forwarded between the participants of a call.
pub const FOCUS: &[u8] = b"starling/1/focus";

/// The version in an ALPN name of ours, whatever its role; `None` for other protocols.
pub fn version(alpn: &[u8]) -> Option<u32> {
    let rest = std::str::from_utf8(alpn).ok()?.strip_prefix("starling/")?;
    let (version, role) = rest.split_once('/')?;
    if role.is_empty() || version.len() > 4 {
        return None;
    }
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_version_one_and_ends_in_a_letter_of_its_own() {
        let all = [
            SUPER, PUBLISH, INDEX, LINK, CHAT, LOG, CALL, MEDIA, FILE, FOCUS,
        ];
        let mut last: Vec<u8> = all.iter().map(|name| name[name.len() - 1]).collect();
        assert!(all.iter().all(|name| version(name) == Some(1)));
        last.sort_unstable();
        last.dedup();
        // JA4 shows the first and the last letter only.
        assert_eq!(last.len(), all.len());
    }

    #[test]
    fn foreign_names_have_no_version() {
        assert_eq!(version(b"h3"), None);
        assert_eq!(version(b"starling/1/"), None);
        assert_eq!(version(b"starling/99999/chat"), None);
        assert_eq!(version(b"starling/2/chat"), Some(2));
        assert_eq!(version(&[0xff, 0xfe]), None);
    }
}
