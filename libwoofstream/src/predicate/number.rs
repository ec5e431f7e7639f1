//! Numbers of three kinds on one line: integers, unsigned integers and doubles compare by what they are worth,
//! exactly, also beyond 2^53 where a double can no longer hold every integer.

use std::cmp::Ordering;

/// A number as the data or the expression has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Num {
    Int(i64),
    UInt(u64),
    Float(f64),
}

impl Num {
    /// How two numbers compare; `None` where one of them is not a number.
    pub(super) fn compare(self, other: Num) -> Option<Ordering> {
        match (self, other) {
            (Num::Float(a), Num::Float(b)) => a.partial_cmp(&b),
            (Num::Int(a), Num::Int(b)) => Some(a.cmp(&b)),
            (Num::Float(a), b) => compare_integer(b.integer()?, a).map(Ordering::reverse),
            (a, Num::Float(b)) => compare_integer(a.integer()?, b),
            (a, b) => Some(a.integer()?.cmp(&b.integer()?)),
        }
    }

    fn integer(self) -> Option<i128> {
        match self {
            Num::Int(value) => Some(i128::from(value)),
            Num::UInt(value) => Some(i128::from(value)),
            Num::Float(_) => None,
        }
    }

    /// The number as a double, if a double can hold it exactly.
    pub(super) fn exact_float(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "what was lost is seen by the comparison after it")]
        let float = match self {
            Num::Float(value) => return Some(value),
            Num::Int(value) => value as f64,
            Num::UInt(value) => value as f64,
        };
        (self.compare(Num::Float(float)) == Some(Ordering::Equal)).then_some(float)
    }

    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub(super) fn float(self) -> f64 {
        match self {
            Num::Float(value) => value,
            Num::Int(value) => value as f64,
            Num::UInt(value) => value as f64,
        }
    }
}

fn compare_integer(integer: i128, float: f64) -> Option<Ordering> {
    // Beyond these every integer of 64 bits is on one side.
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if float.is_nan() {
        return None;
    }
    if float >= LIMIT {
        return Some(Ordering::Less);
    }
    if float <= -LIMIT {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between -2^64 and 2^64 the whole part fits 128 bits"
    )]
    let whole = float.trunc() as i128;
    let fraction = float.fract();
    Some(integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    #[test]
    fn integers_and_doubles_compare_exactly_beyond_53_bits() {
        let big = 9_007_199_254_740_993;
        assert_eq!(Num::Int(big).compare(Num::Float(9_007_199_254_740_992.0)), Some(Greater));
        assert_eq!(Num::Float(9_007_199_254_740_992.0).compare(Num::Int(big)), Some(Less));
        assert_eq!(Num::Int(i64::MAX).compare(Num::Float(9_223_372_036_854_775_808.0)), Some(Less));
        assert_eq!(Num::Int(i64::MIN).compare(Num::Float(-9_223_372_036_854_775_808.0)), Some(Equal));
        assert_eq!(Num::UInt(u64::MAX).compare(Num::Int(-1)), Some(Greater));
        assert_eq!(Num::UInt(u64::MAX).compare(Num::Float(f64::INFINITY)), Some(Less));
        assert_eq!(Num::Int(i64::MIN).compare(Num::Float(f64::NEG_INFINITY)), Some(Greater));
    }

    #[test]
    fn fractions_count_on_both_sides_of_zero() {
        assert_eq!(Num::Int(2).compare(Num::Float(2.5)), Some(Less));
        assert_eq!(Num::Int(-2).compare(Num::Float(-2.5)), Some(Greater));
        assert_eq!(Num::Int(0).compare(Num::Float(-0.0)), Some(Equal));
        assert_eq!(Num::Int(0).compare(Num::Float(f64::NAN)), None);
    }

    #[test]
    fn a_double_holds_what_it_holds_exactly() {
        assert_eq!(Num::Int(70).exact_float(), Some(70.0));
        assert_eq!(Num::Int(9_007_199_254_740_993).exact_float(), None);
        assert_eq!(Num::UInt(u64::MAX).exact_float(), None);
    }
}
