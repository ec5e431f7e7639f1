//! What evaluations cost, and may cost: for one element, and, for who evaluates the expressions of strangers, for all that one asks for.
//!
//! A step is about a node of the interpreter's tree, 0.1 microseconds. Only what is interpreted is counted; comparisons with literals cost nothing
//! here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use woof_core::error::{Code, Error};

/// Steps of one evaluation for who evaluates their own expressions: some seconds.
pub(super) const OWN_STEPS: u64 = 50_000_000;

/// After so many steps, about 20 milliseconds, others have their turn.
const TURN: i64 = 200_000;

/// All that is asked for may cost so many times the limit of one evaluation,
const ALL: u64 = 100;
/// and for each evaluation this part of it more, so that what goes on for ever is not ended for that.
const SHARE: u64 = 100;

/// The limits of a predicate that a stranger has sent, and what is left of them.
#[derive(Debug)]
pub struct Meter {
    each: u64,
    /// What is left for all evaluations.
    left: AtomicI64,
    evaluations: AtomicU64,
    turn: AtomicI64,
    /// The last evaluation was ended.
    is_over: AtomicBool,
    /// Nobody wants the answer any more.
    gone: Arc<AtomicBool>,
}

impl Meter {
    /// Limits of `each` steps for an evaluation, and of as much as that allows for all. Once `gone` is set, no evaluation goes on.
    pub fn new(each: u64, gone: Arc<AtomicBool>) -> Meter {
        Meter {
            each,
            left: AtomicI64::new(i64::try_from(each.saturating_mul(ALL)).unwrap_or(i64::MAX)),
            evaluations: AtomicU64::new(0),
            turn: AtomicI64::new(TURN),
            is_over: AtomicBool::new(false),
            gone,
        }
    }

    /// Whether nobody wants the answer any more.
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Counts what an evaluation has cost.
    fn spent(&self, steps: u64, is_over: bool) {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        let share = i64::try_from(self.each / SHARE).unwrap_or(i64::MAX);
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        self.left.fetch_sub(steps.saturating_sub(share).max(0), Ordering::Relaxed);
        self.turn.fetch_sub(steps, Ordering::Relaxed);
        if is_over {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// What is to be said of the last evaluation, if it was ended for what it took.
    pub(super) fn take_over(&self) -> Option<String> {
        let is_over = self.is_over.load(Ordering::Relaxed) && self.is_over.swap(false, Ordering::Relaxed);
        is_over.then(|| format!("took more than {} steps, the limit of this server (--max-steps)", self.each))
    }

    /// Why nothing more is evaluated.
    pub(super) fn ended(&self) -> Option<Error> {
        if self.is_gone() {
            return Some(Error::new(Code::Stopped, "predicate", "nobody waits for the answer any more"));
        }
        (self.left.load(Ordering::Relaxed) <= 0).then(|| {
            let (all, evaluations) = (self.each.saturating_mul(ALL), self.evaluations.load(Ordering::Relaxed));
            let text = format!(
                "{evaluations} evaluations took more than {all} steps in all, and those that take less than {} are not even counted (--max-steps)",
                self.each / SHARE
            );
            Error::new(Code::TooLarge, "predicate", text)
        })
    }

    /// Whether others are to have their turn.
    pub(super) fn is_turn_over(&self) -> bool {
        let is_over = self.turn.load(Ordering::Relaxed) <= 0;
        if is_over {
            self.turn.store(TURN, Ordering::Relaxed);
        }
        is_over
    }
}

/// What one evaluation may cost.
#[derive(Debug)]
pub(super) struct Budget<'m> {
    limit: u64,
    left: AtomicI64,
    meter: Option<&'m Meter>,
}

impl<'m> Budget<'m> {
    #[inline]
    pub(super) fn of(meter: Option<&'m Meter>) -> Budget<'m> {
        let limit = meter.map_or(OWN_STEPS, |meter| meter.each);
        Budget { limit, left: AtomicI64::new(i64::try_from(limit).unwrap_or(i64::MAX)), meter }
    }

    /// Pays for a step; false when nothing is left, or nobody wants the answer any more.
    pub(super) fn pay(&self, price: i64) -> bool {
        let left = self.left.fetch_sub(price, Ordering::Relaxed);
        left > price && !self.meter.is_some_and(Meter::is_gone)
    }

    /// Whether it was not enough.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) <= 0
    }

    /// Tells the meter what it has cost.
    #[inline]
    pub(super) fn end(&self) {
        if let Some(meter) = self.meter {
            let left = u64::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(0);
            if left < self.limit {
                meter.spent(self.limit - left, self.is_over());
            }
        }
    }
}

impl Default for Budget<'_> {
    fn default() -> Self {
        Budget::of(None)
    }
}
