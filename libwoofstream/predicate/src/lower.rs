//! Turns a checked tree into the steps that are evaluated: native ones where it can, interpreted ones elsewhere.

use super::ast::{Expr, Kind, Literal, Op};
use super::interpret::Chunk;
use super::native::{Find, Node};
use super::pattern::Pattern;
use super::source::Source;
use super::subject::Names;
use super::trouble::Trouble;
use memchr::memmem::Finder;
use std::sync::Arc;
use woof_core::number::Number as Num;

/// The steps of a checked expression and its patterns; what goes wrong in them is noted in `trouble`.
pub(super) fn lower(expr: &Expr, patterns: &[Pattern], trouble: &Arc<Trouble>) -> Node {
    native(expr, patterns, trouble)
        .unwrap_or_else(|| Node::Interpreted(Box::new(Chunk::new(expr, patterns, trouble))))
}

fn all(exprs: &[Expr], patterns: &[Pattern], trouble: &Arc<Trouble>) -> Box<[Arc<Node>]> {
    exprs.iter().map(|expr| Arc::new(lower(expr, patterns, trouble))).collect()
}

fn native(expr: &Expr, patterns: &[Pattern], trouble: &Arc<Trouble>) -> Option<Node> {
    Some(match &expr.kind {
        Kind::Literal(Literal::Bool(value)) => Node::Const(*value),
        Kind::And(operands) => Node::And(all(operands, patterns, trouble)),
        Kind::Or(operands) => Node::Or(all(operands, patterns, trouble)),
        Kind::Not(operand) => Node::Not(Arc::new(lower(operand, patterns, trouble))),
        Kind::Choice { condition, yes, no } => {
            let parts = [condition, yes, no].map(|part| Arc::new(lower(part, patterns, trouble)));
            Node::Choice(Box::new(parts))
        }
        Kind::Binary { op, left, right } if op.is_comparison() => match (&left.kind, &right.kind) {
            (_, Kind::Literal(literal)) => comparison(source(left)?, *op, literal),
            (Kind::Literal(literal), _) => comparison(source(right)?, op.mirrored(), literal),
            _ => return None,
        },
        Kind::Binary { op: Op::In, left, right } => membership(left, right)?,
        Kind::Call { of: Some(of), name, args, .. } => search(of, name, args, patterns)?,
        Kind::Call { of: None, name, args, .. } if name == "has" => match args.as_slice() {
            [Expr { kind: Kind::Name(name), .. }] => Node::Has(Source::of_name(name)),
            _ => return None,
        },
        _ => return None,
    })
}

/// A name, or a path into `json`.
fn source(expr: &Expr) -> Option<Source> {
    let mut path: Vec<Box<str>> = Vec::new();
    let mut expr = expr;
    loop {
        match &expr.kind {
            Kind::Name(name) if path.is_empty() => return Some(Source::of_name(name)),
            Kind::Name(name) if name == "json" => {
                path.reverse();
                return Some(Source::Json(path.into()));
            }
            Kind::Select { of, field, .. } => {
                path.push(field.as_str().into());
                expr = of;
            }
            Kind::Index { of, index } => match &index.kind {
                Kind::Literal(Literal::Text(key)) => {
                    path.push(key.as_str().into());
                    expr = of;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

fn comparison(source: Source, op: Op, literal: &Literal) -> Node {
    match (source, literal.number().and_then(Num::exact_float)) {
        (Source::Value, Some(literal)) => Node::Value { op, literal },
        (source, _) => Node::Compare { source, op, literal: literal.clone() },
    }
}

/// `name in ["a", "b"]`: as comparisons with each.
fn membership(left: &Expr, right: &Expr) -> Option<Node> {
    let Kind::List(items) = &right.kind else {
        return None;
    };
    let one = |item: &Expr| match &item.kind {
        Kind::Literal(literal) => Some(Arc::new(comparison(source(left)?, Op::Eq, literal))),
        _ => None,
    };
    if items.is_empty() {
        return None;
    }
    items.iter().map(one).collect::<Option<_>>().map(Node::Or)
}

fn search(of: &Expr, name: &str, args: &[Expr], patterns: &[Pattern]) -> Option<Node> {
    let source = source(of)?;
    let [arg] = args else {
        return None;
    };
    let find = match (name, &arg.kind) {
        ("matches" | "glob", Kind::Literal(Literal::Regex(number))) => {
            let pattern = patterns.get(*number)?.clone();
            return Some(Node::Pattern { source, pattern });
        }
        ("contains", Kind::Literal(Literal::Text(part))) => {
            Find::Contains(Box::new(Finder::new(part.as_bytes()).into_owned()))
        }
        ("startsWith", Kind::Literal(Literal::Text(part))) => Find::StartsWith(part.as_str().into()),
        ("endsWith", Kind::Literal(Literal::Text(part))) => Find::EndsWith(part.as_str().into()),
        _ => return None,
    };
    Some(Node::Find { source, find })
}

/// The names that an expression looks at, which are added to `found`; `bound` are those that list macros have bound.
pub(super) fn names<'e>(expr: &'e Expr, bound: &mut Vec<&'e str>, found: &mut Vec<Box<str>>) -> Names {
    let each = |exprs: &'e [Expr], bound: &mut Vec<&'e str>, found: &mut Vec<Box<str>>| {
        exprs.iter().fold(Names::default(), |all, expr| all | names(expr, bound, found))
    };
    match &expr.kind {
        Kind::Literal(_) => Names::default(),
        Kind::Name(name) if bound.contains(&name.as_str()) => Names::default(),
        Kind::Name(name) => {
            found.push(name.as_str().into());
            Names::of(name)
        }
        Kind::Select { of, .. } => names(of, bound, found),
        Kind::Index { of, index } => names(of, bound, found) | names(index, bound, found),
        Kind::Call { of: Some(of), name, args, .. } => {
            let of = names(of, bound, found);
            match args.as_slice() {
                [Expr { kind: Kind::Name(variable), .. }, body]
                    if super::functions::LIST_MACROS.contains(&name.as_str()) =>
                {
                    bound.push(variable);
                    let body = names(body, bound, found);
                    bound.pop();
                    of | body
                }
                args => of | each(args, bound, found),
            }
        }
        Kind::Call { of: None, args, .. } => each(args, bound, found),
        Kind::Not(operand) | Kind::Negate(operand) => names(operand, bound, found),
        Kind::And(operands) | Kind::Or(operands) | Kind::List(operands) => each(operands, bound, found),
        Kind::Binary { left, right, .. } => names(left, bound, found) | names(right, bound, found),
        Kind::Choice { condition, yes, no } => {
            names(condition, bound, found) | names(yes, bound, found) | names(no, bound, found)
        }
        Kind::Map(entries) => entries.iter().fold(Names::default(), |all, (key, value)| {
            all | names(key, bound, found) | names(value, bound, found)
        }),
    }
}
