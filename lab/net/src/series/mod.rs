//! Calls in series between real nodes: how soon they are heard each way ([`setup`]), and what many of them leave behind ([`long`]).
//! Both sides play a tone and record; a call counts when both heard the other up to its end.

pub mod long;
pub mod once;
pub mod setup;
mod table;

/// A percentile of durations or other figures, by nearest rank; `None` of nothing.
fn percentile<T: Copy + PartialOrd>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&values, 50), Some(50));
        assert_eq!(percentile(&values, 95), Some(95));
        assert_eq!(percentile(&values, 100), Some(100));
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile::<u32>(&[], 95), None);
    }
}
