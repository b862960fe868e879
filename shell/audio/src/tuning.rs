//! Makes sound a little shorter or longer, by parts in a million: the other side's sound device does not run exactly as fast as ours.
//! Nobody hears it. Done by rubato's cubic interpolation, which adds two samples of delay.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Adjustable as _, Async, FixedAsync, PolynomialDegree, Resampler as _};
use starling_media::FRAME_SAMPLES;

/// As far as anything is corrected.
const MOST: f64 = 1e-3;

/// One stream on its way to a device. Until the first correction it is left as it is, to the sample.
#[derive(Debug, Default)]
pub struct Tuning {
    ppm: f64,
    filter: Option<Filter>,
}

#[derive(Debug)]
struct Filter {
    rubato: Async<f32>,
    made: Vec<f32>,
}

impl Tuning {
    /// Play faster by so many parts in a million than until now; negative: slower.
    pub fn hasten(&mut self, ppm: f64) {
        self.ppm = (self.ppm + ppm).clamp(-MOST * 1e6, MOST * 1e6);
        let ratio = 1.0 / (1.0 + self.ppm / 1e6);
        let filter = self.filter.get_or_insert_with(Filter::new);
        filter
            .rubato
            .set_resample_ratio(ratio, true)
            .expect("the ratio is within what the filter was made for");
    }

    /// By how much faster it is played, parts in a million.
    pub const fn ppm(&self) -> f64 {
        self.ppm
    }

    /// A frame as it is to be played: 960 samples, or a few more or less.
    pub fn tune<'a>(&'a mut self, frame: &'a [f32; FRAME_SAMPLES]) -> &'a [f32] {
        match &mut self.filter {
            Some(filter) => filter.convert(frame),
            None => frame,
        }
    }
}

impl Filter {
    fn new() -> Self {
        let rubato = Async::new_poly(
            1.0,
            1.0 + 2.0 * MOST,
            PolynomialDegree::Cubic,
            FRAME_SAMPLES,
            1,
            FixedAsync::Input,
        )
        .expect("the ratio is one");
        Self {
            made: vec![0.0; rubato.output_frames_max()],
            rubato,
        }
    }

    fn convert(&mut self, frame: &[f32; FRAME_SAMPLES]) -> &[f32] {
        let room = self.made.len();
        let input = InterleavedSlice::new(&frame[..], 1, FRAME_SAMPLES).expect("a whole frame");
        let mut output = InterleavedSlice::new_mut(&mut self.made, 1, room)
            .expect("the length is the buffer's own");
        let (_, made) = self
            .rubato
            .process_into_buffer(&input, &mut output, None)
            .expect("the buffers have the sizes rubato asked for");
        &self.made[..made]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_media::SAMPLE_RATE;

    fn tone(from: usize) -> [f32; FRAME_SAMPLES] {
        let step = std::f64::consts::TAU * 440.0 / f64::from(SAMPLE_RATE);
        std::array::from_fn(|at| (((from + at) as f64 * step).sin() / 2.0) as f32)
    }

    #[test]
    fn what_is_not_corrected_is_not_touched() {
        let mut tuning = Tuning::default();
        let frame = tone(0);
        assert_eq!(tuning.tune(&frame), frame);
    }

    #[test]
    fn sound_is_shortened_or_lengthened_by_what_was_asked_and_stays_a_tone() {
        for ppm in [-400.0, -100.0, 100.0, 400.0] {
            let mut tuning = Tuning::default();
            tuning.hasten(ppm / 2.0);
            tuning.hasten(ppm / 2.0);
            let mut played: Vec<f32> = Vec::new();
            // A minute and a half.
            for number in 0..4_500 {
                played.extend(tuning.tune(&tone(number * FRAME_SAMPLES)));
            }
            let whole = 4_500.0 * FRAME_SAMPLES as f64;
            let found = (whole / played.len() as f64 - 1.0) * 1e6;
            assert!((found - ppm).abs() < 2.0, "{found} for {ppm}");
            assert!((tuning.ppm() - ppm).abs() < 1e-9);
            // No step is larger than those of the tone.
            let steps = played.windows(2).map(|pair| (pair[1] - pair[0]).abs());
            let steepest = steps
                .enumerate()
                .skip(10)
                .max_by(|one, other| one.1.total_cmp(&other.1));
            assert!(steepest.unwrap().1 < 0.03, "{steepest:?}");
        }
    }

    #[test]
    fn no_correction_goes_too_far() {
        let mut tuning = Tuning::default();
        tuning.hasten(1e9);
        assert!((tuning.ppm() - 1_000.0).abs() < 1e-9);
        assert!(!tuning.tune(&tone(0)).is_empty());
    }
}
