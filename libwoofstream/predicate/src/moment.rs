//! Times and durations as values of the interpreter, with their functions.
//!
//! The `cel` crate has its own, but they bring the tables of all time zones into the program: 37,000 relocations and
//! a millisecond at every start. These take named zones from the system, and agree with CEL in all else.

use super::literal::{self, TIME_MAX, TIME_MIN};
use super::operand::{NUMBER_TYPE, number_of, of_number};
use cel::common::traits::{Adder, Comparer, Negator, Subtractor};
use cel::common::types::{CelString, DURATION_TYPE, STRING_TYPE, TIMESTAMP_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use std::any::Any;
use std::cmp::Ordering;
use std::fmt::Write;
use woof_core::number::Number;

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// A time, in nanoseconds since 1970, of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment(pub(super) i128);

/// A duration in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub(super) i64);

static MOMENT: Type = TIMESTAMP_TYPE;
static SPAN: Type = DURATION_TYPE;

/// What every error here becomes: no match.
fn failed(what: &str) -> ExecutionError {
    ExecutionError::no_such_overload(what, Vec::new())
}

impl Moment {
    fn checked<'b, 'v>(nanos: i128) -> Answer<'b, 'v> {
        if (TIME_MIN..=TIME_MAX).contains(&nanos) {
            Ok(CowVal::owned(Moment(nanos)))
        } else {
            Err(failed("timestamp"))
        }
    }

    fn timestamp(self) -> Result<Timestamp, ExecutionError> {
        Timestamp::from_nanosecond(self.0).map_err(|_| failed("timestamp"))
    }
}

impl Span {
    fn checked<'b, 'v>(nanos: impl TryInto<i64>) -> Answer<'b, 'v> {
        nanos.try_into().map(|nanos| CowVal::owned(Span(nanos))).map_err(|_| failed("duration"))
    }
}

macro_rules! value_of_the_interpreter {
    ($name:ident, $type:ident $(, $more:item)*) => {
        impl Val for $name {
            fn get_type(&self) -> &Type {
                &$type
            }

            fn cel_type() -> &'static Type {
                &$type
            }

            fn as_comparer(&self) -> Option<&dyn Comparer> {
                Some(self)
            }

            fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_subtractor<'b, 'v>(&'b self) -> Option<&'b (dyn Subtractor + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn equals(&self, other: &dyn Val) -> bool {
                other.downcast_ref::<$name>() == Some(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(*self)
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }

            $($more)*
        }

        impl StaticVal for $name {}

        impl Comparer for $name {
            fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
                other.downcast_ref::<$name>().map(|other| self.0.cmp(&other.0)).ok_or_else(|| failed("<"))
            }
        }
    };
}

value_of_the_interpreter!(Moment, MOMENT);
value_of_the_interpreter!(
    Span,
    SPAN,
    fn as_negator<'b, 'v>(&'b self) -> Option<&'b (dyn Negator + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
);

impl Negator for Span {
    fn negate<'v>(&self) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.0.checked_neg().map(|nanos| Box::new(Span(nanos)) as _).ok_or_else(|| failed("-"))
    }
}

impl Adder for Moment {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        let by = other.downcast_ref::<Span>().ok_or_else(|| failed("+"))?;
        Moment::checked(self.0 + i128::from(by.0))
    }
}

impl Subtractor for Moment {
    fn sub<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        if let Some(other) = other.downcast_ref::<Moment>() {
            return Span::checked(self.0 - other.0);
        }
        let by = other.downcast_ref::<Span>().ok_or_else(|| failed("-"))?;
        Moment::checked(self.0 - i128::from(by.0))
    }
}

impl Adder for Span {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        if let Some(time) = other.downcast_ref::<Moment>() {
            return Moment::checked(time.0 + i128::from(self.0));
        }
        let other = other.downcast_ref::<Span>().ok_or_else(|| failed("+"))?;
        Span::checked(i128::from(self.0) + i128::from(other.0))
    }
}

impl Subtractor for Span {
    fn sub<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        let other = other.downcast_ref::<Span>().ok_or_else(|| failed("-"))?;
        Span::checked(i128::from(self.0) - i128::from(other.0))
    }
}

/// Adds the functions of times and durations to an environment.
///
/// # Errors
/// Only where the environment has them already.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload("timestamp", "text_to_time", vec![STRING_TYPE], |args| {
        let time = text(&args, 0).and_then(literal::time).ok_or_else(|| failed("timestamp"))?;
        Ok(CowVal::owned(Moment(time)))
    })?;
    env.add_overload("timestamp", "number_to_time", vec![NUMBER_TYPE.to_owned()], |args| {
        match args.first().and_then(|arg| number_of(arg.as_ref())) {
            Some(Number::Int(seconds)) => Moment::checked(i128::from(seconds) * 1_000_000_000),
            _ => Err(failed("timestamp")),
        }
    })?;
    env.add_overload("timestamp", "time_to_time", vec![TIMESTAMP_TYPE], itself)?;
    env.add_overload("duration", "text_to_duration", vec![STRING_TYPE], |args| {
        let nanos = text(&args, 0).and_then(literal::duration).ok_or_else(|| failed("duration"))?;
        Ok(CowVal::owned(Span(nanos)))
    })?;
    env.add_overload("duration", "duration_to_duration", vec![DURATION_TYPE], itself)?;
    env.add_overload("string", "time_to_text", vec![TIMESTAMP_TYPE], |args| {
        Ok(CowVal::owned(CelString::from(moment(&args)?.timestamp()?.to_string())))
    })?;
    env.add_overload("string", "duration_to_text", vec![DURATION_TYPE], |args| {
        Ok(CowVal::owned(CelString::from(duration_text(span(&args)?.0))))
    })?;
    env.add_overload("@int", "time_to_int", vec![TIMESTAMP_TYPE], |args| {
        Ok(of_number(Number::Int(moment(&args)?.timestamp()?.as_second())))
    })?;
    fields(env)
}

macro_rules! declare_fields {
    ($env:ident: $($name:literal => $field:expr),*) => {$(
        $env.add_member_overload($name, concat!($name, "_utc"), TIMESTAMP_TYPE, vec![], |args| field(&args, $field))?;
        $env.add_member_overload($name, concat!($name, "_in"), TIMESTAMP_TYPE, vec![STRING_TYPE], |args| field(&args, $field))?;
    )*};
}

macro_rules! declare_units {
    ($env:ident: $($name:literal => $nanos:literal),*) => {$(
        $env.add_member_overload($name, concat!($name, "_of"), DURATION_TYPE, vec![], |args| {
            Ok(of_number(Number::Int(span(&args)?.0 / $nanos)))
        })?;
    )*};
}

fn fields(env: &mut Env) -> Result<(), DeclarationError> {
    // CEL counts months and days of a month or year from 0, `getDate` from 1, and days of the week from Sunday.
    declare_fields!(env:
        "getFullYear" => |time| i64::from(time.year()),
        "getMonth" => |time| i64::from(time.month()) - 1,
        "getDayOfYear" => |time| i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => |time| i64::from(time.day()) - 1,
        "getDate" => |time| i64::from(time.day()),
        "getDayOfWeek" => |time| i64::from(time.weekday().to_sunday_zero_offset()),
        "getHours" => |time| i64::from(time.hour()),
        "getMinutes" => |time| i64::from(time.minute()),
        "getSeconds" => |time| i64::from(time.second()),
        "getMilliseconds" => |time| i64::from(time.millisecond())
    );
    declare_units!(env:
        "getHours" => 3_600_000_000_000,
        "getMinutes" => 60_000_000_000,
        "getSeconds" => 1_000_000_000,
        "getMilliseconds" => 1_000_000
    );
    Ok(())
}

fn field<'b, 'v>(args: &[CowVal<'b, 'v>], field: fn(&Zoned) -> i64) -> Answer<'b, 'v> {
    let zone = match text(args, 1) {
        Some(name) => zone(name).ok_or_else(|| failed("time zone"))?,
        None => TimeZone::UTC,
    };
    let time = moment(args)?.timestamp()?.to_zoned(zone);
    Ok(of_number(Number::Int(field(&time))))
}

/// A time zone: `+02:00`, `-08:00`, `05:30`, or a name that the system knows.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let (sign, digits) = match name.as_bytes() {
        [b'-', ..] => (-1, name.get(1..)?),
        [b'+', ..] => (1, name.get(1..)?),
        _ => (1, name),
    };
    if let Some((hours, minutes)) = digits.split_once(':') {
        // Two digits each, and no second sign.
        let part = |part: &str| part.parse::<u8>().ok().filter(|_| part.len() == 2 && !part.starts_with('+'));
        let (hours, minutes) = (part(hours)?, part(minutes)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60 * sign;
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

/// Seconds with their fraction: `-1.5s`.
fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let mut out = format!("{sign}{}", nanos / 1_000_000_000);
    if !nanos.is_multiple_of(1_000_000_000) {
        // Writing to a string cannot fail.
        let _ = write!(out, ".{:09}", nanos % 1_000_000_000);
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('s');
    out
}

fn itself<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    args.pop().ok_or_else(|| failed("timestamp"))
}

fn text<'a>(args: &'a [CowVal<'_, '_>], index: usize) -> Option<&'a str> {
    args.get(index)?.downcast_ref::<CelString<'_>>().map(|text| text.inner())
}

fn moment(args: &[CowVal<'_, '_>]) -> Result<Moment, ExecutionError> {
    args.first().and_then(|arg| arg.downcast_ref::<Moment>()).copied().ok_or_else(|| failed("timestamp"))
}

fn span(args: &[CowVal<'_, '_>]) -> Result<Span, ExecutionError> {
    args.first().and_then(|arg| arg.downcast_ref::<Span>()).copied().ok_or_else(|| failed("duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_cel_has_them() {
        assert_eq!(duration_text(0), "0s");
        assert_eq!(duration_text(-1_500_000_000), "-1.5s");
        assert_eq!(duration_text(90_000_000_001), "90.000000001s");
        assert_eq!(duration_text(i64::MIN), "-9223372036.854775808s");
    }

    #[test]
    fn zones_are_offsets_or_names() {
        assert_eq!(zone("-08:00"), Some(TimeZone::fixed(Offset::constant(-8))));
        assert_eq!(zone("05:30").map(|zone| zone.to_fixed_offset().unwrap().seconds()), Some(19_800));
        assert_eq!(zone("24:00"), None);
        assert_eq!(zone("+01:60"), None);
        assert_eq!(zone("++1:00"), None);
        assert_eq!(zone("1:00"), None);
        assert_eq!(zone(""), None);
        assert_eq!(zone("../../etc/passwd"), None);
        assert_eq!(zone("UTC"), Some(TimeZone::UTC));
    }
}
