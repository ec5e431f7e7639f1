//! A small generator of numbers that starts from a seed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The generator: xorshift.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        // Neighbouring seeds are to give different numbers, and 0 would stay 0.
        Random((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// How long to let a writer live: often not at all or some microseconds, seldom up to `longest_us`.
    pub(crate) fn life(&mut self, longest_us: u64) -> Duration {
        let limit = [1, 50, 300, longest_us][usize::try_from(self.below(4)).unwrap()];
        Duration::from_micros(self.below(limit))
    }
}

/// The seed of this run. Printed, which the test runner shows when a test fails.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var("WOOF_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap(),
    };
    eprintln!("WOOF_TEST_SEED={seed}");
    seed
}

/// Waits this long; short times exactly, since a sleep takes some 60 microseconds more than it is told.
pub(crate) fn wait(time: Duration) {
    if time > Duration::from_micros(100) {
        return std::thread::sleep(time);
    }
    let start = std::time::Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
