//! Buffers that nobody uses now, a few for each thread. What is worked on takes one and gives it back, so that a busy connection does
//! not ask the system for memory again and again, and one that sleeps holds none.

use std::cell::RefCell;

/// A thread keeps no more than this many.
const COUNT_MAX: usize = 4;
/// Smaller ones are not worth keeping, and larger ones are too large to be.
const KEPT: std::ops::RangeInclusive<usize> = 4 << 10..=1 << 20;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with room in it if there is a spare one.
pub(super) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| spare.pop().unwrap_or_default())
}

/// Gives a buffer back, whatever is in it.
pub(super) fn give(mut buffer: Vec<u8>) {
    if KEPT.contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < COUNT_MAX {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_empty_and_few_are_kept() {
        give(vec![7; 5000]);
        let taken = take();
        assert!(taken.is_empty() && taken.capacity() >= 5000);
        assert_eq!(take().capacity(), 0);
        (0..9).for_each(|_| give(vec![7; 5000]));
        give(vec![7; 2 << 20]);
        assert_eq!((0..9).filter(|_| take().capacity() > 0).count(), 4);
    }
}
