//! The tree of an expression as the parser leaves it and the checker completes it.
//!
//! `&&` and `||` hold all their operands in one list, so that a chain of thousands is one level deep. All other
//! nesting is bounded by [`DEPTH_MAX`], so that nothing that walks a tree can exhaust the stack.

use woof_core::number::{Computed, Number, Wrong};

/// The deepest nesting of an expression, brackets included.
pub(super) const DEPTH_MAX: u16 = 64;

/// An expression and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    /// Byte offset of the first character.
    pub(super) at: usize,
    /// How many levels there are below and including this one.
    pub(super) depth: u16,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Literal(Literal),
    Name(String),
    /// `of.field`
    Select {
        of: Box<Expr>,
        field: String,
        field_at: usize,
    },
    /// `of[index]`
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
    },
    /// `name(args)`, or `of.name(args)`.
    Call {
        of: Option<Box<Expr>>,
        name: String,
        name_at: usize,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Binary {
        op: Op,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `condition ? yes : no`
    Choice {
        condition: Box<Expr>,
        yes: Box<Expr>,
        no: Box<Expr>,
    },
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
}

/// A value written in the expression, or computed from such values while it was compiled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Nanoseconds since 1970, between the years 1 and 9999.
    Time(i128),
    /// Nanoseconds.
    Duration(i64),
    /// A regular expression that the checker compiled, by its number.
    Regex(usize),
}

impl Literal {
    /// The number that it is.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Literal::Int(value) => Some(Number::Int(*value)),
            Literal::UInt(value) => Some(Number::UInt(*value)),
            Literal::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }

    /// The literal of a number.
    pub(super) fn of(number: Number) -> Literal {
        match number {
            Number::Int(value) => Literal::Int(value),
            Number::UInt(value) => Literal::UInt(value),
            Number::Float(value) => Literal::Float(value),
        }
    }
}

/// The operators with two operands, `&&` and `||` excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Add,
    Sub,
    Mul,
    /// Of integers, cut to a whole number.
    Div,
    /// `/` where only the data tells whether there are fractions: what does not divide evenly is one.
    Ratio,
    Rem,
}

impl Op {
    /// The operator as it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::In => "in",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div | Op::Ratio => "/",
            Op::Rem => "%",
        }
    }

    /// What it makes of two numbers, if it computes.
    pub(super) fn computed(self, left: Number, right: Number) -> Computed {
        match self {
            Op::Add => left.plus(right),
            Op::Sub => left.minus(right),
            Op::Mul => left.times(right),
            Op::Div => left.quotient(right),
            Op::Ratio => left.ratio(right),
            Op::Rem => left.remainder(right),
            _ => Err(Wrong::None),
        }
    }

    /// True for `==` and `!=`.
    pub(super) fn is_equality(self) -> bool {
        matches!(self, Op::Eq | Op::Ne)
    }

    /// True for the six comparisons.
    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }

    /// The comparison that says the same with its sides exchanged.
    pub(super) fn mirrored(self) -> Op {
        match self {
            Op::Lt => Op::Gt,
            Op::Le => Op::Ge,
            Op::Gt => Op::Lt,
            Op::Ge => Op::Le,
            other => other,
        }
    }
}

impl Expr {
    /// A literal that stands where another expression stood.
    pub(super) fn literal(at: usize, literal: Literal) -> Expr {
        Expr { kind: Kind::Literal(literal), at, depth: 1 }
    }
}
