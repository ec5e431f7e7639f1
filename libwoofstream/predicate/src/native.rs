//! The native part: comparisons with literals, and the logic that joins them, evaluated without allocation.
//!
//! Answers have three values, as in CEL: `Some(true)`, `Some(false)`, and `None` where something is missing. What is
//! decided by one side of `&&` or `||` does not need the other; at the top, `None` is no match.

use super::ast::{Literal, Op};
use super::interpret::{Chunk, Shared};
use super::pattern::Pattern;
use super::source::{self, Scalar, Source};
use super::subject::Subject;
use memchr::memmem::Finder;
use std::cmp::Ordering;
use std::sync::Arc;
use woof_core::content::ContentType;
use woof_core::number::Number as Num;

/// A step of a compiled predicate.
#[derive(Debug)]
pub(super) enum Node {
    Const(bool),
    /// `value` compared with a number that a double holds exactly: the common case, and the fast one.
    Value {
        op: Op,
        literal: f64,
    },
    Compare {
        source: Source,
        op: Op,
        literal: Literal,
    },
    Find {
        source: Source,
        find: Find,
    },
    Pattern {
        source: Source,
        pattern: Pattern,
    },
    Has(Source),
    Not(Arc<Node>),
    And(Box<[Arc<Node>]>),
    Or(Box<[Arc<Node>]>),
    Choice(Box<[Arc<Node>; 3]>),
    /// What only the interpreter can do.
    Interpreted(Box<Chunk>),
}

/// A search for fixed text.
#[derive(Debug)]
pub(super) enum Find {
    Contains(Box<Finder<'static>>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
}

impl Node {
    /// Whether the subject matches; `None` where something that decides it is missing.
    pub(super) fn eval<'a>(&self, subject: &Subject<'a>, shared: &Shared<'a>) -> Option<bool> {
        match self {
            Node::Const(value) => Some(*value),
            Node::Value { op, literal } => value(subject, *op, *literal),
            Node::Compare { source, op, literal } => compare(&source.get(subject)?, *op, literal),
            Node::Find { source, find } => match source.get(subject)? {
                Scalar::Text(text) => Some(find.is_in(&text)),
                _ => None,
            },
            Node::Pattern { source, pattern } => match source.get(subject)? {
                Scalar::Text(text) => Some(pattern.regex.is_match(&text)),
                _ => None,
            },
            Node::Has(source) => Some(source.get(subject).is_some()),
            Node::Not(operand) => operand.eval(subject, shared).map(|value| !value),
            Node::And(operands) => decide(operands, false, subject, shared),
            Node::Or(operands) => decide(operands, true, subject, shared),
            Node::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let chosen = if condition.eval(subject, shared)? { yes } else { no };
                chosen.eval(subject, shared)
            }
            Node::Interpreted(chunk) => chunk.eval(subject, shared),
        }
    }
}

/// `&&` (decided by false) and `||` (decided by true).
fn decide<'a>(operands: &[Arc<Node>], by: bool, subject: &Subject<'a>, shared: &Shared<'a>) -> Option<bool> {
    let mut missing = false;
    for operand in operands {
        match operand.eval(subject, shared) {
            Some(value) if value == by => return Some(by),
            Some(_) => {}
            None => missing = true,
        }
    }
    if missing { None } else { Some(!by) }
}

fn value(subject: &Subject<'_>, op: Op, literal: f64) -> Option<bool> {
    if subject.content == ContentType::F64 {
        let value = f64::from_le_bytes(subject.data?.try_into().ok()?);
        return Some(match op {
            Op::Eq => value == literal,
            Op::Ne => value != literal,
            Op::Lt => value < literal,
            Op::Le => value <= literal,
            Op::Gt => value > literal,
            _ => value >= literal,
        });
    }
    Some(holds(op, source::value(subject)?.compare(Num::Float(literal))))
}

/// Whether a comparison holds for an order; numbers that are none have no order and differ from all.
fn holds(op: Op, order: Option<Ordering>) -> bool {
    let Some(order) = order else {
        return op == Op::Ne;
    };
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        _ => false,
    }
}

/// Compares a value with a literal. Values of different types are not equal, and have no order.
fn compare(scalar: &Scalar<'_>, op: Op, literal: &Literal) -> Option<bool> {
    let order = match (scalar, literal) {
        (Scalar::Num(a), Literal::Int(b)) => a.compare(Num::Int(*b)),
        (Scalar::Num(a), Literal::UInt(b)) => a.compare(Num::UInt(*b)),
        (Scalar::Num(a), Literal::Float(b)) => a.compare(Num::Float(*b)),
        (Scalar::Text(a), Literal::Text(b)) => Some(a.as_ref().cmp(b.as_str())),
        (Scalar::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
        (Scalar::Bytes(a), Literal::Bytes(b)) => Some((*a).cmp(b.as_slice())),
        (Scalar::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Scalar::Null, Literal::Null) => Some(Ordering::Equal),
        _ if op.is_equality() => return Some(op == Op::Ne),
        _ => return None,
    };
    Some(holds(op, order))
}

impl Find {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Find::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Find::StartsWith(part) => text.starts_with(&**part),
            Find::EndsWith(part) => text.ends_with(&**part),
        }
    }
}
