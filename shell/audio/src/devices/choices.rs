//! What a person chose to hear and to speak with, shared by all who use a device; the latest look at what there is, so that
//! several of them look once; and how loud the microphone is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::host::Line;
use super::roster::Roster;
use super::{DeviceError, Kind};
use crate::level::Level;

/// A look is good for so long.
const FRESH: Duration = Duration::from_millis(900);
/// A level is one of now for so long.
const LOUD_FOR: Duration = Duration::from_millis(300);

/// A device that a person chose; it may not be there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What the system calls it.
    pub id: String,
    /// What it was called when it was chosen.
    pub name: String,
}

/// One choice for each purpose; none: what the system uses by default.
#[derive(Debug, Default)]
pub struct Choices {
    chosen: Mutex<[Option<Chosen>; 3]>,
    looked: Mutex<Looked>,
    /// Held by whoever looks at this moment, which takes long; by nobody else but those who wait to look.
    looking: Mutex<()>,
    level: Mutex<Option<(Instant, Level)>>,
    line: Mutex<Weak<Line>>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Looked {
    last: Option<(Instant, Roster)>,
    /// How often something may have changed: what was begun to be looked at before counts for its asker only.
    changes: u64,
}

impl Choices {
    /// From now on this one; whoever uses another moves over.
    pub fn choose(&self, kind: Kind, chosen: Option<Chosen>) {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)[kind.index()] = chosen;
    }

    /// What is chosen.
    pub fn chosen(&self, kind: Kind) -> Option<Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)[kind.index()].clone()
    }

    /// What there is, as of this second. Takes at most two.
    pub fn roster(&self, kind: Kind) -> Result<Roster, DeviceError> {
        self.roster_by(|| Roster::look(kind, self.line()))
    }

    /// What looks are made over; whoever looks often holds on to it.
    pub(super) fn line(&self) -> Arc<Line> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *line = Arc::downgrade(&new);
            new
        })
    }

    /// `AUDIO-09`: several look once, one after the other, and keep nobody waiting who does not.
    fn roster_by(
        &self,
        look: impl FnOnce() -> Result<Roster, DeviceError>,
    ) -> Result<Roster, DeviceError> {
        if let Some(roster) = self.fresh() {
            return Ok(roster);
        }
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(roster) = self.fresh() {
            return Ok(roster);
        }
        let before = self.looked().changes;
        let roster = look()?;
        let mut looked = self.looked();
        if looked.changes == before {
            looked.last = Some((Instant::now(), roster.clone()));
        }
        Ok(roster)
    }

    fn fresh(&self) -> Option<Roster> {
        let looked = self.looked();
        let last = looked.last.as_ref();
        let (_, roster) = last.filter(|(at, _)| at.elapsed() < FRESH)?;
        Some(roster.clone())
    }

    /// How loud the microphone is, while anybody uses it.
    pub fn level(&self) -> Option<Level> {
        let level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, level) = level.filter(|(at, _)| at.elapsed() < LOUD_FOR)?;
        Some(level)
    }

    pub(super) fn note_level(&self, level: Level) {
        let now = Some((Instant::now(), level));
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Something may have changed: the next look is a real one.
    pub fn forget(&self) {
        let mut looked = self.looked();
        looked.last = None;
        looked.changes += 1;
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn audio_09_looking_takes_long_and_keeps_nobody_else_waiting() {
        let choices: Arc<Choices> = Arc::default();
        let (begins, began) = sync_channel(0);
        let (answer, answers) = sync_channel::<()>(0);
        let looker = Arc::clone(&choices);
        let look = thread::spawn(move || {
            looker.roster_by(|| {
                begins.send(()).expect("somebody waits");
                answers.recv().expect("an answer");
                Ok(Roster::default())
            })
        });
        began.recv_timeout(PATIENCE).expect("it looks");
        let forgetful = Arc::clone(&choices);
        let (done, is_done) = sync_channel(1);
        let forget = thread::spawn(move || {
            forgetful.forget();
            done.send(()).expect("somebody waits");
        });
        let forgot = is_done.recv_timeout(PATIENCE);
        answer.send(()).expect("it waits");
        assert!(forgot.is_ok(), "it waited for the sound system");
        assert_eq!(look.join().expect("it looked"), Ok(Roster::default()));
        forget.join().expect("it forgot");
        assert_eq!(choices.fresh(), None, "that was before");
        let again = choices.roster_by(|| Ok(Roster::default()));
        assert_eq!(again, Ok(Roster::default()));
        let kept = choices.roster_by(|| Err(DeviceError::None(Kind::Speaker)));
        assert_eq!(kept, Ok(Roster::default()), "nobody looks again at once");
    }
}
