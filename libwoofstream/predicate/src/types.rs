//! The types that the checker knows, and how messages call them.

use super::ast::Literal;

/// What an expression evaluates to, as far as that is known before there is data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    Int,
    UInt,
    Float,
    /// A number of which only the data tells whether it is an integer.
    Number,
    Text,
    Bytes,
    Time,
    Duration,
    List,
    Map,
    /// A part of a JSON value: any of the others.
    Json,
    /// An attribute of no fixed type.
    Any,
}

impl Type {
    /// With an article, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Bool => "true or false",
            Type::Int | Type::UInt | Type::Float | Type::Number => "a number",
            Type::Text => "a string",
            Type::Bytes => "bytes",
            Type::Time => "a time",
            Type::Duration => "a duration",
            Type::List => "a list",
            Type::Map => "a map",
            Type::Json => "a JSON value",
            Type::Any => "an attribute",
        }
    }

    /// True where only the data tells what it is.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Type::Json | Type::Any)
    }

    /// True for all kinds of numbers.
    pub(super) fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Type::Float | Type::Number)
    }

    /// True for what is an integer whatever the data.
    pub(super) fn is_integer(self) -> bool {
        matches!(self, Type::Int | Type::UInt)
    }

    /// True if values of the two types can be equal, or be told to be not.
    pub(super) fn compares_with(self, other: Type) -> bool {
        self == other || self.is_open() || other.is_open() || (self.is_number() && other.is_number())
    }

    /// True if `<` says something about two values of this type.
    pub(super) fn has_order(self) -> bool {
        !matches!(self, Type::Null | Type::List | Type::Map)
    }

    /// True if a value of this type may stand where `wanted` is asked for.
    pub(super) fn fits(self, wanted: Type) -> bool {
        self == wanted || self.is_open()
    }

    /// The type of a literal.
    pub(super) fn of(literal: &Literal) -> Type {
        match literal {
            Literal::Null => Type::Null,
            Literal::Bool(_) => Type::Bool,
            Literal::Int(_) => Type::Int,
            Literal::UInt(_) => Type::UInt,
            Literal::Float(_) => Type::Float,
            // A regular expression is checked as the string it was written as.
            Literal::Text(_) | Literal::Regex(_) => Type::Text,
            Literal::Bytes(_) => Type::Bytes,
            Literal::Time(_) => Type::Time,
            Literal::Duration(_) => Type::Duration,
        }
    }

    /// The type of a name that is not bound by a list macro.
    pub(super) fn of_name(name: &str) -> Type {
        match name {
            "value" => Type::Number,
            "text" | "name" | "path" | "type" => Type::Text,
            "json" => Type::Json,
            "data" => Type::Bytes,
            "seqno" | "size" | "depth" | "mode" => Type::Int,
            "time" | "mtime" | "now" => Type::Time,
            _ => Type::Any,
        }
    }
}
