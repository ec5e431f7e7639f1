//! Turns a checked tree into the form of the `cel` crate's interpreter, with the list macros written out.
//!
//! Names become `@n0`, `@n1`, ..., presence tests `@h0`, numbers, times, durations and patterns `@k0`, and each macro pays with
//! `@c<nodes>_<scaled>` before each of its steps. An expression cannot contain such names itself.

use super::ast::{Expr, Kind, Literal, Op};
use super::source::Source;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Cel, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, SelectExpr, operators,
};

/// The function that matches text with a compiled pattern.
pub(super) const MATCHES: &str = "@matches";

/// The name that the interpreter gives to the result of a macro so far.
const RESULT: &str = "@result";

/// The name of a function of ours, where the crate's own would give or take numbers of the crate, or compile a pattern each time.
fn own_name(name: &str) -> &str {
    match name {
        "int" => "@int",
        "uint" => "@uint",
        "double" => "@double",
        "size" => "@size",
        "matches" | "glob" => MATCHES,
        other => other,
    }
}

/// An expression in the interpreter's form.
pub(super) struct Emitted {
    pub(super) expr: IdedExpr,
    pub(super) names: Vec<Source>,
    pub(super) constants: Vec<Literal>,
}

/// Turns a checked expression into the interpreter's form.
pub(super) fn emit(expr: &Expr) -> Emitted {
    let mut emitter =
        Emitter { id: 0, names: Vec::new(), constants: Vec::new(), bound: Vec::new(), nodes: 0, scaled: 0 };
    let expr = emitter.expr(expr);
    Emitted { expr, names: emitter.names, constants: emitter.constants }
}

struct Emitter {
    id: u64,
    names: Vec<Source>,
    constants: Vec<Literal>,
    /// The names that macros around the present place have bound.
    bound: Vec<String>,
    /// How many nodes there were so far, and how many of them may handle all of the data.
    nodes: u64,
    scaled: u64,
}

impl Emitter {
    fn node(&mut self, expr: Cel) -> IdedExpr {
        self.id += 1;
        self.nodes += 1;
        IdedExpr { id: self.id, expr }
    }

    fn ident(&mut self, name: impl Into<String>) -> IdedExpr {
        self.node(Cel::Ident(name.into()))
    }

    fn operation(&mut self, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
        self.node(Cel::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
    }

    fn name(&mut self, kind: char, name: &str) -> IdedExpr {
        let source = Source::of_name(name);
        let number = match self.names.iter().position(|known| *known == source) {
            Some(number) => number,
            None => {
                self.names.push(source);
                self.names.len() - 1
            }
        };
        self.ident(format!("@{kind}{number}"))
    }

    fn literal(&mut self, literal: &Literal) -> IdedExpr {
        let value = match literal {
            Literal::Null => LiteralValue::Null,
            Literal::Bool(value) => LiteralValue::Boolean((*value).into()),
            Literal::Text(value) => LiteralValue::String(value.clone().into()),
            Literal::Bytes(value) => LiteralValue::Bytes(value.clone().into()),
            Literal::Int(_)
            | Literal::UInt(_)
            | Literal::Float(_)
            | Literal::Time(_)
            | Literal::Duration(_)
            | Literal::Regex(_) => {
                self.constants.push(literal.clone());
                let number = self.constants.len() - 1;
                return self.ident(format!("@k{number}"));
            }
        };
        self.node(Cel::Literal(value))
    }

    fn bool(&mut self, value: bool) -> IdedExpr {
        self.node(Cel::Literal(LiteralValue::Boolean(value.into())))
    }

    fn exprs(&mut self, exprs: &[Expr]) -> Vec<IdedExpr> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&mut self, expr: &Expr) -> IdedExpr {
        match &expr.kind {
            Kind::Literal(literal) => self.literal(literal),
            Kind::Name(name) if self.bound.contains(name) => self.ident(name.clone()),
            Kind::Name(name) => self.name('n', name),
            Kind::Select { of, field, .. } => self.select(of, field, false),
            Kind::Index { of, index } => {
                let args = vec![self.expr(of), self.key(index)];
                self.operation(operators::INDEX, args)
            }
            Kind::Call { of: Some(of), name, args, .. } => self.method(of, name, args),
            Kind::Call { of: None, name, args, .. } => self.function(name, args),
            Kind::Not(operand) => {
                let operand = self.expr(operand);
                self.operation(operators::LOGICAL_NOT, vec![operand])
            }
            Kind::Negate(operand) => {
                let operand = self.expr(operand);
                self.operation(operators::NEGATE, vec![operand])
            }
            Kind::And(operands) => self.logic(operators::LOGICAL_AND, operands),
            Kind::Or(operands) => self.logic(operators::LOGICAL_OR, operands),
            Kind::Binary { op, left, right } => self.binary(*op, left, right),
            Kind::Choice { condition, yes, no } => {
                let args = vec![self.expr(condition), self.expr(yes), self.expr(no)];
                self.operation(operators::CONDITIONAL, args)
            }
            Kind::List(items) => {
                let items = self.exprs(items);
                self.node(Cel::List(ListExpr::new(items)))
            }
            Kind::Map(entries) => self.map(entries),
        }
    }

    /// A chain of `&&` or `||` as a balanced tree, so that a long one is not deep.
    fn logic(&mut self, operator: &str, operands: &[Expr]) -> IdedExpr {
        match operands {
            [] => self.bool(operator == operators::LOGICAL_AND),
            [one] => self.expr(one),
            more => {
                let (left, right) = more.split_at(more.len() / 2);
                let args = vec![self.logic(operator, left), self.logic(operator, right)];
                self.operation(operator, args)
            }
        }
    }

    fn binary(&mut self, op: Op, left: &Expr, right: &Expr) -> IdedExpr {
        // Orders are asked one way round, for which not-a-number has the right answer.
        if matches!(op, Op::Gt | Op::Ge) {
            return self.binary(op.mirrored(), right, left);
        }
        let name = match op {
            Op::Eq => operators::EQUALS,
            Op::Ne => operators::NOT_EQUALS,
            Op::Lt | Op::Gt => operators::LESS,
            Op::Le | Op::Ge => operators::LESS_EQUALS,
            Op::In => "@within",
            Op::Add => operators::ADD,
            Op::Sub => operators::SUBSTRACT,
            Op::Mul => operators::MULTIPLY,
            Op::Div => operators::DIVIDE,
            Op::Ratio => "@ratio",
            Op::Rem => operators::MODULO,
        };
        // Beside a number there is nothing long to compare or join.
        let number = |expr: &Expr| {
            matches!(expr.kind, Kind::Literal(Literal::Int(_) | Literal::UInt(_) | Literal::Float(_)))
        };
        if !number(left) && !number(right) {
            self.scaled += 1;
        }
        let args = vec![self.expr(left), self.expr(right)];
        self.operation(name, args)
    }

    fn select(&mut self, of: &Expr, field: &str, test: bool) -> IdedExpr {
        let operand = Box::new(self.expr(of));
        self.node(Cel::Select(SelectExpr { operand, field: field.to_owned(), test }))
    }

    /// A position in a list or a key of a map, for which the interpreter wants numbers of its own.
    fn key(&mut self, key: &Expr) -> IdedExpr {
        match &key.kind {
            Kind::Literal(Literal::Int(value)) => self.node(Cel::Literal(LiteralValue::Int((*value).into()))),
            Kind::Literal(Literal::Text(_) | Literal::Bool(_)) => self.expr(key),
            _ => {
                let key = self.expr(key);
                self.operation("@key", vec![key])
            }
        }
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) -> IdedExpr {
        let entries = entries
            .iter()
            .map(|(key, value)| {
                let (key, value) = (self.key(key), self.expr(value));
                self.id += 1;
                let entry = EntryExpr::MapEntry(MapEntryExpr { key, value, optional: false });
                IdedEntryExpr { id: self.id, expr: entry }
            })
            .collect();
        self.node(Cel::Map(MapExpr { entries }))
    }

    fn function(&mut self, name: &str, args: &[Expr]) -> IdedExpr {
        match (name, args) {
            ("has", [Expr { kind: Kind::Select { of, field, .. }, .. }]) => self.select(of, field, true),
            ("has", [Expr { kind: Kind::Name(name), .. }]) if self.bound.contains(name) => self.bool(true),
            ("has", [Expr { kind: Kind::Name(name), .. }]) => self.name('h', name),
            _ => {
                self.scaled += 1;
                let args = self.exprs(args);
                self.operation(own_name(name), args)
            }
        }
    }

    fn method(&mut self, of: &Expr, name: &str, args: &[Expr]) -> IdedExpr {
        if let (true, [Expr { kind: Kind::Name(variable), .. }, body]) =
            (super::functions::LIST_MACROS.contains(&name), args)
        {
            return self.list_macro(of, name, variable, body);
        }
        self.scaled += 1;
        let target = self.expr(of);
        let mut args = self.exprs(args);
        if matches!(name, "matches" | "glob" | "size") {
            args.insert(0, target);
            return self.operation(own_name(name), args);
        }
        self.node(Cel::Call(CallExpr { func_name: name.to_owned(), target: Some(Box::new(target)), args }))
    }

    /// The price of a step, which is true or ends the evaluation.
    fn price(&mut self, nodes: u64, scaled: u64) -> IdedExpr {
        self.ident(format!("@c{nodes}_{scaled}"))
    }

    /// `price ? expr : otherwise`
    fn paid(&mut self, price: IdedExpr, expr: IdedExpr, otherwise: IdedExpr) -> IdedExpr {
        self.operation(operators::CONDITIONAL, vec![price, expr, otherwise])
    }

    fn list_macro(&mut self, of: &Expr, name: &str, variable: &str, body: &Expr) -> IdedExpr {
        let iter_range = self.expr(of);
        let (nodes, scaled) = (self.nodes, self.scaled);
        self.bound.push(variable.to_owned());
        let body = self.expr(body);
        self.bound.pop();
        let price = self.price(self.nodes - nodes + 8, self.scaled - scaled);
        let refused = self.bool(false);
        // To begin costs as well: elements are copied as the macro comes to them.
        let entry = self.price(1, 1);
        let (first, first_again) = (self.macro_begin(name), self.macro_begin(name));
        let accu_init = self.paid(entry, first, first_again);
        let so_far = self.ident(RESULT);
        let (loop_cond, loop_step) = match name {
            "all" | "exists" => {
                let undecided = self.ident(RESULT);
                let undecided = match name {
                    "all" => undecided,
                    _ => self.operation(operators::LOGICAL_NOT, vec![undecided]),
                };
                let goes_on = self.operation(operators::NOT_STRICTLY_FALSE, vec![undecided]);
                let joined = if name == "all" { operators::LOGICAL_AND } else { operators::LOGICAL_OR };
                (self.paid(price, goes_on, refused), self.operation(joined, vec![so_far, body]))
            }
            "exists_one" => {
                let (again, one) = (self.ident(RESULT), self.node(Cel::Literal(LiteralValue::Int(1.into()))));
                let more = self.operation(operators::ADD, vec![again, one]);
                let goes_on = self.bool(true);
                (self.paid(price, goes_on, refused), self.paid(body, more, so_far))
            }
            _ => {
                // This is the form that the interpreter recognises and runs without copying the list each time.
                let (again, item) = (self.ident(RESULT), self.ident(variable));
                let item = self.node(Cel::List(ListExpr::new(vec![item])));
                let more = self.operation(operators::ADD, vec![again, item]);
                let guard = self.paid(price, body, refused);
                (self.bool(true), self.paid(guard, more, so_far))
            }
        };
        let result = self.ident(RESULT);
        let result = if name == "exists_one" {
            let one = self.node(Cel::Literal(LiteralValue::Int(1.into())));
            self.operation(operators::EQUALS, vec![result, one])
        } else {
            result
        };
        self.node(Cel::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var: variable.to_owned(),
            iter_var2: None,
            accu_var: RESULT.to_owned(),
            accu_init,
            loop_cond,
            loop_step,
            result,
        })))
    }

    fn macro_begin(&mut self, name: &str) -> IdedExpr {
        match name {
            "filter" => self.node(Cel::List(ListExpr::new(Vec::new()))),
            "exists_one" => self.node(Cel::Literal(LiteralValue::Int(0.into()))),
            other => self.bool(other == "all"),
        }
    }
}
