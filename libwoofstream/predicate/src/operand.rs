//! Numbers as values of the interpreter, with what is computed from them.
//!
//! The `cel` crate has three types of numbers that do not mix, and compares them after rounding. Here all numbers are of one
//! type, so that integers stay exact, mix with doubles, and compare by what they are worth. Literals, the data and the
//! results of functions are all such numbers; the crate's own are seen by lists and maps as positions and keys alone.

use super::source::Scalar;
use cel::common::traits::{Adder, Comparer, Divider, Modder, Multiplier, Negator, Subtractor};
use cel::common::types::{
    BYTES_TYPE, CelBool, CelBytes, CelDouble, CelInt, CelMap, CelString, CelUInt, DYN_TYPE, LIST_TYPE,
    MAP_TYPE, STRING_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use woof_core::number::{Computed, Number, Wrong};

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// The type of all numbers.
pub(super) static NUMBER_TYPE: Type = Type::new_unspecified_type("woofstream.Number");

/// The function that an error names when numbers do not fit 64 bits, which is told and not only missing.
const OVERFLOW: &str = "@overflow";

/// What the interpreter's error says to the user, if it says something.
pub(super) fn told(error: &ExecutionError) -> Option<&str> {
    match error {
        ExecutionError::FunctionError { function, message } if function == OVERFLOW => Some(message),
        _ => None,
    }
}

/// A number as a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand(pub(super) Number);

pub(super) fn of_number<'b, 'v>(number: Number) -> CowVal<'b, 'v> {
    CowVal::owned(Operand(number))
}

/// The number that a value is, if it is one.
pub(super) fn number_of(value: &dyn Val) -> Option<Number> {
    value.downcast_ref::<Operand>().map(|operand| operand.0)
}

fn failed(what: &str) -> ExecutionError {
    ExecutionError::no_such_overload(what, Vec::new())
}

/// A result, or why there is none; `what` says what was computed.
fn computed(result: Computed, what: impl FnOnce() -> String) -> Result<Number, ExecutionError> {
    result.map_err(|wrong| match wrong {
        Wrong::Overflow => {
            ExecutionError::function_error(OVERFLOW, format!("{} does not fit 64 bits", what()))
        }
        Wrong::None => failed("number"),
    })
}

fn binary<'b, 'v>(
    left: Number,
    sign: &str,
    right: &dyn Val,
    compute: fn(Number, Number) -> Computed,
) -> Answer<'b, 'v> {
    let right = number_of(right).ok_or_else(|| failed(sign))?;
    let result = computed(compute(left, right), || format!("{} {sign} {}", shown(left), shown(right)))?;
    Ok(of_number(result))
}

/// A number as messages show it: doubles of many digits in short.
fn shown(number: Number) -> impl fmt::Display {
    match number {
        Number::Float(value) if value.abs() >= 1e17 => format!("{value:e}"),
        number => number.to_string(),
    }
}

impl Val for Operand {
    fn get_type(&self) -> &Type {
        &NUMBER_TYPE
    }

    fn cel_type() -> &'static Type {
        &NUMBER_TYPE
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

    fn as_multiplier<'b, 'v>(&'b self) -> Option<&'b (dyn Multiplier + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_divider<'b, 'v>(&'b self) -> Option<&'b (dyn Divider + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_modder<'b, 'v>(&'b self) -> Option<&'b (dyn Modder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_negator<'b, 'v>(&'b self) -> Option<&'b (dyn Negator + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        number_of(other).is_some_and(|other| Number::compare(self.0, other) == Some(Ordering::Equal))
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
}

impl StaticVal for Operand {}

impl Comparer for Operand {
    /// Not-a-number has no order, and the interpreter no answer for that: "greater" makes `<` and `<=` false, which are the
    /// only two orders that a translated predicate asks for.
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        let other = number_of(other).ok_or_else(|| failed("<"))?;
        Ok(Number::compare(self.0, other).unwrap_or(Ordering::Greater))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $sign:literal $compute:ident),*) => {$(
        impl $trait for Operand {
            fn $method<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Answer<'b, 'v>
            where
                Self: 'v,
            {
                binary(self.0, $sign, other, Number::$compute)
            }
        }
    )*};
}

operators!(
    Adder add "+" plus,
    Subtractor sub "-" minus,
    Multiplier mul "*" times,
    Divider div "/" quotient,
    Modder modulo "%" remainder
);

impl Negator for Operand {
    fn negate<'v>(&self) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let negated = computed(self.0.negated(), || format!("-({})", shown(self.0)))?;
        Ok(Box::new(Operand(negated)))
    }
}

/// Adds what numbers need to an environment.
///
/// # Errors
/// Only where the environment has it already.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload("@ratio", "ratio", vec![NUMBER_TYPE.to_owned(), NUMBER_TYPE.to_owned()], |args| {
        let right = args.get(1).ok_or_else(|| failed("/"))?;
        binary(number(&args)?, "/", right.as_ref(), Number::ratio)
    })?;
    env.add_overload("@within", "in", vec![DYN_TYPE, DYN_TYPE], |args| {
        let (Some(item), Some(whole)) = (args.first(), args.get(1)) else {
            return Err(failed("in"));
        };
        let container = whole.as_container().ok_or_else(|| failed("in"))?;
        let found = match number_of(item.as_ref()) {
            Some(number) if whole.downcast_ref::<CelMap<'_>>().is_some() => {
                container.contains(&*key(number))?
            }
            _ => container.contains(item.as_ref())?,
        };
        Ok(CowVal::owned(CelBool::from(found)))
    })?;
    env.add_overload("@key", "key", vec![DYN_TYPE], |mut args| {
        let index = args.pop().ok_or_else(|| failed("[]"))?;
        Ok(match number_of(index.as_ref()) {
            Some(number) => CowVal::Owned(key(number)),
            None => index,
        })
    })?;
    conversions(env)?;
    sizes(env)
}

/// A number as the position in a list or the key in a map.
fn key<'v>(number: Number) -> Box<dyn Val + 'v> {
    match number {
        Number::Int(value) => Box::new(CelInt::from(value)),
        Number::UInt(value) => Box::new(CelUInt::from(value)),
        Number::Float(value) => Box::new(CelDouble::from(value)),
    }
}

fn conversions(env: &mut Env) -> Result<(), DeclarationError> {
    let number_type = || vec![NUMBER_TYPE.to_owned()];
    env.add_overload("@int", "number_to_int", number_type(), |args| {
        let from = number(&args)?;
        Ok(of_number(computed(from.to_int(), || format!("int({})", shown(from)))?))
    })?;
    env.add_overload("@int", "text_to_int", vec![STRING_TYPE], |args| {
        let from = text(&args)?;
        let value = from.parse().map(Number::Int).map_err(|err| not_read("int", from, err.kind()))?;
        Ok(of_number(value))
    })?;
    env.add_overload("@uint", "number_to_uint", number_type(), |args| {
        let from = number(&args)?;
        Ok(of_number(computed(from.to_uint(), || format!("uint({})", shown(from)))?))
    })?;
    env.add_overload("@uint", "text_to_uint", vec![STRING_TYPE], |args| {
        let from = text(&args)?;
        let value = from.parse().map(Number::UInt).map_err(|err| not_read("uint", from, err.kind()))?;
        Ok(of_number(value))
    })?;
    env.add_overload("@double", "number_to_double", number_type(), |args| {
        Ok(of_number(Number::Float(number(&args)?.float())))
    })?;
    env.add_overload("@double", "text_to_double", vec![STRING_TYPE], |args| {
        // Not 1e400, which no double is.
        let from = text(&args)?;
        let value = from
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite() || !from.contains(|c: char| c.is_ascii_digit()));
        value.map(|value| of_number(Number::Float(value))).ok_or_else(|| failed("double"))
    })?;
    env.add_overload("string", "number_to_text", number_type(), |args| {
        Ok(CowVal::owned(CelString::from(number(&args)?.to_string())))
    })
}

fn not_read(what: &str, from: &str, kind: &std::num::IntErrorKind) -> ExecutionError {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match kind {
        PosOverflow | NegOverflow => {
            let shown = woof_core::content::quoted(from.as_bytes());
            ExecutionError::function_error(OVERFLOW, format!("{what}({shown}) does not fit 64 bits"))
        }
        _ => failed(what),
    }
}

fn sizes(env: &mut Env) -> Result<(), DeclarationError> {
    fn size<'b, 'v>(len: usize) -> Answer<'b, 'v> {
        Ok(of_number(Number::unsigned(u64::try_from(len).unwrap_or(u64::MAX))))
    }
    fn of_container<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
        let sizer = args.first().and_then(|arg| arg.as_sizer()).ok_or_else(|| failed("size"))?;
        Ok(of_number(Number::Int(*sizer.size().inner())))
    }
    env.add_overload("@size", "size_of_text", vec![STRING_TYPE], |args| size(text(&args)?.chars().count()))?;
    env.add_overload("@size", "size_of_bytes", vec![BYTES_TYPE], |args| {
        let bytes =
            args.first().and_then(|arg| arg.downcast_ref::<CelBytes<'_>>()).ok_or_else(|| failed("size"))?;
        size(bytes.inner().len())
    })?;
    env.add_overload("@size", "size_of_list", vec![LIST_TYPE], of_container)?;
    env.add_overload("@size", "size_of_map", vec![MAP_TYPE], of_container)
}

fn number(args: &[CowVal<'_, '_>]) -> Result<Number, ExecutionError> {
    args.first().and_then(|arg| number_of(arg.as_ref())).ok_or_else(|| failed("number"))
}

fn text<'a>(args: &'a [CowVal<'_, '_>]) -> Result<&'a str, ExecutionError> {
    args.first()
        .and_then(|arg| arg.downcast_ref::<CelString<'_>>())
        .map(|text| text.inner())
        .ok_or_else(|| failed("text"))
}

/// A value with one part, in the interpreter's form.
pub(super) fn of_scalar<'r>(scalar: Scalar<'r>) -> Option<CowVal<'r, 'r>> {
    use super::moment::Moment;
    use cel::common::types::CelNull;
    Some(match scalar {
        Scalar::Null | Scalar::Other => CowVal::owned(CelNull),
        Scalar::Bool(value) => CowVal::owned(CelBool::from(value)),
        Scalar::Num(value) => of_number(value),
        Scalar::Text(value) => CowVal::owned(CelString::from(value)),
        Scalar::Bytes(value) => CowVal::owned(CelBytes::from(value)),
        Scalar::Time(nanos) => CowVal::owned(Moment(nanos)),
    })
}
