//! When each frame of voice was there and when it was played, written down for measurements. One line a frame: `said` or `heard`, the
//! frame's number as its sender counts, and Unix microseconds. The same number on both sides is the same frame.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use starling_protocol::machine::Time;

use crate::clock::wall_us;

/// What is written down of one call; nothing, unless that was asked for.
#[derive(Debug, Default)]
pub struct Trace {
    file: Option<BufWriter<File>>,
}

impl Trace {
    /// Begins a file.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = Some(BufWriter::new(File::create_new(path)?));
        Ok(Self { file })
    }

    /// The last sample of a frame was there at `at`, not long before `now`.
    pub fn said(&mut self, frame: i64, at: Time, now: Time) {
        let ago = now.saturating_sub(at).as_micros();
        self.note("said", frame, |now| now.saturating_sub(ago));
    }

    /// A frame's first sample goes to the device after this time.
    pub fn heard(&mut self, frame: i64, after: Duration) {
        self.note("heard", frame, |now| now + after.as_micros());
    }

    /// A full disk ends it; the call goes on.
    fn note(&mut self, what: &str, frame: i64, at: impl FnOnce(u128) -> u128) {
        let Some(file) = &mut self.file else {
            return;
        };
        if let Err(error) = writeln!(file, "{what} {frame} {}", at(wall_us())) {
            tracing::info!(%error, "the times of frames are no longer written down");
            self.file = None;
        }
    }
}
