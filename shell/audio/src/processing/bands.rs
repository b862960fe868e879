//! 10 ms of sound in three bands of 8 kHz each, at 16 kHz.

use sonora::three_band_filter_bank::{
    FULL_BAND_SIZE, NUM_BANDS, SPLIT_BAND_SIZE, ThreeBandFilterBank,
};

/// Samples of a step at 48 kHz.
pub(super) const STEP: usize = FULL_BAND_SIZE;
/// And in each band.
pub(super) const BAND_STEP: usize = SPLIT_BAND_SIZE;
/// How many bands.
pub(super) const BANDS: usize = NUM_BANDS;

/// The lowest first.
pub(super) type Bands = [[f32; BAND_STEP]; BANDS];

/// Splits and joins the sound of one stream.
#[derive(Debug, Default)]
pub(super) struct Bank(ThreeBandFilterBank);

impl Bank {
    pub(super) fn split(&mut self, step: &[f32; STEP]) -> Bands {
        let mut bands = [[0.0; BAND_STEP]; BANDS];
        self.0.analysis(step, &mut bands);
        bands
    }

    pub(super) fn join(&mut self, bands: &Bands) -> [f32; STEP] {
        let mut step = [0.0; STEP];
        self.0.synthesis(bands, &mut step);
        step
    }
}
