//! Recorded voice: Opus packets (RFC 6716) one after the other, each behind its length. How long it lasts is not said but
//! counted, so that nothing can contradict the sound.

use serde::{Deserialize, Serialize};

use super::ContentError;
use crate::limits::{TEXT_MAX, VOICE_MS_MAX};

/// One packet at most (RFC 6716, section 3.4: the longest frame has as many bytes).
pub const PACKET_MAX: usize = 1_275;
/// The longest packet, in quarters of 10 ms (RFC 6716, section 3.2.5: 120 ms).
const QUARTERS_MAX: u32 = 48;

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Left when a call was not answered.
    pub mail: bool,
    /// Each packet behind its length: two bytes, big-endian.
    sound: Vec<u8>,
}

impl Voice {
    /// A recording of these packets (`MSG-08`).
    pub fn new<'a>(
        mail: bool,
        packets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, ContentError> {
        let mut sound = Vec::new();
        for packet in packets {
            let length = u16::try_from(packet.len()).map_err(|_| ContentError::Voice)?;
            sound.extend(length.to_be_bytes());
            sound.extend(packet);
        }
        let voice = Self { mail, sound };
        voice.check()?;
        Ok(voice)
    }

    /// Its packets, in order.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        Packets(&self.sound).map_while(Result::ok)
    }

    /// How long it lasts, in milliseconds.
    pub fn duration_ms(&self) -> u32 {
        let quarters = self.packets().filter_map(quarters).sum::<u32>();
        quarters * 10 / 4
    }

    /// `MSG-08`: whole packets of 1 to [`PACKET_MAX`] bytes, each of which says how long it lasts; ten minutes at most.
    pub(super) fn check(&self) -> Result<(), ContentError> {
        if self.sound.is_empty() || self.sound.len() > TEXT_MAX {
            return Err(ContentError::Voice);
        }
        let mut total = 0;
        for packet in Packets(&self.sound) {
            total += quarters(packet?).ok_or(ContentError::Voice)?;
            if total > VOICE_MS_MAX / 10 * 4 {
                return Err(ContentError::Voice);
            }
        }
        Ok(())
    }
}

struct Packets<'a>(&'a [u8]);

impl<'a> Iterator for Packets<'a> {
    type Item = Result<&'a [u8], ContentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let packet = self.0.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        match packet {
            Some((packet, rest)) if (1..=PACKET_MAX).contains(&packet.len()) => {
                self.0 = rest;
                Some(Ok(packet))
            }
            _ => {
                self.0 = &[];
                Some(Err(ContentError::Voice))
            }
        }
    }
}

/// How long a packet lasts, in quarters of 10 ms, by its first bytes (RFC 6716, section 3.1).
fn quarters(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [4, 8, 16, 24][usize::from(config % 4)],
        config @ 12..=15 => [4, 8][usize::from(config % 2)],
        config => [1, 2, 4, 8][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let all = frame * frames;
    (1..=QUARTERS_MAX).contains(&all).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 ms of wideband SILK in one frame.
    const TOC_20_MS: u8 = 9 << 3;

    #[test]
    fn msg_08_a_recording_is_whole_packets_and_lasts_as_long_as_they_do() {
        let packet = [TOC_20_MS, 1, 2, 3];
        let voice = Voice::new(false, vec![&packet[..]; 50]).unwrap();
        assert_eq!(voice.duration_ms(), 1_000);
        assert_eq!(voice.packets().count(), 50);
        // Three frames of 20 ms; CELT of 2.5 ms; hybrid of 10 ms, two frames.
        let kinds = [
            &[TOC_20_MS | 3, 3, 0][..],
            &[16 << 3, 0],
            &[12 << 3 | 1, 0, 0],
        ];
        assert_eq!(Voice::new(true, kinds).unwrap().duration_ms(), 82);
        let of = |sound: &[u8]| Voice {
            mail: false,
            sound: sound.to_vec(),
        };
        for damaged in [
            &[][..],
            &[0],
            &[0, 0],
            &[0, 2, TOC_20_MS],
            &[0, 1, TOC_20_MS, 0],
            &[0, 1, TOC_20_MS | 3],
            &[0, 2, TOC_20_MS | 3, 0],
            &[0, 2, TOC_20_MS | 3, 7],
        ] {
            assert_eq!(of(damaged).check(), Err(ContentError::Voice), "{damaged:?}");
        }
        let large = [TOC_20_MS; PACKET_MAX + 1];
        assert_eq!(Voice::new(false, [&large[..]]), Err(ContentError::Voice));
    }

    #[test]
    fn msg_08_ten_minutes_are_the_end() {
        let packet = [TOC_20_MS];
        let longest = VOICE_MS_MAX as usize / 20;
        assert!(Voice::new(false, vec![&packet[..]; longest]).is_ok());
        let longer = Voice::new(false, vec![&packet[..]; longest + 1]);
        assert_eq!(longer, Err(ContentError::Voice));
    }
}
