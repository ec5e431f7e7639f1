//! Predicates: one expression language (CEL) wherever elements, woofs or files are selected.
//!
//! A predicate is compiled once and then asked about many subjects. Compiling reads the text, checks its types and
//! turns it into steps; everything that can be wrong with an expression is an error there, with its place. Asking
//! never fails: what a subject does not have, and whatever goes wrong with its data, makes no match.
//!
//! The language and its names are described for users in `docs/predicates.md`, the way it is built in
//! `docs/decisions/0002-predicates.md`. In short: comparisons with literals, and the logic between them, run natively
//! without allocation; all else runs in the interpreter of the `cel` crate, bounded in time and memory.

mod ast;
mod build;
mod check;
mod emit;
mod fault;
mod functions;
mod interpret;
mod json;
mod lexer;
mod literal;
mod lower;
mod meter;
mod moment;
mod native;
mod near;
mod operand;
mod parser;
mod pattern;
mod prune;
mod source;
mod subject;
#[cfg(test)]
mod tests;
mod trouble;
mod types;

pub use meter::Meter;
pub use subject::{AttrRef, Attributes, Names, Subject};

use ast::{Expr, Kind};
use interpret::Shared;
use meter::Budget;
use native::Node;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use trouble::Trouble;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::EXPRESSION_MAX;
use woof_core::text;

/// A compiled predicate. Cloning it is cheap, and it can be used from many threads.
///
/// ```
/// use woof_core::content::ContentType;
/// use woof_predicate::{Predicate, Subject};
///
/// let warm = Predicate::compile("value > 70 && seqno >= 100").unwrap();
/// let element = Subject {
///     data: Some(b"71.5\n"),
///     content: ContentType::Text,
///     seqno: Some(100),
///     ..Subject::default()
/// };
/// assert!(warm.matches(&element));
///
/// let err = Predicate::compile("value > \"x\"").unwrap_err();
/// assert_eq!(err.to_string(), "expression:9: expected a number, found a string");
/// ```
#[derive(Clone)]
pub struct Predicate(Arc<Inner>, Option<Arc<Meter>>);

struct Inner {
    text: Box<str>,
    node: Arc<Node>,
    uses: Names,
    /// These names, in their order.
    names: Vec<Box<str>>,
    /// True if the text can stand beside `&&` without brackets.
    binds: bool,
    /// What `now` is in it, in nanoseconds since 1970.
    now_ns: u64,
    /// What goes wrong with data and is to be told; of several joined predicates, each has its own.
    troubles: Box<[Arc<Trouble>]>,
}

impl Predicate {
    /// Compiles an expression. `now` in it is the time of this call.
    ///
    /// # Errors
    /// [`Code::Invalid`] about `expression:N`, where N is the position of the character, counted from 1, at which
    /// something else was expected; [`Code::TooLarge`] for a text over [`EXPRESSION_MAX`].
    pub fn compile(text: &str) -> Result<Predicate> {
        // A clock before 1970 is as good as 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::compile_at(text, u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Compiles an expression in which `now` is `now_ns`, in nanoseconds since 1970.
    ///
    /// # Errors
    /// As [`Predicate::compile`].
    pub fn compile_at(text: &str, now_ns: u64) -> Result<Predicate> {
        let text = text::without_mark(text);
        if text.len() > EXPRESSION_MAX {
            let reason = format!("is {} bytes, the limit is {EXPRESSION_MAX}", text.len());
            return Err(Error::new(Code::TooLarge, "expression", reason));
        }
        Self::build(text, now_ns).map_err(|fault| fault.into_error(text))
    }

    fn build(text: &str, now_ns: u64) -> fault::Result<Predicate> {
        let mut expr = parser::parse(text)?;
        let patterns = check::check(&mut expr, i128::from(now_ns))?;
        let mut names = Vec::new();
        let uses = lower::names(&expr, &mut Vec::new(), &mut names);
        let trouble = Arc::new(Trouble::default());
        let node = Arc::new(lower::lower(&expr, &patterns, &trouble));
        let binds = !matches!(expr, Expr { kind: Kind::Or(_) | Kind::Choice { .. }, .. });
        let inner =
            Inner { text: text.trim().into(), node, uses, names, binds, now_ns, troubles: [trouble].into() };
        Ok(Predicate(Arc::new(inner), None))
    }

    /// Whether the subject matches. What it does not have makes no match, also behind `!`.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let shared = Shared::within(Budget::of(self.1.as_deref()));
        let matches = self.0.node.eval(subject, &shared) == Some(true);
        shared.budget.end();
        if !shared.budget.is_over() {
            return matches;
        }
        if self.1.is_none()
            && let Some(trouble) = self.0.troubles.first()
        {
            trouble.note(&format!("an evaluation took more than {} steps", meter::OWN_STEPS));
        }
        false
    }

    /// The same predicate, for which these limits hold and no others: for who evaluates the expressions of strangers.
    ///
    /// ```
    /// use woof_core::content::ContentType;
    /// use woof_predicate::{Meter, Predicate, Subject};
    /// let costly = Predicate::compile("json.all(x, json.all(y, json.all(z, x + y + z == 0)))").unwrap();
    /// let costly = costly.within(Meter::new(1000, Default::default()));
    /// let list = format!("[{}0]", "0,".repeat(50));
    /// assert!(!costly.matches(&Subject { data: Some(list.as_bytes()), content: ContentType::Json, ..Subject::default() }));
    /// let over = costly.over().unwrap();
    /// assert_eq!(over, "took more than 1000 steps, the limit of this server (--max-steps)");
    /// ```
    #[must_use]
    pub fn within(self, meter: Meter) -> Predicate {
        Predicate(self.0, Some(Arc::new(meter)))
    }

    /// What is to be said of the last evaluation, if it was ended for what it took and not for what it found. Said once.
    #[inline]
    pub fn over(&self) -> Option<String> {
        self.1.as_ref()?.take_over()
    }

    /// Why nothing more is to be evaluated: all together took too much, or nobody wants the answer any more.
    #[inline]
    pub fn ended(&self) -> Option<Error> {
        self.1.as_ref()?.ended()
    }

    /// Whether so much was evaluated that others are to have their turn.
    #[inline]
    pub fn is_turn_over(&self) -> bool {
        self.1.as_ref().is_some_and(|meter| meter.is_turn_over())
    }

    /// What went wrong with some data until now and is to be told, once: a number that does not fit 64 bits, which is no match.
    ///
    /// ```
    /// use woof_predicate::{Predicate, Subject};
    /// let doubled = Predicate::compile("value * 2 > 0").unwrap();
    /// assert!(!doubled.matches(&Subject { data: Some(b"9223372036854775807"), ..Subject::default() }));
    /// let text = "expression: 9223372036854775807 * 2 does not fit 64 bits";
    /// assert!(doubled.trouble().unwrap().to_string().starts_with(text));
    /// assert!(doubled.trouble().is_none());
    /// ```
    pub fn trouble(&self) -> Option<Error> {
        self.0.troubles.iter().find_map(|trouble| trouble.take())
    }

    /// Whether anything below this directory can match, so that a walk need not go there if not.
    ///
    /// The subject is the directory itself: its `depth` and its `path`, where they are known. What is below is
    /// deeper, and has a path that begins with the path of the directory and a slash. The answer is "no" only where
    /// nothing can match, whatever the order of the terms.
    ///
    /// ```
    /// use woof_predicate::{Predicate, Subject};
    /// let near = Predicate::compile("name == \"x\" && depth <= 2").unwrap();
    /// assert!(near.below(&Subject { depth: Some(1), ..Subject::default() }));
    /// assert!(!near.below(&Subject { depth: Some(2), ..Subject::default() }));
    /// ```
    pub fn below(&self, subject: &Subject<'_>) -> bool {
        prune::below(&self.0.node, subject)
    }

    /// The text of the expression: compiled again, also elsewhere, it is the same predicate (`now` excepted).
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What `now` is in it, in nanoseconds since 1970.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns
    }

    /// Which names it looks at, so that a source can leave out the work for others.
    pub fn uses(&self) -> Names {
        self.0.uses
    }

    /// What is wrong with the first name that is not one of `known`, which are those that `what` has. Attributes can have any name, so this is
    /// an error only where nothing else can come.
    ///
    /// ```
    /// use woof_predicate::Predicate;
    /// let err = Predicate::compile("valeu > 30").unwrap().unknown(&["value", "text"], "an element").unwrap();
    /// assert_eq!(err.to_string(), "expression: \"valeu\" is not a name of an element: did you mean value?");
    /// ```
    pub fn unknown(&self, known: &[&str], what: &str) -> Option<Error> {
        let name = self.0.names.iter().find(|name| !known.contains(&&***name))?;
        let mut text = format!("\"{name}\" is not a name of {what}");
        if let Some(near) = near::nearest(name, known) {
            text.push_str(&format!(": did you mean {near}?"));
        }
        Some(Error::new(Code::Invalid, "expression", text))
    }

    /// The predicate that matches where both do.
    #[must_use]
    pub fn and(self, other: Predicate) -> Predicate {
        let text = format!("{} && {}", self.bracketed(), other.bracketed());
        // Chains stay flat, however many predicates are joined.
        let mut operands = Vec::new();
        for part in [&self, &other] {
            match part.0.node.as_ref() {
                Node::And(inner) => operands.extend(inner.iter().cloned()),
                _ => operands.push(Arc::clone(&part.0.node)),
            }
        }
        let node = Arc::new(Node::And(operands.into()));
        let uses = self.uses() | other.uses();
        let names = self.0.names.iter().chain(&other.0.names).cloned().collect();
        let inner = Inner {
            text: text.into(),
            node,
            uses,
            names,
            binds: true,
            now_ns: self.0.now_ns,
            troubles: self.0.troubles.iter().chain(&other.0.troubles).cloned().collect(),
        };
        Predicate(Arc::new(inner), self.1.or(other.1))
    }

    fn bracketed(&self) -> String {
        if self.0.binds { self.0.text.to_string() } else { format!("({})", self.0.text) }
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Predicate").field(&self.0.text).finish()
    }
}
