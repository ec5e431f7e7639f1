//! Seals: by which a server knows a depth again that it gave to a handler. A handler is told its depth in its environment, and whoever puts says how deep it
//! is; who is no handler could say so much that no handler runs any more.
//!
//! Failure contract: a seal is not guessed, is for one depth, and lasts as long as the process that made it.

use woof_core::sys::random_u64;
use woof_log::Mark;

/// A seal for each depth, made anew by each process that runs handlers.
pub struct Seals([[u64; 2]; Mark::DEPTH_MAX as usize + 1]);

impl Default for Seals {
    fn default() -> Seals {
        Seals::new()
    }
}

impl Seals {
    /// New ones.
    pub fn new() -> Seals {
        Seals(std::array::from_fn(|_| [random_u64(), random_u64()]))
    }

    /// The seal of a depth.
    pub fn of(&self, depth: u8) -> String {
        let [high, low] = self.0.get(usize::from(depth.min(Mark::DEPTH_MAX))).copied().unwrap_or_default();
        format!("{high:016x}{low:016x}")
    }

    /// Whether this is the seal of that depth.
    pub fn is(&self, depth: u8, seal: &str) -> bool {
        depth <= Mark::DEPTH_MAX && self.of(depth) == seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_depth_and_one_process() {
        let (seals, others) = (Seals::new(), Seals::new());
        for depth in 0..=Mark::DEPTH_MAX {
            assert!(seals.is(depth, &seals.of(depth)));
            assert!(!others.is(depth, &seals.of(depth)));
            assert!(!seals.is(depth + 1, &seals.of(depth)));
        }
        for depth in [0, 1, 15, 16, 255] {
            assert!(!seals.is(depth, "") && !seals.is(depth, &"0".repeat(32)));
        }
    }
}
