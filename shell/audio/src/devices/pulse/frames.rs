//! Frames on the socket: twenty bytes that say how long it is and for whom, then a message or sound.

use std::io::{ErrorKind, Read};

use super::ServerError;

/// Length, channel, offset (twice as long), flags.
pub(super) const HEADER: usize = 20;
/// Instead of a channel: it is a message.
const CONTROL: u32 = u32::MAX;
/// `AUDIO-10`: a longer one is refused. The list of a machine's devices is the longest there is: some kilobytes each.
const FRAME_MAX: usize = 1 << 20;
/// Room for what comes at once while sound flows.
const ROOM: usize = 1 << 14;
/// Flags that say something about memory that is shared, which we never agree to.
const SHARED: u32 = 0xff00_0000;

/// What precedes so many bytes; without a channel, of a message.
pub(super) fn header(length: usize, channel: Option<u32>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&(length as u32).to_be_bytes());
    header[4..8].copy_from_slice(&channel.unwrap_or(CONTROL).to_be_bytes());
    header
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Control(&'a [u8]),
    Sound { channel: u32, bytes: &'a [u8] },
}

/// Bytes that came, until they are whole frames. Its room is used again and grows for a long frame only.
#[derive(Debug)]
pub(super) struct Inbox {
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            room: vec![0; ROOM],
            start: 0,
            end: 0,
        }
    }
}

impl Inbox {
    /// Waits for more bytes, once.
    pub(super) fn fill(&mut self, source: &mut impl Read) -> Result<(), ServerError> {
        self.make_room()?;
        loop {
            match source.read(&mut self.room[self.end..]) {
                Ok(0) => return Err(ServerError::Closed),
                Ok(length) => {
                    self.end += length;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next frame, if all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, ServerError> {
        let Some((length, channel)) = self.header()? else {
            return Ok(None);
        };
        let begin = self.start + HEADER;
        if self.end < begin + length {
            return Ok(None);
        }
        self.start = begin + length;
        let bytes = &self.room[begin..self.start];
        Ok(Some(match channel {
            CONTROL => Frame::Control(bytes),
            channel => Frame::Sound { channel, bytes },
        }))
    }

    #[cfg(test)]
    pub(super) fn is_complete(&self) -> bool {
        let waiting = self.end - self.start;
        let next = self.header().expect("a good frame");
        next.is_some_and(|(length, _)| waiting >= HEADER + length)
    }

    /// Length and channel of the next frame.
    fn header(&self) -> Result<Option<(usize, u32)>, ServerError> {
        let waiting = &self.room[self.start..self.end];
        let Some(header) = waiting.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_be_bytes(bytes)
        };
        let length = word(0) as usize;
        if length > FRAME_MAX {
            return Err(ServerError::Garbled("a frame is too long"));
        }
        if word(16) & SHARED != 0 {
            return Err(ServerError::Garbled("it shares memory without being asked"));
        }
        Ok(Some((length, word(4))))
    }

    /// For at least one byte more, and for all of the frame that has begun.
    fn make_room(&mut self) -> Result<(), ServerError> {
        let length = self.header()?.map_or(0, |(length, _)| length);
        self.room.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.room.len() < HEADER + length {
            self.room.resize(HEADER + length, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            let most = room.len().min(self.1);
            self.0.read(&mut room[..most])
        }
    }

    fn frame(length: usize, channel: Option<u32>) -> Vec<u8> {
        let body = (0..length).map(|at| at as u8);
        header(length, channel).into_iter().chain(body).collect()
    }

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let sizes = [0, 1_920, 7, 3 * ROOM, 1_920, ROOM - HEADER];
        let all: Vec<u8> = sizes
            .iter()
            .flat_map(|size| frame(*size, (*size != 7).then_some(3)))
            .collect();
        for step in [1, 19, 20, 21, 1_940, 1 << 20] {
            let (mut inbox, mut source) = (Inbox::default(), Slow(&all, step));
            let mut found = Vec::new();
            while inbox.fill(&mut source).is_ok() {
                while let Some(next) = inbox.next().expect("a good frame") {
                    found.push(match next {
                        Frame::Control(bytes) => {
                            assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6]);
                            bytes.len()
                        }
                        Frame::Sound { channel, bytes } => {
                            assert_eq!(channel, 3);
                            bytes.len()
                        }
                    });
                }
            }
            assert_eq!(found, sizes, "{step} at a time");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_there_is_room_for_it() {
        for length in [FRAME_MAX + 1, u32::MAX as usize] {
            let mut inbox = Inbox::default();
            inbox.fill(&mut &header(length, None)[..]).expect("bytes");
            let error = inbox.next().expect_err("too long");
            let words = "the sound server breaks the protocol: a frame is too long";
            assert_eq!(error.to_string(), words);
            assert!(inbox.fill(&mut &[0][..]).is_err());
            assert_eq!(inbox.room.len(), ROOM);
        }
    }

    #[test]
    fn shared_memory_is_refused() {
        let mut inbox = Inbox::default();
        let mut revoke = header(0, None);
        revoke[16] = 0xc0;
        inbox.fill(&mut &revoke[..]).expect("bytes");
        assert!(matches!(inbox.next(), Err(ServerError::Garbled(_))));
    }
}
