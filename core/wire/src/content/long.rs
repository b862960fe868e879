//! Messages that are longer than one entry may be: the body is cut into parts, each a message of its own, and one more
//! message names them in order. Since a message is named by its bytes, parts may come in any order and from anybody: what
//! is put together is what the author cut, or nothing.

use serde::{Deserialize, Serialize};

use super::{Body, Content, ContentError, HEAD_MAX};
use crate::ids::{AccountId, MessageId};
use crate::limits::{CONTENT_MAX, LONG_MAX, PART_MAX, PARTS_MAX};

/// Names the parts of a long message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Long {
    /// Bytes of all parts together.
    pub size: u32,
    /// The parts, in order.
    pub parts: Vec<MessageId>,
}

/// A message that is ready to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub id: MessageId,
    /// The same as `bytes`.
    pub content: Content,
    /// The plaintext.
    pub bytes: Vec<u8>,
}

/// What `author` has to send so that `content` is said: one message, or a long one's parts first. The last one is the
/// message itself; its id names what was said.
pub fn write(author: AccountId, content: Content) -> Result<Vec<Written>, ContentError> {
    content.body.check()?;
    let body = content.body.bytes();
    if HEAD_MAX + body.len() <= CONTENT_MAX {
        return Ok(vec![written(author, content)?]);
    }
    // MSG-10: only texts and recordings grow so long.
    if body.len() > LONG_MAX || !may_be_long(&content.body) {
        return Err(ContentError::TooLong);
    }
    let mut all = Vec::new();
    for (number, bytes) in (0..).zip(body.chunks(PART_MAX)) {
        let bytes = bytes.to_vec();
        let part = Content {
            sent_at: content.sent_at,
            predecessors: Vec::new(),
            body: Body::Part { number, bytes },
        };
        all.push(written(author, part)?);
    }
    let long = Long {
        size: u32::try_from(body.len()).map_err(|_| ContentError::TooLong)?,
        parts: all.iter().map(|part| part.id).collect(),
    };
    let body = Body::Long(long);
    all.push(written(author, Content { body, ..content })?);
    Ok(all)
}

impl Long {
    /// What the parts say, all of them in order (`MSG-10`).
    pub fn join(&self, parts: &[&[u8]]) -> Result<Body, ContentError> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        if parts.len() != self.parts.len() || size != self.size as usize {
            return Err(ContentError::Parts);
        }
        let body = Body::read(&parts.concat())?;
        body.check()?;
        if !may_be_long(&body) {
            return Err(ContentError::Parts);
        }
        Ok(body)
    }

    pub(super) fn check(&self) -> Result<(), ContentError> {
        let count = self.parts.len();
        let size = self.size as usize;
        // Every part but the last is full, so the size says how many there are.
        let fits = size <= LONG_MAX && count == size.div_ceil(PART_MAX);
        let twice = (1..count.min(PARTS_MAX)).any(|at| self.parts[..at].contains(&self.parts[at]));
        if fits && count > 1 && !twice {
            return Ok(());
        }
        Err(ContentError::Parts)
    }
}

pub(super) const fn check_part(number: u8, bytes: &[u8]) -> Result<(), ContentError> {
    if bytes.is_empty() || bytes.len() > PART_MAX || number as usize >= PARTS_MAX {
        return Err(ContentError::Parts);
    }
    Ok(())
}

const fn may_be_long(body: &Body) -> bool {
    matches!(body, Body::Text(_) | Body::Voice(_) | Body::Newer { .. })
}

fn written(author: AccountId, content: Content) -> Result<Written, ContentError> {
    let bytes = content.write()?;
    Ok(Written {
        id: super::message_id(author, &bytes),
        content,
        bytes,
    })
}
