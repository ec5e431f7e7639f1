//! The type checker: finds what cannot work before there is data, and says where and what was expected.
//!
//! It also completes the tree: `now`, `timestamp("...")` and `duration("...")` become values, a division of which only the
//! data tells whether it is one of integers becomes one with fractions, and patterns become compiled regular expressions.

use super::ast::{Expr, Kind, Literal, Op};
use super::fault::{Result, fault};
use super::literal::{TIME_MAX, TIME_MIN};
use super::pattern::Pattern;
use super::types::Type;
use woof_core::number::Wrong;

/// How many `+` of an expression may join strings, bytes or lists: what an expression builds stays a small
/// multiple of the data it is asked about.
const JOINS_MAX: usize = 16;

/// How many patterns an expression may have: each may take a while to be compiled, and a mebibyte.
const PATTERNS_MAX: usize = 64;

/// What the checker knows and gathers while it goes through an expression.
pub(super) struct Checker {
    /// The value of `now`, in nanoseconds since 1970.
    now: i128,
    /// The names that list macros around the present place have bound.
    pub(super) bound: Vec<String>,
    /// The patterns of the expression, compiled.
    pub(super) patterns: Vec<Pattern>,
    joins: usize,
}

/// Checks a whole predicate, which must be true or false, and returns its patterns.
pub(super) fn check(expr: &mut Expr, now: i128) -> Result<Vec<Pattern>> {
    let mut checker = Checker { now, bound: Vec::new(), patterns: Vec::new(), joins: 0 };
    checker.expect(expr, Type::Bool)?;
    Ok(checker.patterns)
}

impl Checker {
    /// Checks an expression that has to be of type `wanted`.
    pub(super) fn expect(&mut self, expr: &mut Expr, wanted: Type) -> Result<()> {
        let found = self.check(expr)?;
        if found.fits(wanted) { Ok(()) } else { mismatch(expr.at, wanted, found) }
    }

    /// Checks an expression and returns its type.
    pub(super) fn check(&mut self, expr: &mut Expr) -> Result<Type> {
        let at = expr.at;
        match &mut expr.kind {
            Kind::Literal(literal) => Ok(Type::of(literal)),
            Kind::Name(name) if self.bound.contains(name) => Ok(Type::Json),
            Kind::Name(name) if name == "now" => {
                expr.kind = Kind::Literal(Literal::Time(self.now));
                Ok(Type::Time)
            }
            Kind::Name(name) => Ok(Type::of_name(name)),
            Kind::Select { of, field, field_at } => {
                // Whoever looks for a part of the data means the data as JSON.
                let of_data =
                    matches!(&of.kind, Kind::Name(name) if matches!(&**name, "value" | "text" | "data"));
                let hint = if of_data { format!(": write json.{field}") } else { String::new() };
                self.part(of, *field_at, &format!("'{field}'{hint}"))
            }
            Kind::Index { of, index } => self.index(of, index),
            Kind::Call { .. } => self.call(expr),
            Kind::Not(operand) => self.expect(operand, Type::Bool).map(|()| Type::Bool),
            Kind::Negate(operand) => match self.check(operand)? {
                Type::UInt => fault(at, "'-' needs a signed number: write int(...)"),
                found if found.is_number() || found.is_open() => Ok(found),
                found => mismatch(operand.at, Type::Number, found),
            },
            Kind::And(operands) | Kind::Or(operands) => {
                for operand in operands {
                    self.expect(operand, Type::Bool)?;
                }
                Ok(Type::Bool)
            }
            Kind::Binary { op: Op::In, left, right } => self.membership(left, right),
            Kind::Binary { op, left, right } if op.is_comparison() => self.comparison(*op, left, right),
            Kind::Binary { .. } => self.arithmetic(expr),
            Kind::Choice { condition, yes, no } => {
                self.expect(condition, Type::Bool)?;
                let (first, second) = (self.check(yes)?, self.check(no)?);
                if !first.compares_with(second) {
                    return mismatch(no.at, first, second);
                }
                Ok(match (first, second) {
                    _ if first.is_open() || first == second => first,
                    _ if first.is_number() && second.is_number() => Type::Number,
                    _ => Type::Any,
                })
            }
            Kind::List(items) => {
                for item in items {
                    self.check(item)?;
                }
                Ok(Type::List)
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    match self.check(key)? {
                        Type::Text | Type::Int | Type::UInt | Type::Bool | Type::Json | Type::Any => {}
                        found => return fault(key.at, format!("{} is no key of a map", found.name())),
                    }
                    self.check(value)?;
                }
                Ok(Type::Map)
            }
        }
    }

    /// A field or key of something: what has none is refused at `at`.
    fn part(&mut self, of: &mut Expr, at: usize, what: &str) -> Result<Type> {
        match self.check(of)? {
            Type::Map | Type::Json => Ok(Type::Json),
            Type::Any => Ok(Type::Any),
            found => fault(at, format!("{} has no {what}", found.name())),
        }
    }

    fn index(&mut self, of: &mut Expr, index: &mut Expr) -> Result<Type> {
        let index_type = self.check(index)?;
        if self.check(of)? == Type::List {
            if index_type.is_number() || index_type.is_open() {
                return Ok(Type::Json);
            }
            return mismatch(index.at, Type::Int, index_type);
        }
        self.part(of, index.at, "parts")
    }

    fn comparison(&mut self, op: Op, left: &mut Expr, right: &mut Expr) -> Result<Type> {
        let (first, second) = (self.check(left)?, self.check(right)?);
        if !first.compares_with(second) {
            return match (first, &right.kind) {
                (Type::Time, Kind::Literal(Literal::Text(text))) => fault(
                    right.at,
                    format!("expected a time, found a string: write timestamp(\"{}\")", full_time(text)),
                ),
                _ => mismatch(right.at, first, second),
            };
        }
        if !op.is_equality() {
            for (side, found) in [(left, first), (right, second)] {
                if !found.has_order() {
                    return fault(side.at, format!("'{}' does not order {}", op.as_str(), found.name()));
                }
            }
        }
        Ok(Type::Bool)
    }

    fn membership(&mut self, left: &mut Expr, right: &mut Expr) -> Result<Type> {
        let element = self.check(left)?;
        if let Kind::List(items) = &mut right.kind {
            for item in items {
                let found = self.check(item)?;
                if !element.compares_with(found) {
                    return mismatch(item.at, element, found);
                }
            }
            return Ok(Type::Bool);
        }
        match self.check(right)? {
            Type::Map | Type::Json | Type::Any | Type::List => {}
            Type::Text if element == Type::Text => {
                return fault(right.at, "expected a list, found a string: write whole.contains(part)");
            }
            found => return mismatch(right.at, Type::List, found),
        }
        Ok(Type::Bool)
    }

    fn arithmetic(&mut self, expr: &mut Expr) -> Result<Type> {
        let at = expr.at;
        let Kind::Binary { op, left, right } = &mut expr.kind else {
            return fault(at, "expected an operator");
        };
        let (first, second) = (self.check(left)?, self.check(right)?);
        if let Some(folded) = fold_times(*op, left, right) {
            let Some(literal) = folded else {
                return fault(at, "this time is outside of the years 1 to 9999");
            };
            let found = Type::of(&literal);
            expr.kind = Kind::Literal(literal);
            expr.depth = 1;
            return Ok(found);
        }
        if *op == Op::Div && !(first.is_integer() && second.is_integer()) {
            *op = Op::Ratio;
        }
        if let (Kind::Literal(a), Kind::Literal(b)) = (&left.kind, &right.kind)
            && let (Some(a), Some(b)) = (a.number(), b.number())
        {
            let literal = match op.computed(a, b) {
                Ok(number) => Literal::of(number),
                Err(Wrong::Overflow) => return fault(at, "this does not fit 64 bits"),
                Err(Wrong::None)
                    if matches!(right.kind, Kind::Literal(Literal::Int(0) | Literal::UInt(0))) =>
                {
                    return fault(right.at, "division by zero");
                }
                Err(Wrong::None) => return fault(right.at, "'%' needs whole numbers: write int(...)"),
            };
            let found = Type::of(&literal);
            expr.kind = Kind::Literal(literal);
            expr.depth = 1;
            return Ok(found);
        }
        let op = *op;
        let adds_up = |found: Type| found.is_number() || matches!(found, Type::Time | Type::Duration);
        let joins = op == Op::Add && !adds_up(first) && !adds_up(second);
        if joins {
            self.joins += 1;
            if self.joins > JOINS_MAX {
                return fault(at, format!("more than {JOINS_MAX} '+' that join strings or lists"));
            }
        }
        let is_number = |found: Type| found.is_number() || found.is_open();
        match (op, first, second) {
            (Op::Rem, Type::Float, _) => fault(left.at, "'%' needs whole numbers: write int(...)"),
            (Op::Rem, _, Type::Float) => fault(right.at, "'%' needs whole numbers: write int(...)"),
            (Op::Add, Type::Time, Type::Duration)
            | (Op::Add, Type::Duration, Type::Time)
            | (Op::Sub, Type::Time, Type::Duration) => Ok(Type::Time),
            (Op::Add | Op::Sub, Type::Duration, Type::Duration) | (Op::Sub, Type::Time, Type::Time) => {
                Ok(Type::Duration)
            }
            (Op::Add, Type::Text | Type::Bytes | Type::List, _) if second.fits(first) => Ok(first),
            (Op::Add, _, Type::Text | Type::Bytes | Type::List) if first.is_open() => Ok(second),
            (_, Type::Time | Type::Duration, _) if second.is_open() => Ok(Type::Any),
            (_, _, Type::Time | Type::Duration) if first.is_open() => Ok(Type::Any),
            // What is open may also be text.
            _ if first.is_open() && second.is_open() => Ok(first),
            _ if first.is_integer() && second.is_integer() => Ok(Type::Int),
            _ if first == Type::Float && second.is_number() => Ok(Type::Float),
            _ if second == Type::Float && first.is_number() => Ok(Type::Float),
            _ if is_number(first) && is_number(second) => Ok(Type::Number),
            _ if is_number(first) => mismatch(right.at, Type::Number, second),
            (Op::Add, Type::Text | Type::Bytes | Type::List, _) => mismatch(right.at, first, second),
            (Op::Add | Op::Sub, Type::Time | Type::Duration, _) => mismatch(right.at, Type::Duration, second),
            _ => fault(left.at, format!("'{}' does not work on {}", op.as_str(), first.name())),
        }
    }

    /// Takes the pattern that must be written out in the expression, so that it is compiled once.
    pub(super) fn pattern(
        &mut self,
        expr: &mut Expr,
        compile: fn(&str) -> std::result::Result<Pattern, String>,
    ) -> Result<()> {
        self.expect(expr, Type::Text)?;
        let Kind::Literal(Literal::Text(text)) = &expr.kind else {
            return fault(expr.at, "expected a pattern in quotes");
        };
        match compile(text) {
            Ok(_) if self.patterns.len() >= PATTERNS_MAX => {
                fault(expr.at, format!("more than {PATTERNS_MAX} patterns"))
            }
            Ok(pattern) => {
                self.patterns.push(pattern);
                expr.kind = Kind::Literal(Literal::Regex(self.patterns.len() - 1));
                Ok(())
            }
            Err(reason) => fault(expr.at, reason),
        }
    }
}

/// `expected a number, found a string`, at `at`.
pub(super) fn mismatch<T>(at: usize, wanted: Type, found: Type) -> Result<T> {
    let wanted = if wanted.is_open() { "another type" } else { wanted.name() };
    fault(at, format!("expected {wanted}, found {}", found.name()))
}

/// A time or duration computed from two literals; `Some(None)` where the result is out of range.
fn fold_times(op: Op, left: &Expr, right: &Expr) -> Option<Option<Literal>> {
    let (Kind::Literal(left), Kind::Literal(right)) = (&left.kind, &right.kind) else {
        return None;
    };
    let time = |nanos: i128| (TIME_MIN..=TIME_MAX).contains(&nanos).then_some(Literal::Time(nanos));
    Some(match (op, left, right) {
        (Op::Add, Literal::Time(time_ns), Literal::Duration(by))
        | (Op::Add, Literal::Duration(by), Literal::Time(time_ns)) => time(time_ns + i128::from(*by)),
        (Op::Sub, Literal::Time(time_ns), Literal::Duration(by)) => time(time_ns - i128::from(*by)),
        (Op::Sub, Literal::Time(a), Literal::Time(b)) => i64::try_from(a - b).ok().map(Literal::Duration),
        (Op::Add, Literal::Duration(a), Literal::Duration(b)) => a.checked_add(*b).map(Literal::Duration),
        (Op::Sub, Literal::Duration(a), Literal::Duration(b)) => a.checked_sub(*b).map(Literal::Duration),
        _ => return None,
    })
}

/// What the user most likely meant by a string where a time is needed.
fn full_time(text: &str) -> String {
    let date_only = text.len() == 10 && super::literal::time(&format!("{text}T00:00:00Z")).is_some();
    if date_only {
        format!("{text}T00:00:00Z")
    } else if super::literal::time(text).is_some() {
        text.to_owned()
    } else {
        "2026-11-22T00:00:00Z".to_owned()
    }
}
