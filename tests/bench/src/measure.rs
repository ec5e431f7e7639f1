//! Measuring two things beside each other: in turns, round after round, so that what else the machine does meets both.

use crate::Result;
use std::time::{Duration, Instant};

/// What one round of each took, round by round, in seconds for one operation.
pub(crate) struct Pair {
    ours: Vec<f64>,
    beside: Vec<f64>,
}

impl Pair {
    /// Runs both in turns, `rounds` times, after one round of each that does not count. Which of them begins changes with
    /// each round. Each gives the seconds that one operation took.
    pub(crate) fn run(
        rounds: usize,
        mut ours: impl FnMut() -> Result<f64>,
        mut beside: impl FnMut() -> Result<f64>,
    ) -> Result<Pair> {
        ours()?;
        beside()?;
        let mut pair = Pair { ours: Vec::new(), beside: Vec::new() };
        for round in 0..rounds {
            if round % 2 == 0 {
                pair.ours.push(ours()?);
                pair.beside.push(beside()?);
            } else {
                pair.beside.push(beside()?);
                pair.ours.push(ours()?);
            }
        }
        Ok(pair)
    }

    /// Of what was measured elsewhere, in turns.
    pub(crate) fn of(ours: Vec<f64>, beside: Vec<f64>) -> Pair {
        Pair { ours, beside }
    }

    /// The median of ours.
    pub(crate) fn ours(&self) -> f64 {
        median(&self.ours)
    }

    /// The median of what runs beside.
    pub(crate) fn beside(&self) -> f64 {
        median(&self.beside)
    }

    /// How many times the time of the other ours takes: the median over the rounds, the least and the most.
    pub(crate) fn ratio(&self) -> (f64, f64, f64) {
        let ratios: Vec<f64> =
            self.ours.iter().zip(&self.beside).map(|(ours, beside)| ours / beside).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        (median(&ratios), least, most)
    }
}

/// The middle value, or the mean of the two middle ones; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        _ => 0.0,
    }
}

/// What this part of the values is not above; 0 of none.
pub(crate) fn part(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a slice")]
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The seconds that `work` takes, divided by `operations`.
pub(crate) fn timed(operations: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(per(start.elapsed(), operations))
}

/// Seconds for one of `operations`.
pub(crate) fn per(time: Duration, operations: u64) -> f64 {
    time.as_secs_f64() / operations as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn of_a_hundred_values_the_99th_is_what_99_of_100_are_not_above() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((part(&values, 0.99), part(&values, 1.0), part(&[], 0.99)), (99.0, 100.0, 0.0));
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_and_not_that_of_the_medians() {
        let pair = Pair::of(vec![2.0, 9.0, 30.0], vec![1.0, 3.0, 10.0]);
        assert_eq!(pair.ratio(), (3.0, 2.0, 3.0));
        assert_eq!((pair.ours(), pair.beside()), (9.0, 3.0));
    }
}
