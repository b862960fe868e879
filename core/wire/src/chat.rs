//! Chat frames (ALPN `starling/1/chat`): messages one way, receipts the other, on one bidirectional stream.
//!
//! A message is resent until its receipt has come; the receiver knows it by its id, so it is shown once. A receipt is
//! sent only after the message is on disk.

use serde::{Deserialize, Serialize};

use crate::ids::MessageId;
use crate::limits::{CHAT_TEXT_MAX, RECEIPT_IDS_MAX};

/// One frame of the chat protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatFrame {
    /// A message.
    Message(ChatMessage),
    /// "These are stored here."
    Receipt {
        /// At most [`RECEIPT_IDS_MAX`].
        ids: Vec<MessageId>,
    },
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Chosen by its author.
    pub id: MessageId,
    /// Unix milliseconds, the author's clock.
    pub sent_at: u64,
    /// At most [`CHAT_TEXT_MAX`] bytes of UTF-8, not empty.
    pub text: String,
}

/// Why a chat frame or text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// Too long.
    #[error("a message may have {CHAT_TEXT_MAX} bytes; send it as a file or in parts")]
    TooLong,
    /// Empty.
    #[error("the message is empty")]
    Empty,
    /// Too many ids.
    #[error("the other side sent a receipt with too many ids")]
    Receipt,
}

/// Bound on one frame.
pub const CHAT_FRAME_MAX: usize = CHAT_TEXT_MAX + 64;

/// Bounds of one text (`CHAT-01`).
pub fn check_text(text: &str) -> Result<(), ChatError> {
    if text.trim().is_empty() {
        return Err(ChatError::Empty);
    }
    if text.len() > CHAT_TEXT_MAX {
        return Err(ChatError::TooLong);
    }
    Ok(())
}

impl ChatFrame {
    /// Bounds that the codec does not know (`CHAT-01`, `CHAT-02`).
    pub fn check(&self) -> Result<(), ChatError> {
        match self {
            Self::Message(message) => check_text(&message.text),
            Self::Receipt { ids } if ids.is_empty() || ids.len() > RECEIPT_IDS_MAX => {
                Err(ChatError::Receipt)
            }
            Self::Receipt { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_round_trip(id: [u8; 16], sent_at: u64, text in ".{1,200}") {
            let message = ChatFrame::Message(ChatMessage { id: MessageId(id), sent_at, text });
            let bytes = frame::encode_body(&message);
            prop_assert_eq!(frame::decode_body::<ChatFrame>(&bytes, CHAT_FRAME_MAX).unwrap(), message);
        }
    }

    #[test]
    fn chat_01_texts_are_bounded() {
        assert_eq!(check_text(" \n"), Err(ChatError::Empty));
        assert_eq!(
            check_text(&"x".repeat(CHAT_TEXT_MAX + 1)),
            Err(ChatError::TooLong)
        );
        let longest = ChatMessage {
            id: MessageId([0; 16]),
            sent_at: u64::MAX,
            text: "x".repeat(CHAT_TEXT_MAX),
        };
        assert!(frame::encode_body(&ChatFrame::Message(longest)).len() <= CHAT_FRAME_MAX);
    }

    #[test]
    fn chat_02_receipts_are_bounded_and_fit_their_frame() {
        let most = ChatFrame::Receipt {
            ids: vec![MessageId([0; 16]); RECEIPT_IDS_MAX],
        };
        assert_eq!(most.check(), Ok(()));
        assert!(frame::encode_body(&most).len() <= CHAT_FRAME_MAX);
        assert_eq!(
            ChatFrame::Receipt { ids: vec![] }.check(),
            Err(ChatError::Receipt)
        );
        let many = ChatFrame::Receipt {
            ids: vec![MessageId([0; 16]); RECEIPT_IDS_MAX + 1],
        };
        assert_eq!(many.check(), Err(ChatError::Receipt));
    }
}
