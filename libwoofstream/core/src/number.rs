//! Numbers of three kinds on one line: integers, unsigned integers and doubles. They compare by what they are worth,
//! exactly, also beyond 2^53 where a double can no longer hold every integer. Integers stay integers when they are
//! computed with, until a double comes in.
//!
//! Failure contract: what has no result says why ([`Wrong`]); nothing is rounded or wrapped in its place.

use crate::text;
use std::cmp::Ordering;
use std::fmt;

/// A number as the data or an expression has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer of 64 bits.
    Int(i64),
    /// An unsigned integer of 64 bits.
    UInt(u64),
    /// A double.
    Float(f64),
}

/// Why numbers have no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It does not fit 64 bits.
    Overflow,
    /// An integer was divided by zero, or a whole number was needed and there was a fraction.
    None,
}

/// What a computation gives.
pub type Computed = std::result::Result<Number, Wrong>;

impl Number {
    /// The number that decimal text reads as, with white space around it. Integers of 64 bits stay integers; all other numbers are
    /// doubles. `None` for anything else: words such as `nan` and `inf` too, and numbers beyond the range of doubles.
    ///
    /// ```
    /// use woof_core::number::Number;
    /// assert_eq!(Number::of_text(b" 9007199254740993\n"), Some(Number::Int(9_007_199_254_740_993)));
    /// assert_eq!(Number::of_text(b"21.5"), Some(Number::Float(21.5)));
    /// assert_eq!(Number::of_text(b"warm"), None);
    /// ```
    pub fn of_text(text: &[u8]) -> Option<Number> {
        let text = text.trim_ascii();
        if let Some(value) = short_integer(text) {
            return Some(Number::Int(value));
        }
        if let Some(value) = short_decimal(text) {
            return Some(Number::Float(value));
        }
        // Names of numbers are words in text; only digits read as a number.
        if !text.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let text = text::without_mark(std::str::from_utf8(text).ok()?);
        if let Ok(value) = text.parse() {
            return Some(Number::Int(value));
        }
        if let Ok(value) = text.parse() {
            return Some(Number::UInt(value));
        }
        text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Float)
    }

    /// The number of an unsigned integer: a signed one where it fits.
    pub fn unsigned(value: u64) -> Number {
        i64::try_from(value).map_or(Number::UInt(value), Number::Int)
    }

    /// How two numbers compare; `None` where one of them is not a number.
    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Float(a), b) => compare_integer(b.integer()?, a).map(Ordering::reverse),
            (a, Number::Float(b)) => compare_integer(a.integer()?, b),
            (a, b) => Some(a.integer()?.cmp(&b.integer()?)),
        }
    }

    fn integer(self) -> Option<i128> {
        match self {
            Number::Int(value) => Some(i128::from(value)),
            Number::UInt(value) => Some(i128::from(value)),
            Number::Float(_) => None,
        }
    }

    /// The number as a double, if a double can hold it exactly.
    pub fn exact_float(self) -> Option<f64> {
        let float = self.float();
        (self.compare(Number::Float(float)) == Some(Ordering::Equal) || float.is_nan()).then_some(float)
    }

    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub fn float(self) -> f64 {
        match self {
            Number::Float(value) => value,
            Number::Int(value) => value as f64,
            Number::UInt(value) => value as f64,
        }
    }

    /// The sum. Two signed integers give a signed one, as in CEL; where an unsigned one is among them, either kind.
    ///
    /// # Errors
    /// [`Wrong::Overflow`] for an integer over 64 bits; doubles become infinite instead.
    pub fn plus(self, other: Number) -> Computed {
        self.with(other, i64::checked_add, i128::checked_add, |a, b| a + b)
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Number::plus`].
    pub fn minus(self, other: Number) -> Computed {
        self.with(other, i64::checked_sub, i128::checked_sub, |a, b| a - b)
    }

    /// The product.
    ///
    /// # Errors
    /// As [`Number::plus`].
    pub fn times(self, other: Number) -> Computed {
        self.with(other, i64::checked_mul, i128::checked_mul, |a, b| a * b)
    }

    /// The quotient as CEL has it: of two integers the whole part, cut towards zero.
    ///
    /// # Errors
    /// As [`Number::plus`]; [`Wrong::None`] for an integer divided by zero.
    pub fn quotient(self, other: Number) -> Computed {
        self.refuse_zero(other)?;
        self.with(other, i64::checked_div, i128::checked_div, |a, b| a / b)
    }

    /// The quotient with its fraction: an integer where two integers divide evenly, else a double.
    ///
    /// # Errors
    /// [`Wrong::None`] for an integer divided by zero.
    pub fn ratio(self, other: Number) -> Computed {
        self.refuse_zero(other)?;
        match (self.integer(), other.integer()) {
            (Some(a), Some(b)) if a % b == 0 => narrow(a / b),
            _ => Ok(Number::Float(self.float() / other.float())),
        }
    }

    /// The remainder, with the sign of the number that is divided. Doubles that are whole numbers count as integers.
    ///
    /// # Errors
    /// As [`Number::quotient`]; [`Wrong::None`] for a fraction.
    pub fn remainder(self, other: Number) -> Computed {
        let (a, b) = (self.whole()?, other.whole()?);
        a.refuse_zero(b)?;
        a.with(b, i64::checked_rem, i128::checked_rem, |a, b| a % b)
    }

    /// The number with the other sign.
    ///
    /// # Errors
    /// As [`Number::plus`].
    pub fn negated(self) -> Computed {
        match self {
            Number::Float(value) => Ok(Number::Float(-value)),
            Number::Int(value) => value.checked_neg().map(Number::Int).ok_or(Wrong::Overflow),
            Number::UInt(value) => narrow(-i128::from(value)),
        }
    }

    /// The number as a signed integer; fractions are cut towards zero.
    ///
    /// # Errors
    /// [`Wrong::Overflow`] where it does not fit, [`Wrong::None`] for not-a-number.
    pub fn to_int(self) -> Computed {
        let cut = self.cut()?;
        i64::try_from(cut).map(Number::Int).map_err(|_| Wrong::Overflow)
    }

    /// The number as an unsigned integer; fractions are cut towards zero.
    ///
    /// # Errors
    /// As [`Number::to_int`]; what is below zero does not fit.
    pub fn to_uint(self) -> Computed {
        if matches!(self, Number::Float(value) if value < 0.0) {
            return Err(Wrong::Overflow);
        }
        let cut = self.cut()?;
        u64::try_from(cut).map(Number::UInt).map_err(|_| Wrong::Overflow)
    }

    /// The whole part.
    fn cut(self) -> std::result::Result<i128, Wrong> {
        match self {
            Number::Float(value) if value.is_nan() => Err(Wrong::None),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "out of range it is the nearest of 128 bits, over 64 too"
            )]
            Number::Float(value) => Ok(value.trunc() as i128),
            Number::Int(value) => Ok(i128::from(value)),
            Number::UInt(value) => Ok(i128::from(value)),
        }
    }

    /// The integer that it is.
    fn whole(self) -> Computed {
        match self {
            Number::Float(value) if value.fract() == 0.0 => narrow(self.cut()?),
            Number::Float(_) => Err(Wrong::None),
            integer => Ok(integer),
        }
    }

    fn refuse_zero(self, by: Number) -> std::result::Result<(), Wrong> {
        match (self.integer(), by.integer()) {
            (Some(_), Some(0)) => Err(Wrong::None),
            _ => Ok(()),
        }
    }

    fn with(
        self,
        other: Number,
        signed: fn(i64, i64) -> Option<i64>,
        wide: fn(i128, i128) -> Option<i128>,
        float: fn(f64, f64) -> f64,
    ) -> Computed {
        if let (Number::Int(a), Number::Int(b)) = (self, other) {
            return signed(a, b).map(Number::Int).ok_or(Wrong::Overflow);
        }
        match (self.integer(), other.integer()) {
            (Some(a), Some(b)) => wide(a, b).ok_or(Wrong::Overflow).and_then(narrow),
            _ => Ok(Number::Float(float(self.float(), other.float()))),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => value.fmt(f),
            Number::UInt(value) => value.fmt(f),
            Number::Float(value) => value.fmt(f),
        }
    }
}

fn narrow(value: i128) -> Computed {
    let unsigned = || u64::try_from(value).map(Number::UInt);
    i64::try_from(value).map(Number::Int).or_else(|_| unsigned()).map_err(|_| Wrong::Overflow)
}

/// An integer of up to 18 digits, which cannot overflow.
fn short_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut sum = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        sum = sum * 10 + i64::from(byte - b'0');
    }
    Some(if negative { -sum } else { sum })
}

/// A decimal of up to 15 digits, as readings and counters are: an integer below 2^53 divided by a power of ten up to 10^15, both
/// exact, so that the one rounding of the division is the right one (Clinger, How to read floating point numbers accurately,
/// 1990). `None` for everything else, number or not.
fn short_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut integer, mut count, mut point) = (0u64, 0, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' if count < 15 => {
                integer = integer * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    let decimals = count - point.unwrap_or(count);
    #[expect(clippy::cast_precision_loss, reason = "15 digits are below 2^53")]
    let number = integer as f64 / POWERS.get(decimals)?;
    (count > 0).then_some(if negative { -number } else { number })
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
        assert_eq!(Number::Int(big).compare(Number::Float(9_007_199_254_740_992.0)), Some(Greater));
        assert_eq!(Number::Float(9_007_199_254_740_992.0).compare(Number::Int(big)), Some(Less));
        assert_eq!(Number::Int(i64::MAX).compare(Number::Float(9_223_372_036_854_775_808.0)), Some(Less));
        assert_eq!(Number::Int(i64::MIN).compare(Number::Float(-9_223_372_036_854_775_808.0)), Some(Equal));
        assert_eq!(Number::UInt(u64::MAX).compare(Number::Int(-1)), Some(Greater));
        assert_eq!(Number::UInt(u64::MAX).compare(Number::Float(f64::INFINITY)), Some(Less));
        assert_eq!(Number::Int(i64::MIN).compare(Number::Float(f64::NEG_INFINITY)), Some(Greater));
    }

    #[test]
    fn fractions_count_on_both_sides_of_zero() {
        assert_eq!(Number::Int(2).compare(Number::Float(2.5)), Some(Less));
        assert_eq!(Number::Int(-2).compare(Number::Float(-2.5)), Some(Greater));
        assert_eq!(Number::Int(0).compare(Number::Float(-0.0)), Some(Equal));
        assert_eq!(Number::Int(0).compare(Number::Float(f64::NAN)), None);
    }

    #[test]
    fn a_double_holds_what_it_holds_exactly() {
        assert_eq!(Number::Int(70).exact_float(), Some(70.0));
        assert_eq!(Number::Int(9_007_199_254_740_993).exact_float(), None);
        assert_eq!(Number::UInt(u64::MAX).exact_float(), None);
    }

    #[test]
    fn short_decimals_read_as_all_others_do() {
        for text in
            ["0", "-0", "98", "21.5", "-40.25", ".5", "5.", "000.1", "123456789012345", "0.00000000000001"]
        {
            let slow: f64 = text.parse().unwrap();
            assert_eq!(short_decimal(text.as_bytes()).map(f64::to_bits), Some(slow.to_bits()), "{text}");
        }
        for text in
            ["", "-", ".", "1e3", "+5", "1.2.3", "1234567890123456", "0.1234567890123456", "inf", "--1", "1-"]
        {
            assert_eq!(short_decimal(text.as_bytes()), None, "{text}");
        }
        let mut number = 88_172_645_463_325_252u64;
        for _ in 0..50_000 {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            let (whole, decimals) = (number % 1_000_000_000, number / 7 % 1_000_000);
            let text = format!("{whole}.{decimals:06}");
            let slow: f64 = text.parse().unwrap();
            assert_eq!(short_decimal(text.as_bytes()), Some(slow), "{text}");
        }
    }
}
