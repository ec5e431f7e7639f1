//! What only the `cel` crate can evaluate: the parts of a predicate that the native part leaves over.
//!
//! The tree is handed to the crate's interpreter in its own form, built here, so the crate's parser (whose tables
//! take milliseconds to set up) is not needed. Names are fetched before an evaluation; a missing one, or any error,
//! makes the answer "missing".
//!
//! Cost: an expression has no loops but the list macros, which go through parts of the data only. Each of their steps
//! pays for the nodes it evaluates, those that handle strings also for the length of the data, and each value of JSON
//! that is read costs a step; without anything left to pay with ([`Budget`]) an evaluation ends as missing. Data over
//! [`DATA_MAX`] is not interpreted at all.

use super::ast::{Expr, Literal};
use super::emit;
use super::json;
use super::meter::Budget;
use super::moment::{self, Moment, Span};
use super::operand;
use super::pattern;
use super::source::{Source, json_data};
use super::subject::Subject;
use super::trouble::Trouble;
use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelNull, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;
use std::any::Any;
use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

/// The longest data that is interpreted, in bytes. What is longer is missing here; native parts have no such limit.
pub(super) const DATA_MAX: usize = 4 << 20;

/// Functions and types; the same for all predicates.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    // The only error of these is a second declaration of the same name.
    drop(moment::declare(&mut env));
    drop(operand::declare(&mut env));
    drop(env.add_overload(
        emit::MATCHES,
        "matches_compiled",
        vec![STRING_TYPE, REGEX_TYPE.to_owned()],
        matches,
    ));
    Arc::new(env)
});

/// A part of a predicate in the interpreter's form.
#[derive(Debug)]
pub(super) struct Chunk {
    expr: IdedExpr,
    /// The names it looks at, by their numbers in `expr`.
    names: Vec<Source>,
    /// Times, durations and patterns, by their numbers.
    constants: Vec<Box<dyn Val>>,
    /// Where it notes what is to be told.
    trouble: Arc<Trouble>,
}

/// What the parts of one evaluation share: the JSON value is read once.
#[derive(Default)]
pub(super) struct Shared<'a> {
    json: OnceCell<Option<Box<dyn Val + 'a>>>,
    pub(super) budget: Budget<'a>,
}

impl<'a> Shared<'a> {
    #[inline]
    pub(super) fn within(budget: Budget<'a>) -> Shared<'a> {
        Shared { json: OnceCell::new(), budget }
    }
}

impl Chunk {
    /// Takes a checked expression with its compiled patterns.
    pub(super) fn new(expr: &Expr, patterns: &[pattern::Pattern], trouble: &Arc<Trouble>) -> Chunk {
        let emitted = emit::emit(expr);
        let constants = emitted.constants.iter().map(|literal| constant(literal, patterns)).collect();
        Chunk { expr: emitted.expr, names: emitted.names, constants, trouble: Arc::clone(trouble) }
    }

    /// Evaluates it; `None` for anything but true and false.
    pub(super) fn eval<'a>(&self, subject: &Subject<'a>, shared: &Shared<'a>) -> Option<bool> {
        let len = subject.data.map_or(0, <[u8]>::len);
        if len > DATA_MAX {
            return None;
        }
        let values = self.names.iter().map(|name| fetch(name, subject, shared)).collect();
        let bindings = Bindings {
            values,
            constants: &self.constants,
            budget: &shared.budget,
            scale: i64::try_from(len / 1024).unwrap_or(i64::MAX).saturating_add(1),
        };
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&bindings);
        let result = match Value::resolve_val(&self.expr, &context) {
            Ok(result) => result,
            Err(error) => {
                if let Some(text) = operand::told(&error) {
                    self.trouble.note(text);
                }
                return None;
            }
        };
        result.downcast_ref::<CelBool>().map(|value| *value.inner())
    }
}

/// The values of one evaluation, which the interpreter asks for by the names that [`emit`] gave them.
struct Bindings<'r> {
    values: Vec<Option<CowVal<'r, 'r>>>,
    constants: &'r [Box<dyn Val>],
    budget: &'r Budget<'r>,
    /// What a step costs that may handle all of the data.
    scale: i64,
}

impl VariableResolver for Bindings<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let name = variable.strip_prefix('@')?;
        let (kind, number) = (name.get(..1)?, name.get(1..)?);
        match kind {
            "n" => self
                .values
                .get(number.parse::<usize>().ok()?)?
                .as_ref()
                .map(|value| CowVal::Borrowed(&**value)),
            "h" => {
                let there = self.values.get(number.parse::<usize>().ok()?)?.is_some();
                Some(CowVal::owned(CelBool::from(there)))
            }
            "k" => self.constants.get(number.parse::<usize>().ok()?).map(|value| CowVal::Borrowed(&**value)),
            // The price of a step: true while there is budget, an error after that.
            "c" => {
                let (nodes, scaled) = number.split_once('_')?;
                let price =
                    nodes.parse::<i64>().ok()? + scaled.parse::<i64>().ok()?.saturating_mul(self.scale);
                self.budget.pay(price).then(|| CowVal::owned(CelBool::from(true)))
            }
            _ => None,
        }
    }
}

fn fetch<'r, 'a: 'r>(
    source: &Source,
    subject: &Subject<'a>,
    shared: &'r Shared<'a>,
) -> Option<CowVal<'r, 'r>> {
    match source {
        Source::Json(_) => {
            let whole = shared
                .json
                .get_or_init(|| json_data(subject).and_then(|data| json::whole(data, &shared.budget)));
            whole.as_ref().map(|whole| CowVal::Borrowed(&**whole))
        }
        other => other.get(subject).and_then(operand::of_scalar),
    }
}

fn constant(literal: &Literal, patterns: &[pattern::Pattern]) -> Box<dyn Val> {
    match literal {
        Literal::Time(nanos) => Box::new(Moment(*nanos)),
        Literal::Duration(nanos) => Box::new(Span(*nanos)),
        Literal::Regex(number) => match patterns.get(*number) {
            Some(pattern) => Box::new(Pattern(pattern.regex.clone())),
            None => Box::new(CelNull),
        },
        // All that are no numbers are literals of the interpreter.
        other => match other.number() {
            Some(number) => Box::new(operand::Operand(number)),
            None => Box::new(CelNull),
        },
    }
}

/// A compiled pattern as a value of the interpreter, so that it is not compiled at each evaluation.
#[derive(Debug, Clone)]
struct Pattern(Regex);

static REGEX_TYPE: Type = Type::new_unspecified_type("woofstream.Pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &REGEX_TYPE
    }

    fn cel_type() -> &'static Type {
        &REGEX_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = args.first().and_then(|arg| arg.downcast_ref::<CelString<'_>>());
    let pattern = args.get(1).and_then(|arg| arg.downcast_ref::<Pattern>());
    match (text, pattern) {
        (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner())))),
        _ => Err(ExecutionError::no_such_overload("matches", Vec::new())),
    }
}
