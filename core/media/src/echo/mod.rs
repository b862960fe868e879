//! Echo cancelling, pure: what the speaker is given and what the microphone took go in, what was said here comes out. Steps are of 10 ms in
//! bands of 8 kHz at 16 kHz each, the lowest first; full scale is 1. The lowest is worked on, the others follow its gain.
//!
//! - `far` reads what is played at the microphone's pace and makes spectra of it, `align` finds how long its echo takes.
//! - `filter` models the way from speaker to microphone and says what should be heard and how certain that is; `loudspeaker` adds what a
//!   loudspeaker at its limit adds, `clock` finds how two clocks differ, and `agreement` whether the model fits.
//! - `suppress` takes down what is left after the expected was subtracted: `residue` says how much of that is echo, and `comfort`
//!   puts the room's noise in its place.
//!
//! The model is worth more than the place where it stands: when the echo comes sooner or later by a jump it is moved, not learnt anew.
//! Nothing of the sound is held back: what comes out is 2 ms late, and where the far end is silent it is what came in.

#![allow(
    clippy::needless_range_loop,
    reason = "a bin's number runs over several figures at once"
)]

mod agreement;
mod align;
mod clock;
mod comfort;
mod far;
mod filter;
mod loudspeaker;
mod residue;
mod spectrum;
mod suppress;
#[cfg(test)]
mod tests;

use self::agreement::Agreement;
use self::align::{Beginning, Search};
use self::clock::Clock;
use self::far::History;
use self::filter::Filter;
use self::loudspeaker::Loudspeaker;
use self::spectrum::{BINS, Bins, Spectrum, Transform};
use self::suppress::Suppressor;

/// Samples of a step in each band.
pub const STEP: usize = 160;
/// How many bands.
pub const BANDS: usize = 3;

/// By so many steps either side may come before the other until they are taken to have stopped in between.
const EARLY: i64 = 40;
const LATE: i64 = -10;
/// Steps between two looks for the beginning of the echo.
const LOOKS: i64 = 10;
/// So many looks must find it outside the model.
const ASTRAY: u32 = 10;
/// Partitions of the model in which the beginning belongs.
const BEGINS_IN: i64 = 8;
/// A model that does not agree is left as it is for so many steps: it is probably at the wrong place.
const HELD: u32 = 60;

/// How hard what is left is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// So that both can speak at once.
    On,
    /// So that less is left, at the cost of words spoken into an echo.
    Strong,
}

/// For one microphone and one speaker.
#[derive(Debug)]
pub struct Canceller {
    strength: Strength,
    transform: Transform,
    far: History,
    search: Search,
    place: Place,
    filter: Filter,
    loudspeaker: Loudspeaker,
    clock: Clock,
    agreement: Agreement,
    suppressor: Suppressor,
}

/// Which of the far end's blocks are heard now.
#[derive(Debug, Default)]
struct Place {
    /// The number of the far end's block that belongs to the microphone's step, if nothing took time.
    now: i64,
    /// By how many steps the model begins later, if there is a model.
    bulk: Option<i64>,
    /// Looks that found the echo elsewhere.
    astray: u32,
    /// Steps in which the model did not agree.
    disagreed: u32,
}

/// What is known of a step.
struct Parts {
    left: [f32; STEP],
    expected: [f32; STEP],
    uncertainty: Bins,
}

impl Canceller {
    /// Knows nothing yet.
    pub fn new(strength: Strength) -> Self {
        Self {
            strength,
            transform: Transform::new(),
            far: History::new(),
            search: Search::new(),
            place: Place::default(),
            filter: Filter::new(),
            loudspeaker: Loudspeaker::new(),
            clock: Clock::new(),
            agreement: Agreement::new(),
            suppressor: Suppressor::new(strength),
        }
    }

    /// Takes the lowest band of what the speaker is given, and of its cube.
    pub fn far_end(&mut self, linear: &[f32; STEP], cubic: &[f32; STEP]) {
        let (pace, shape) = (self.clock.pace(), self.loudspeaker.shape());
        self.far
            .push([linear, cubic], pace, shape, &mut self.transform);
    }

    /// Takes the echo out of what the microphone took.
    pub fn near_end(&mut self, bands: &mut [[f32; STEP]; BANDS]) {
        let missed = self.place.keep_up(self.far.made());
        self.far.miss(missed);
        let near = bands[0];
        let heard = self.transform.late(&near);
        let modelled = self.place.bulk.is_some();
        self.search
            .listen(&self.far, self.place.now, &heard, modelled);
        self.align();
        let parts = match self.place.bulk {
            Some(bulk) => self.cancel(&near, &heard, self.place.now - bulk),
            None => Parts {
                left: near,
                expected: [0.0; STEP],
                uncertainty: [0.0; BINS],
            },
        };
        bands[0] = parts.left;
        self.suppress(&parts, bands);
        if !bands[0].iter().all(|sample| sample.is_finite()) {
            *self = Self::new(self.strength);
            *bands = [[0.0; STEP]; BANDS];
        }
    }

    fn suppress(&mut self, parts: &Parts, bands: &mut [[f32; STEP]; BANDS]) {
        let sounds = [&parts.left, &parts.expected];
        let belief = self.agreement.belief();
        let transform = &mut self.transform;
        self.suppressor
            .judge(sounds, &parts.uncertainty, belief, transform);
        self.suppressor.apply(bands, transform);
    }

    /// Subtracts what the model expects, and learns from what is left.
    fn cancel(&mut self, near: &[f32; STEP], heard: &Spectrum, last: i64) -> Parts {
        let transform = &mut self.transform;
        let expected = self.filter.predict(&self.far, last, |far| &far.played);
        let expected = transform.second_half(&expected);
        let uncertainty = self.filter.uncertainty(&self.far, last);
        self.agreement.compare(&expected, near);
        let left = std::array::from_fn(|n| near[n] - expected[n]);
        let left = transform.late(&left);
        if self.place.may_learn(self.agreement.belief()) {
            let cubic = self.filter.predict(&self.far, last, |far| &far.cubic);
            let cubic = transform.second_half(&cubic);
            let cubic = transform.late(&cubic);
            self.loudspeaker.learn(&cubic, &left, self.filter.besides());
            self.filter
                .learn(&self.far, last, &left, &uncertainty, transform);
        }
        if let Some(slide) = self.clock.follow(&transform.late(&expected), heard) {
            self.filter.slide(slide);
        }
        Parts {
            left: self.agreement.subtract(near, &expected),
            expected,
            uncertainty,
        }
    }

    /// Sees to it that the model stands where the echo is.
    fn align(&mut self) {
        let looks = self.place.now % LOOKS == 0;
        let beginning = if looks { self.search.beginning() } else { None };
        let Some(bulk) = self.place.bulk else {
            if let Some(beginning) = beginning {
                self.begin(beginning);
            }
            return;
        };
        if let Some(jump) = self.search.moved(&self.filter, bulk, &mut self.transform) {
            self.jump(bulk, jump);
        } else if let Some(beginning) = beginning
            && self.place.is_astray(beginning.lag - bulk)
        {
            self.begin(beginning);
        }
    }

    /// A new model, from just before the echo on.
    fn begin(&mut self, beginning: Beginning) {
        self.place.bulk = Some((beginning.lag - 1).max(0));
        self.place.astray = 0;
        self.filter.begin(beginning.gain);
        self.agreement = Agreement::new();
        self.clock.forget();
    }

    /// PROC-07: the old model at another place.
    fn jump(&mut self, bulk: i64, samples: i64) {
        const ONE: i64 = STEP as i64;
        let mut bulk = (bulk + samples.div_euclid(ONE)).max(0);
        let rest = usize::try_from(samples.rem_euclid(ONE)).unwrap_or_default();
        self.filter.shift(rest, &mut self.transform);
        // The loudest is the second or third, so that there is room for a jump to either side.
        for _ in 0..self.filter.loudest().saturating_sub(2) {
            self.filter.shift_partition(false);
            bulk += 1;
        }
        if self.filter.loudest() == 0 && bulk > 0 {
            self.filter.shift_partition(true);
            bulk -= 1;
        }
        self.place.bulk = Some(bulk);
        self.place.disagreed = 0;
        self.agreement = Agreement::new();
        self.clock.forget();
    }
}

impl Place {
    /// A step of the microphone; the far end is at its block `made`. How many of its blocks are missed, which will not come.
    const fn keep_up(&mut self, made: i64) -> i64 {
        self.now += 1;
        let ahead = made - 1 - self.now;
        if ahead > EARLY {
            self.now += ahead;
        }
        if ahead < LATE { -ahead } else { 0 }
    }

    /// Whether the model is to learn in this step.
    fn may_learn(&mut self, belief: f32) -> bool {
        if belief > 0.5 {
            self.disagreed = 0;
        } else {
            self.disagreed += 1;
        }
        self.disagreed == 0 || self.disagreed > HELD
    }

    /// Whether the echo has been outside the model for long, which begins `partition` after the model does.
    fn is_astray(&mut self, partition: i64) -> bool {
        if (-1..BEGINS_IN).contains(&partition) {
            self.astray = 0;
        } else {
            self.astray += 1;
        }
        self.astray > ASTRAY
    }
}
