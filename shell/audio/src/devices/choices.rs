//! What a person chose to hear and to speak with, shared by all who use a device; the latest look at what there is, so that
//! several of them look once; and how loud the microphone is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    looked: Mutex<Option<(Instant, Roster)>>,
    level: Mutex<Option<(Instant, Level)>>,
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
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, roster)) = looked.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(roster.clone());
        }
        let roster = Roster::look(kind)?;
        *looked = Some((Instant::now(), roster.clone()));
        Ok(roster)
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
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
