//! Two frames in the time of one: how the delay shrinks in the middle of speech. Samples of 1/48,000 s.

use crate::FRAME_SAMPLES;

/// Fades from the first frame into the second, for [`super::Step::Shorten`]. It begins as the first does and ends as the
/// second does, so there is no click on either side.
pub fn fold(first: &[f32; FRAME_SAMPLES], second: &[f32; FRAME_SAMPLES]) -> [f32; FRAME_SAMPLES] {
    std::array::from_fn(|at| {
        let share = (at as f32 + 0.5) / FRAME_SAMPLES as f32;
        first[at] + share * (second[at] - first[at])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_begins_as_the_first_frame_and_ends_as_the_second() {
        let folded = fold(&[0.5; FRAME_SAMPLES], &[-0.25; FRAME_SAMPLES]);
        assert!((folded[0] - 0.5).abs() < 0.001);
        assert!((folded[FRAME_SAMPLES - 1] + 0.25).abs() < 0.001);
        let largest = folded.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(largest.fold(0.0, f32::max) < 0.001, "there is no click");
    }
}
