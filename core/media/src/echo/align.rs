//! Where in the far end's past the echo begins: at first, and whenever a device or its queue makes it come sooner or later.
//!
//! Both come from one measurement, the correlation of the microphone with each of the last blocks of the far end. What is found first is the block
//! from which on the two are alike. Later the model of the room is laid over the correlation at each lag: where it fits
//! best, to the sample, the echo is now. So a model stays of use when the delay changes.

use super::STEP;
use super::far::History;
use super::filter::Filter;
use super::spectrum::{BINS, Bins, NOTHING, Spectrum, Transform, smooth};

/// Steps that an echo may be late.
const LAGS: usize = 64;
/// How fast the correlation is followed: before there is a model, and then.
const SHARE: [f32; 2] = [0.03, 0.05];
/// A far end of this power is heard, in a bin on average: -60 dBFS.
const AUDIBLE: f32 = 1e-4;
/// As many audible blocks have to be heard first.
const ENOUGH: u32 = 16;
/// How alike they must be at least, and how much more than on average over the lags.
const ALIKE: (f32, f32) = (0.25, 4.0);
/// An echo begins where they are so much alike, of the most.
const BEGINS: f32 = 0.5;
/// Among so many blocks the newest is there.
const THERE: i64 = 8;
/// Bins below this one are hum.
const HUM: usize = 4;
/// Lags that are looked at in a step.
const EACH: usize = 4;
/// Partitions of the model that are laid over the correlation.
const LAID: usize = 8;
/// How well the model must fit at another place, and how much better than where it is.
const FITS: (f32, f32) = (0.2, 1.5);
/// Two places so near to each other are one, in samples.
const SAME: i64 = 3;

/// Looks for it.
#[derive(Debug)]
pub(super) struct Search {
    cross: Vec<Spectrum>,
    far: Bins,
    near: Bins,
    audible: u32,
    /// How well the model fits, by lag in samples.
    fit: Vec<f32>,
    turn: usize,
    /// What was found the last time.
    found: Option<i64>,
}

/// Where an echo begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Beginning {
    /// In steps.
    pub lag: i64,
    /// The microphone's power over the far end's.
    pub gain: f32,
}

impl Search {
    pub fn new() -> Self {
        Self {
            cross: vec![Spectrum::ZERO; LAGS],
            far: [0.0; BINS],
            near: [0.0; BINS],
            audible: 0,
            fit: vec![0.0; LAGS * STEP],
            turn: 0,
            found: None,
        }
    }

    /// Listens to a step of the microphone; `last` is the far end's block of the same time.
    pub fn listen(&mut self, far: &History, last: i64, near: &Spectrum, modelled: bool) {
        let share = SHARE[usize::from(modelled)];
        for (cross, lag) in self.cross.iter_mut().zip(0..) {
            match far.get(last - lag) {
                Some(block) => follow(cross, &block.linear, near, share),
                None => cross.weigh(&[1.0 - share; BINS]),
            }
        }
        let newest = (0..THERE).find_map(|back| far.get(last - back));
        if let Some(block) = newest {
            smooth(&mut self.far, &block.power, share);
            let loud = block.power.iter().sum::<f32>() > AUDIBLE * BINS as f32;
            self.audible = self.audible.saturating_add(u32::from(loud));
        }
        smooth(&mut self.near, &near.power(), share);
    }

    /// Where the echo begins, if there is one.
    pub fn beginning(&self) -> Option<Beginning> {
        if self.audible < ENOUGH {
            return None;
        }
        let alike: Vec<f32> = (0..LAGS).map(|lag| self.alike(lag)).collect();
        let most = alike.iter().copied().fold(0.0, f32::max);
        let mean = alike.iter().sum::<f32>() / LAGS as f32;
        if most < ALIKE.0 || most < ALIKE.1 * mean {
            return None;
        }
        let lag = alike.iter().position(|alike| *alike > BEGINS * most)?;
        let power = |bins: &Bins| bins[HUM..].iter().sum::<f32>();
        let gain = power(&self.near) / (power(&self.far) + NOTHING);
        Some(Beginning {
            lag: i64::try_from(lag).ok()?,
            gain: gain.min(1.0),
        })
    }

    /// How alike microphone and far end are at a lag, 0 to 1.
    fn alike(&self, lag: usize) -> f32 {
        let power = self.cross[lag].power();
        let alike = (HUM..BINS).map(|k| power[k] / (self.far[k] * self.near[k] + NOTHING));
        alike.sum::<f32>() / (BINS - HUM) as f32
    }

    /// By how many samples the echo is later than the model has it, which begins at `bulk`; none if it is where it was. Looks at a few lags
    /// in each step, and believes what it finds twice.
    pub fn moved(&mut self, filter: &Filter, bulk: i64, transform: &mut Transform) -> Option<i64> {
        let weights = self.weights(filter);
        for _ in 0..EACH {
            self.lay(filter, &weights, transform);
            self.turn = (self.turn + 1) % LAGS;
        }
        if self.turn != 0 {
            return None;
        }
        let found = self.elsewhere(bulk);
        self.fit.fill(0.0);
        let before = std::mem::replace(&mut self.found, found);
        let (found, before) = (found?, before?);
        if (found - before).abs() > SAME {
            return None;
        }
        self.found = None;
        Some(found)
    }

    /// So that each bin counts by how alike both are there.
    fn weights(&self, filter: &Filter) -> Bins {
        let mut model = [0.0; BINS];
        for partition in &filter.response()[..LAID] {
            for (model, power) in model.iter_mut().zip(partition.power()) {
                *model += power;
            }
        }
        std::array::from_fn(|k| 1.0 / (model[k] * self.far[k] * self.near[k] + NOTHING).sqrt())
    }

    /// Lays the model over the correlation at one lag.
    fn lay(&mut self, filter: &Filter, weights: &Bins, transform: &mut Transform) {
        let mut sum = Spectrum::ZERO;
        let partitions = filter.response()[..LAID].iter();
        for (partition, cross) in partitions.zip(&self.cross[self.turn..]) {
            sum.add_correlation(partition, cross);
        }
        sum.weigh(weights);
        let fit = transform.inverse(&sum);
        let here = self.turn * STEP;
        for n in 0..STEP {
            self.fit[here + n] += fit[n];
            // What lies before the lag belongs to the one before.
            if let Some(before) = (here + n).checked_sub(STEP) {
                self.fit[before] += fit[STEP + n];
            }
        }
    }

    fn elsewhere(&self, bulk: i64) -> Option<i64> {
        let (best, most) = self
            .fit
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))?;
        let here = bulk * STEP as i64;
        let near = |place: usize| (place as i64 - here).abs() <= SAME;
        let now = (self.fit.iter().enumerate()).filter(|(place, _)| near(*place));
        let now = now.map(|(_, fit)| *fit).fold(0.0, f32::max);
        let jump = best as i64 - here;
        let better = *most > FITS.0 && *most > FITS.1 * now && jump.abs() > SAME;
        better.then_some(jump)
    }
}

/// Moves a correlation towards that of two blocks.
fn follow(cross: &mut Spectrum, far: &Spectrum, near: &Spectrum, share: f32) {
    for k in 0..BINS {
        let re = far.re[k] * near.re[k] + far.im[k] * near.im[k];
        let im = far.re[k] * near.im[k] - far.im[k] * near.re[k];
        cross.re[k] += share * (re - cross.re[k]);
        cross.im[k] += share * (im - cross.im[k]);
    }
}
