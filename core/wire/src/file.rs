//! Files (ALPN `starling/1/file`, between inner endpoints). The dialler's first stream carries [`FileFrame`]s both ways;
//! each further stream is one pull: a [`Pull`] frame, a [`PullAnswer`] frame, then the verified encoding of the range
//! (BLAKE3 tree in pre-order, 16 KiB groups, no header).

use serde::{Deserialize, Serialize};

use crate::ids::TransferId;
use crate::limits::{FILE_NAME_MAX, FILE_SIZE_MAX};

/// A file that somebody would like to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Chosen by the sender.
    pub id: TransferId,
    /// The sender's name for it. Never used as a path: see [`safe_file_name`].
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 hash of the whole file.
    pub root: [u8; 32],
    /// Unix milliseconds, the sender's clock.
    pub sent_at: u64,
}

/// One frame of the control stream. Everything may be said again without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFrame {
    /// Sender: an offer; repeated on every new connection until it is settled.
    Offer(Offer),
    /// Receiver: how it stands here.
    State {
        /// Which transfer.
        id: TransferId,
        /// Its state at the receiver.
        state: ReceiverState,
    },
    /// Sender: withdrawn.
    Withdraw {
        /// Which transfer.
        id: TransferId,
    },
}

/// A transfer as the receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiverState {
    /// Stored; the person was not asked or has not answered.
    Offered,
    /// The person said yes; pulls come.
    Accepted,
    /// The person said no, or cancelled.
    Declined,
    /// Complete and verified.
    Done,
    /// It cannot go on (disk full, file changed).
    Failed,
}

/// First frame of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Which transfer.
    pub id: TransferId,
    /// First group wanted.
    pub start: u64,
    /// One past the last group wanted.
    pub end: u64,
}

/// What precedes the bytes of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullAnswer {
    /// They follow.
    Bytes,
    /// The transfer was withdrawn or never existed.
    Gone,
    /// The file was changed after it was offered.
    Changed,
}

/// Bound on one frame.
pub const FILE_FRAME_MAX: usize = 1024;
/// Groups in one pull: 64 MiB.
pub const PULL_GROUPS_MAX: u64 = 4096;

/// Why an offer or a pull was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Name or size beyond the bound.
    #[error("the offered file's name or size is beyond what Starling allows")]
    TooLarge,
    /// An empty, reversed or too long range.
    #[error("the other side asked for a part of a file that cannot be")]
    Range,
}

impl Offer {
    /// `FILE-01`: bounds.
    pub const fn check(&self) -> Result<(), FileError> {
        if self.name.len() > FILE_NAME_MAX || self.size > FILE_SIZE_MAX {
            return Err(FileError::TooLarge);
        }
        Ok(())
    }
}

impl Pull {
    /// `FILE-02`: a range inside a file of `groups` groups, not too long.
    pub const fn check(&self, groups: u64) -> Result<(), FileError> {
        let inside = self.start < self.end && self.end <= groups;
        // An empty file has one empty group to verify its hash by.
        let empty = groups == 0 && self.start == 0 && self.end <= 1;
        if (inside || empty) && self.end - self.start <= PULL_GROUPS_MAX {
            return Ok(());
        }
        Err(FileError::Range)
    }
}

/// Names that other systems reserve, whatever their ending.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
const FALLBACK: &str = "file";

/// A name from outside made harmless (`FILE-03`): no folder, no hidden file, no control or direction characters, nothing
/// another system reserves, at most [`FILE_NAME_MAX`] bytes with its ending kept.
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mapped: String = last
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if is_forbidden(c) { '_' } else { c })
        .collect();
    let trimmed = mapped.trim_matches(is_edge);
    let name = if trimmed.is_empty() {
        FALLBACK
    } else {
        trimmed
    };
    let name = if is_reserved(name) {
        format!("_{name}")
    } else {
        name.to_owned()
    };
    shortened(&name, FILE_NAME_MAX)
}

/// `name`, then `name (2)`, `name (3)`: the ending stays where it is (`FILE-04`).
pub fn numbered_name(name: &str, number: u32) -> String {
    if number < 2 {
        return shortened(name, FILE_NAME_MAX);
    }
    let (stem, ending) = split_ending(name);
    let suffix = format!(" ({number}){ending}");
    let room = FILE_NAME_MAX.saturating_sub(suffix.len());
    format!("{}{suffix}", cut(stem, room).trim_end())
}

const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

const fn is_forbidden(c: char) -> bool {
    matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

fn is_reserved(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_lowercase();
    let numbered = |prefix: &str| {
        let mut rest = stem.strip_prefix(prefix).unwrap_or_default().chars();
        let digit = |c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³');
        rest.next().is_some_and(digit) && rest.next().is_none()
    };
    RESERVED.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// The ending with its dot, if it is short enough to be one.
fn split_ending(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    }
}

fn shortened(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let (stem, ending) = split_ending(name);
    let stem = cut(stem, max - ending.len());
    if ending.is_empty() {
        // The cut may have bared what other systems drop.
        return stem.trim_end_matches(is_edge).to_owned();
    }
    format!("{stem}{ending}")
}

/// What a name neither begins nor ends with: hidden here, dropped elsewhere.
fn is_edge(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Fuzz bodies: any bytes as frames of this protocol, any text as a name.
#[doc(hidden)]
pub mod fuzz {
    use super::*;
    use crate::frame;

    /// Frames of the control stream and of a pull.
    pub fn fuzz_file(data: &[u8]) {
        if let Ok(FileFrame::Offer(offer)) = frame::decode_body(data, FILE_FRAME_MAX)
            && offer.check().is_ok()
        {
            fuzz_name(offer.name.as_bytes());
        }
        if let Ok(pull) = frame::decode_body::<Pull>(data, FILE_FRAME_MAX) {
            let _ = pull.check(pull.start);
            let _ = pull.check(pull.end);
        }
        let _ = frame::decode_body::<PullAnswer>(data, FILE_FRAME_MAX);
    }

    /// Names; what they must never be is asserted.
    pub fn fuzz_name(data: &[u8]) {
        let safe = safe_file_name(&String::from_utf8_lossy(data));
        assert_safe(&safe);
        assert_eq!(safe_file_name(&safe), safe, "safe names stay as they are");
        assert_safe(&numbered_name(&safe, 2));
    }

    fn assert_safe(name: &str) {
        assert!(!name.is_empty() && name.len() <= FILE_NAME_MAX, "{name:?}");
        assert!(!name.contains(['/', '\\']), "{name:?}");
        assert!(
            !name.chars().any(|c| c.is_control() || is_invisible(c)),
            "{name:?}"
        );
        assert!(
            !name.starts_with(is_edge) && !name.ends_with(is_edge),
            "{name:?}"
        );
        assert!(!is_reserved(name), "{name:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use proptest::prelude::*;

    fn file_frame() -> impl Strategy<Value = FileFrame> {
        let states = [
            ReceiverState::Offered,
            ReceiverState::Accepted,
            ReceiverState::Declined,
            ReceiverState::Done,
            ReceiverState::Failed,
        ];
        let id = || any::<[u8; 16]>().prop_map(TransferId);
        let offer = (
            id(),
            "[ -~é名]{0,80}",
            0..=FILE_SIZE_MAX,
            any::<[u8; 32]>(),
            any::<u64>(),
        );
        prop_oneof![
            offer.prop_map(|(id, name, size, root, sent_at)| {
                FileFrame::Offer(Offer {
                    id,
                    name,
                    size,
                    root,
                    sent_at,
                })
            }),
            (id(), prop::sample::select(states.to_vec()))
                .prop_map(|(id, state)| FileFrame::State { id, state }),
            id().prop_map(|id| FileFrame::Withdraw { id }),
        ]
    }

    proptest! {
        #[test]
        fn file_01_frames_round_trip_within_their_bound(frame in file_frame(), start: u64, end: u64) {
            let bytes = frame::encode_body(&frame);
            prop_assert!(bytes.len() <= FILE_FRAME_MAX);
            prop_assert_eq!(frame::decode_body::<FileFrame>(&bytes, FILE_FRAME_MAX).unwrap(), frame);
            let pull = Pull { id: TransferId([1; 16]), start, end };
            let bytes = frame::encode_body(&pull);
            prop_assert_eq!(frame::decode_body::<Pull>(&bytes, FILE_FRAME_MAX).unwrap(), pull);
        }

        #[test]
        fn file_03_no_name_escapes_hides_or_overflows(
            name in "\\PC{0,300}|[./\\\\a-z\u{202e}\u{0} ]{0,40}|[a. ]{240,300}|(CON|nul|lpt¹)[ .a]{0,3}",
        ) {
            fuzz::fuzz_name(name.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz::fuzz_file(&bytes);
            fuzz::fuzz_name(&bytes);
        }

        #[test]
        fn file_04_numbered_names_differ_and_stay_safe(name in "[a-zé]{1,260}(\\.[a-z]{1,5})?", number in 2u32..5000) {
            let first = numbered_name(&safe_file_name(&name), number);
            let second = numbered_name(&safe_file_name(&name), number + 1);
            prop_assert!(first.len() <= FILE_NAME_MAX);
            prop_assert_ne!(first, second);
        }
    }

    #[test]
    fn file_01_offers_are_bounded() {
        let mut offer = Offer {
            id: TransferId([1; 16]),
            name: "a".into(),
            size: FILE_SIZE_MAX,
            root: [0; 32],
            sent_at: 0,
        };
        assert_eq!(offer.check(), Ok(()));
        offer.size += 1;
        assert_eq!(offer.check(), Err(FileError::TooLarge));
        offer = Offer {
            name: "a".repeat(FILE_NAME_MAX + 1),
            size: 1,
            ..offer
        };
        assert_eq!(offer.check(), Err(FileError::TooLarge));
    }

    #[test]
    fn file_02_pulls_stay_inside_the_file() {
        let pull = |start, end| Pull {
            id: TransferId([1; 16]),
            start,
            end,
        };
        assert_eq!(pull(0, 10).check(10), Ok(()));
        assert_eq!(pull(0, 1).check(0), Ok(()), "an empty file");
        for bad in [
            pull(0, 11),
            pull(5, 5),
            pull(6, 5),
            pull(0, PULL_GROUPS_MAX + 1),
            pull(u64::MAX - 1, u64::MAX),
        ] {
            assert_eq!(bad.check(PULL_GROUPS_MAX * 2).is_ok(), bad == pull(0, 11));
        }
        assert_eq!(pull(0, 11).check(10), Err(FileError::Range));
    }

    #[test]
    fn file_03_known_tricks() {
        for (name, safe) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\evil.exe", "evil.exe"),
            (".bashrc", "bashrc"),
            ("..", "file"),
            ("", "file"),
            ("CON.txt", "_CON.txt"),
            ("lpt1", "_lpt1"),
            ("COM².log", "_COM².log"),
            ("nul .txt", "_nul .txt"),
            ("company.txt", "company.txt"),
            ("bill.pdf. .", "bill.pdf"),
            ("two\u{2028}lines", "twolines"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\nb", "ab"),
            ("what?.txt", "what_.txt"),
            ("名前.pdf", "名前.pdf"),
        ] {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn file_04_a_second_copy_keeps_its_ending() {
        assert_eq!(numbered_name("report.pdf", 1), "report.pdf");
        assert_eq!(numbered_name("report.pdf", 2), "report (2).pdf");
        assert_eq!(numbered_name("README", 3), "README (3)");
        let long = safe_file_name(&format!("{}.pdf", "é".repeat(300)));
        let second = numbered_name(&long, 2);
        assert!(
            long.ends_with("é.pdf") && second.ends_with("é (2).pdf"),
            "{second}"
        );
    }
}
