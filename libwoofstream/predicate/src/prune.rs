//! The second question of a walk: can anything below this directory match?
//!
//! The predicate is evaluated over sets of answers: for each part, which of true, false and missing it can be for
//! anything below. Parts about `depth` and `path` narrow the set, all others can be anything, so the answer is never
//! "no" where something could match, and does not depend on the order of the terms.

use super::ast::{Literal, Op};
use super::native::{Find, Node};
use super::pattern::Pattern;
use super::source::{Scalar, Source, attr};
use super::subject::Subject;
use std::cmp::Ordering;
use std::sync::Arc;
use woof_core::number::Number as Num;

/// Which answers are possible. Missing always is, and never makes a match, so it is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Possible {
    yes: bool,
    no: bool,
}

const ANYTHING: Possible = Possible { yes: true, no: true };

/// Whether anything below the directory can match.
pub(super) fn below(node: &Node, directory: &Subject<'_>) -> bool {
    possible(node, directory).yes
}

fn possible(node: &Node, directory: &Subject<'_>) -> Possible {
    match node {
        Node::Const(value) => Possible { yes: *value, no: !*value },
        Node::Compare { source: Source::Depth, op, literal } => depth(directory, *op, literal),
        Node::Compare { source, op, literal: Literal::Text(text) } if op.is_equality() && is_path(source) => {
            let equal = Possible { yes: can_begin(directory, text, true), no: true };
            if *op == Op::Eq { equal } else { swap(equal) }
        }
        Node::Find { source, find: Find::StartsWith(text) } if is_path(source) => {
            Possible { yes: can_begin(directory, text, false), no: !always_begins(directory, text) }
        }
        Node::Pattern { source, pattern: Pattern { prefix: Some(prefix), .. } } if is_path(source) => {
            Possible { yes: can_begin(directory, prefix, false), no: true }
        }
        Node::Not(operand) => swap(possible(operand, directory)),
        Node::And(operands) => swap(any_of(operands, |operand| swap(possible(operand, directory)))),
        Node::Or(operands) => any_of(operands, |operand| possible(operand, directory)),
        Node::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            let (when, first, second) =
                (possible(condition, directory), possible(yes, directory), possible(no, directory));
            Possible {
                yes: (when.yes && first.yes) || (when.no && second.yes),
                no: (when.yes && first.no) || (when.no && second.no),
            }
        }
        _ => ANYTHING,
    }
}

fn swap(of: Possible) -> Possible {
    Possible { yes: of.no, no: of.yes }
}

/// `||`: true can be where one can be true; false only where all can be false.
fn any_of(operands: &[Arc<Node>], of: impl Fn(&Node) -> Possible) -> Possible {
    let none = Possible { yes: false, no: true };
    operands
        .iter()
        .map(|operand| of(operand))
        .fold(none, |all, one| Possible { yes: all.yes || one.yes, no: all.no && one.no })
}

fn is_path(source: &Source) -> bool {
    matches!(source, Source::Attr(name) if &**name == "path")
}

/// What is below is at least one level deeper, without an upper bound.
fn depth(directory: &Subject<'_>, op: Op, literal: &Literal) -> Possible {
    let least = match Source::Depth.get(directory) {
        Some(Scalar::Num(Num::Int(depth))) => Num::Int(depth.saturating_add(1)),
        _ => return ANYTHING,
    };
    let Some(order) = literal.number().and_then(|literal| least.compare(literal)) else {
        return ANYTHING;
    };
    let (can_be_less, can_be_equal) = (order == Ordering::Less, order != Ordering::Greater);
    match op {
        Op::Lt => Possible { yes: can_be_less, no: true },
        Op::Le => Possible { yes: can_be_equal, no: true },
        Op::Eq => Possible { yes: can_be_equal, no: true },
        Op::Gt => Possible { yes: true, no: can_be_equal },
        Op::Ge => Possible { yes: true, no: can_be_less },
        Op::Ne => Possible { yes: true, no: can_be_equal },
        _ => ANYTHING,
    }
}

/// The path of the directory without a slash at its end; `None` where it says nothing about the paths below.
fn directory_path<'a>(directory: &Subject<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match attr(directory, "path")? {
        Scalar::Text(path) if !path.is_empty() && path != "." && path != "./" && path != "/" => Some(path),
        _ => None,
    }
}

/// Whether a path below the directory can begin with `text`, or be it.
fn can_begin(directory: &Subject<'_>, text: &str, whole: bool) -> bool {
    let Some(path) = directory_path(directory) else {
        return true;
    };
    let path = path.trim_end_matches('/');
    match text.strip_prefix(path) {
        // The text goes on below the directory.
        Some(rest) if rest.starts_with('/') => true,
        // It ends within the path of the directory: then every path below begins with it, and none is it.
        _ => !whole && (path.starts_with(text) || text.strip_suffix('/') == Some(path)),
    }
}

/// Whether every path below the directory begins with `text`.
fn always_begins(directory: &Subject<'_>, text: &str) -> bool {
    directory_path(directory).is_some_and(|path| {
        let path = path.trim_end_matches('/');
        path.starts_with(text) || text.strip_suffix('/') == Some(path)
    })
}
