//! Remainders without divisions: where a growing number is in its ring.
//!
//! A division of 64 bits costs as much as copying a short record. Numbers here come in order, so almost all of them are
//! in the lap that was looked at last, or the one before.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers from here on are not positions or seqnos of any woof that is whole.
const FAR: u64 = 1 << 63;

/// Takes numbers modulo `len`.
pub(super) struct Wrap {
    len: u64,
    /// Some multiple of `len`, a recent one at best: any is right.
    lap: AtomicU64,
}

impl Wrap {
    /// For a ring of `len`, which is not 0.
    pub(super) fn new(len: u64) -> Wrap {
        Wrap { len, lap: AtomicU64::new(0) }
    }

    /// `number` modulo the length.
    #[inline]
    pub(super) fn rem(&self, number: u64) -> u64 {
        let from_lap = number.wrapping_sub(self.lap.load(Ordering::Relaxed));
        if from_lap < self.len {
            return from_lap;
        }
        let from_lap_before = from_lap.wrapping_add(self.len);
        if from_lap_before < self.len && number < FAR {
            return from_lap_before;
        }
        self.divide(number)
    }

    #[cold]
    fn divide(&self, number: u64) -> u64 {
        let rest = number % self.len;
        // A lap so far out that the two sums above could go over the end of the numbers is not remembered.
        if number < FAR {
            self.lap.store(number - rest, Ordering::Relaxed);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_those_of_a_division_in_any_order() {
        let wrap = Wrap::new(1000);
        let numbers =
            [0, 999, 1000, 1999, 999, 5, 1_000_000_007, 1_000_000_000, 999_999_999, 3, u64::MAX, 0, 2500];
        for number in numbers.into_iter().chain(0..5_000).chain((0..5_000).rev()) {
            assert_eq!(wrap.rem(number), number % 1000, "{number}");
        }
    }
}
