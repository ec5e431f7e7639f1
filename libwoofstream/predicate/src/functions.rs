//! The functions of the language: which there are, and what they take and give.

use super::ast::{Expr, Kind, Literal};
use super::check::{Checker, mismatch};
use super::fault::{Result, fault};
use super::literal;
use super::moment;
use super::pattern;
use super::types::Type;

/// The fields of a time, which take a time zone if one is given.
const TIME_FIELDS: [&str; 10] = [
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// Those of them that a duration has as well.
const DURATION_FIELDS: [&str; 4] = ["getHours", "getMinutes", "getSeconds", "getMilliseconds"];

/// The functions that are written behind a value: `text.contains("x")`.
const METHODS: [&str; 6] = ["contains", "startsWith", "endsWith", "matches", "glob", "size"];

/// The macros that go through a list.
pub(super) const LIST_MACROS: [&str; 4] = ["all", "exists", "exists_one", "filter"];

impl Checker {
    /// Checks a call and returns the type of its result.
    pub(super) fn call(&mut self, expr: &mut Expr) -> Result<Type> {
        let Kind::Call { of, name, name_at, args } = &mut expr.kind else {
            return fault(expr.at, "expected a call");
        };
        let (name, at) = (name.clone(), *name_at);
        if let Some(of) = of {
            return self.method(of, &name, at, args);
        }
        match name.as_str() {
            "has" => return self.has(at, args),
            "size" => self.one(&name, at, args, &[Type::Text, Type::Bytes, Type::List, Type::Map])?,
            "string" => {
                use Type::{Bool, Bytes, Duration, Float, Int, Number, Text, Time, UInt};
                self.one(&name, at, args, &[Text, Bool, Int, UInt, Float, Number, Bytes, Time, Duration])?
            }
            "int" => {
                use Type::{Float, Int, Number, Text, Time, UInt};
                self.one(&name, at, args, &[Int, UInt, Float, Number, Text, Time])?
            }
            "uint" | "double" => {
                use Type::{Float, Int, Number, Text, UInt};
                self.one(&name, at, args, &[Int, UInt, Float, Number, Text])?
            }
            "bool" => self.one(&name, at, args, &[Type::Bool, Type::Text])?,
            "bytes" => self.one(&name, at, args, &[Type::Bytes, Type::Text])?,
            "timestamp" => {
                self.one(&name, at, args, &[Type::Text, Type::Time, Type::Int, Type::UInt, Type::Number])?
            }
            "duration" => self.one(&name, at, args, &[Type::Text, Type::Duration])?,
            _ if METHODS.contains(&name.as_str()) => {
                return fault(at, format!("'{name}' is written behind a value: text.{name}(...)"));
            }
            _ if LIST_MACROS.contains(&name.as_str()) => {
                return fault(at, format!("'{name}' is written behind a list: json.items.{name}(x, ...)"));
            }
            _ => return fault(at, format!("no such function: {name}")),
        };
        let folded = match (name.as_str(), args.first().map(|arg| (&arg.kind, arg.at))) {
            ("timestamp", Some((Kind::Literal(Literal::Text(text)), at))) => match literal::time(text) {
                Some(time) => Some(Literal::Time(time)),
                None => return fault(at, "expected a time such as \"2026-11-22T01:02:03Z\""),
            },
            ("duration", Some((Kind::Literal(Literal::Text(text)), at))) => match literal::duration(text) {
                Some(duration) => Some(Literal::Duration(duration)),
                None => return fault(at, "expected a duration such as \"1h30m\" or \"90s\""),
            },
            _ => None,
        };
        if let Some(folded) = folded {
            expr.kind = Kind::Literal(folded);
            expr.depth = 1;
        }
        Ok(match name.as_str() {
            "size" | "int" => Type::Int,
            "uint" => Type::UInt,
            "double" => Type::Float,
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "timestamp" => Type::Time,
            "duration" => Type::Duration,
            _ => Type::Text,
        })
    }

    /// One argument, of one of the types that a function takes.
    fn one(&mut self, name: &str, at: usize, args: &mut [Expr], takes: &[Type]) -> Result<Type> {
        count(name, at, args, 1)?;
        let Some(arg) = args.first_mut() else {
            return fault(at, "expected a value");
        };
        let found = self.check(arg)?;
        if found.is_open() || takes.contains(&found) {
            return Ok(found);
        }
        fault(arg.at, format!("'{name}' does not take {}", found.name()))
    }

    fn has(&mut self, at: usize, args: &mut [Expr]) -> Result<Type> {
        count("has", at, args, 1)?;
        for arg in args {
            match &arg.kind {
                // `now` is always there, and would become a value.
                Kind::Name(name) if name != "now" => {}
                Kind::Select { .. } => drop(self.check(arg)?),
                _ => return fault(arg.at, "expected a name or a field, as in has(json.temp)"),
            }
        }
        Ok(Type::Bool)
    }

    fn method(&mut self, of: &mut Expr, name: &str, at: usize, args: &mut [Expr]) -> Result<Type> {
        if LIST_MACROS.contains(&name) {
            return self.list_macro(of, name, at, args);
        }
        if name == "map" {
            return fault(at, "'map' is not part of predicates: use exists, all or filter");
        }
        let target = self.check(of)?;
        let is_method = METHODS.contains(&name);
        if !is_method && !TIME_FIELDS.contains(&name) {
            return fault(at, format!("no such function: {name}"));
        }
        if name == "size" {
            count(name, at, args, 0)?;
            return match target {
                Type::Text | Type::Bytes | Type::List | Type::Map | Type::Json | Type::Any => Ok(Type::Int),
                found => fault(of.at, format!("'size' does not take {}", found.name())),
            };
        }
        if is_method {
            if !target.fits(Type::Text) {
                return mismatch(of.at, Type::Text, target);
            }
            count(name, at, args, 1)?;
            for arg in args {
                match name {
                    "matches" => self.pattern(arg, pattern::regex)?,
                    "glob" => self.pattern(arg, pattern::glob)?,
                    _ => self.expect(arg, Type::Text)?,
                }
            }
            return Ok(Type::Bool);
        }
        let of_duration = DURATION_FIELDS.contains(&name);
        let has_field = target.fits(Type::Time) || (of_duration && target == Type::Duration);
        if !has_field {
            return mismatch(of.at, Type::Time, target);
        }
        if args.len() > 1 || (target == Type::Duration && !args.is_empty()) {
            return fault(at, format!("too many values for '{name}'"));
        }
        for arg in args {
            self.expect(arg, Type::Text)?;
            if let Kind::Literal(Literal::Text(zone)) = &arg.kind
                && moment::zone(zone).is_none()
            {
                let text = format!(
                    "no such time zone: \"{}\" (as in \"+02:00\" or \"Europe/Madrid\")",
                    zone.escape_debug()
                );
                return fault(arg.at, text);
            }
        }
        Ok(Type::Int)
    }

    fn list_macro(&mut self, of: &mut Expr, name: &str, at: usize, args: &mut [Expr]) -> Result<Type> {
        match self.check(of)? {
            Type::List | Type::Map | Type::Json | Type::Any => {}
            found => return mismatch(of.at, Type::List, found),
        }
        // What a macro goes through is part of the data, never something that the expression builds: else nested
        // macros over lists of their own would take time and memory without bound.
        if !is_part(of) {
            return fault(
                of.at,
                format!("'{name}' goes through a part of the data, as in json.items.{name}(x, ...)"),
            );
        }
        count(name, at, args, 2)?;
        let [variable, body] = args else {
            return fault(at, "expected a name and a condition");
        };
        let Kind::Name(variable) = &variable.kind else {
            return fault(variable.at, format!("expected a name for the element, as in {name}(x, x > 3)"));
        };
        self.bound.push(variable.clone());
        let checked = self.expect(body, Type::Bool);
        self.bound.pop();
        checked?;
        Ok(if name == "filter" { Type::List } else { Type::Bool })
    }
}

/// True for a name, parts of it, and what `filter` leaves of it.
fn is_part(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Name(_) => true,
        Kind::Select { of, .. } | Kind::Index { of, .. } => is_part(of),
        Kind::Call { of: Some(of), name, .. } => name == "filter" && is_part(of),
        _ => false,
    }
}

fn count(name: &str, at: usize, args: &[Expr], wanted: usize) -> Result<()> {
    if args.len() == wanted {
        return Ok(());
    }
    let values = match wanted {
        0 => "no values".to_owned(),
        1 => "1 value".to_owned(),
        more => format!("{more} values"),
    };
    fault(at, format!("'{name}' takes {values}, found {}", args.len()))
}
