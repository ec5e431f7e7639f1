//! Reads the text of an expression into a tree.
//!
//! CEL's grammar without its message literals and optional values. Every refusal says where and what was expected;
//! nesting beyond [`DEPTH_MAX`] is one, so the recursion here is bounded.

use super::ast::{DEPTH_MAX, Expr, Kind, Literal, Op};
use super::fault::{Result, fault};
use super::lexer::{Lexer, Token};

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Expr> {
    let mut parser =
        Parser { lexer: Lexer::new(text), token: Token::End, at: 0, end: 0, before: None, level: 0 };
    parser.advance()?;
    let expr = parser.expression()?;
    match parser.found() {
        None => Ok(expr),
        Some(found) => {
            let hint = match found.as_str() {
                "'and'" | "'AND'" => ": write '&&'",
                "'or'" | "'OR'" => ": write '||'",
                "'is'" => ": write '=='",
                _ => "",
            };
            fault(parser.at, format!("expected an operator or the end, found {found}{hint}"))
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token to be read, and where it begins.
    token: Token,
    at: usize,
    /// Where this token ends, and what the token before it was.
    end: usize,
    before: Option<String>,
    /// How many expressions are open around this place.
    level: u16,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token> {
        let ended = self.end;
        let (token, begin, end) = self.lexer.next()?;
        self.before = self.found();
        // At the end, the place to point at is behind the last token, not behind blanks.
        self.at = if token == Token::End { ended } else { begin };
        self.end = end;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// The present token in quotes; `None` at the end.
    fn found(&self) -> Option<String> {
        match &self.token {
            Token::End => None,
            Token::Sign(sign) => Some(format!("'{sign}'")),
            Token::Name(name) => Some(format!("'{name}'")),
            Token::Literal(Literal::Text(_)) => Some("a string".to_owned()),
            Token::Literal(Literal::Bytes(_)) => Some("bytes".to_owned()),
            Token::Literal(Literal::Bool(value)) => Some(format!("'{value}'")),
            Token::Literal(Literal::Null) => Some("'null'".to_owned()),
            Token::Literal(_) => Some("a number".to_owned()),
        }
    }

    /// ", found 'x'", or nothing at the end of the text.
    fn but_found(&self) -> String {
        self.found().map(|found| format!(", found {found}")).unwrap_or_default()
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> Result<bool> {
        let is = self.is(sign);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign)? {
            return Ok(());
        }
        fault(self.at, format!("expected '{sign}'{}", self.but_found()))
    }

    /// Makes a node above `children`, whose nesting must stay within the limit.
    fn node(&self, at: usize, kind: Kind, children: u16) -> Result<Expr> {
        if children >= DEPTH_MAX {
            return too_deep(at);
        }
        Ok(Expr { kind, at, depth: children + 1 })
    }

    fn expression(&mut self) -> Result<Expr> {
        self.level += 1;
        if self.level > DEPTH_MAX {
            return too_deep(self.at);
        }
        let condition = self.or()?;
        let expr = if self.take("?")? {
            let yes = self.or()?;
            self.expect(":")?;
            let no = self.expression()?;
            let depth = condition.depth.max(yes.depth).max(no.depth);
            let at = condition.at;
            let kind = Kind::Choice { condition: Box::new(condition), yes: Box::new(yes), no: Box::new(no) };
            self.node(at, kind, depth)?
        } else {
            condition
        };
        self.level -= 1;
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr> {
        self.chain("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Expr> {
        self.chain("&&", Self::relation, Kind::And)
    }

    fn chain(
        &mut self,
        sign: &str,
        operand: fn(&mut Self) -> Result<Expr>,
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Result<Expr> {
        let first = operand(self)?;
        if !self.is(sign) {
            return Ok(first);
        }
        let (at, mut depth) = (first.at, first.depth);
        let mut operands = vec![first];
        while self.take(sign)? {
            let next = operand(self)?;
            depth = depth.max(next.depth);
            operands.push(next);
        }
        self.node(at, kind(operands), depth)
    }

    fn relation(&mut self) -> Result<Expr> {
        const OPS: [Op; 7] = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In];
        let left = self.sum()?;
        let Some(op) = OPS.into_iter().find(|op| self.is(op.as_str())) else {
            return Ok(left);
        };
        self.advance()?;
        let right = self.sum()?;
        if let Some(again) = OPS.into_iter().find(|op| self.is(op.as_str())) {
            let text = format!(
                "'{}' after '{}': comparisons do not chain, join two with '&&'",
                again.as_str(),
                op.as_str()
            );
            return fault(self.at, text);
        }
        self.binary(op, left, right)
    }

    fn binary(&self, op: Op, left: Expr, right: Expr) -> Result<Expr> {
        let (at, depth) = (left.at, left.depth.max(right.depth));
        self.node(at, Kind::Binary { op, left: Box::new(left), right: Box::new(right) }, depth)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.left_to_right(&[Op::Add, Op::Sub], Self::product)
    }

    fn product(&mut self) -> Result<Expr> {
        self.left_to_right(&[Op::Mul, Op::Div, Op::Rem], Self::unary)
    }

    fn left_to_right(&mut self, ops: &[Op], operand: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let mut left = operand(self)?;
        while let Some(op) = ops.iter().copied().find(|op| self.is(op.as_str())) {
            self.advance()?;
            let right = operand(self)?;
            left = self.binary(op, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        let at = self.at;
        let negates = self.is("-");
        if !negates && !self.is("!") {
            return self.member();
        }
        self.level += 1;
        if self.level > DEPTH_MAX {
            return too_deep(at);
        }
        self.advance()?;
        // The smallest integer has no positive counterpart, so the sign belongs to the literal.
        if negates && self.token == Token::Literal(Literal::UInt(1 << 63)) {
            self.token = Token::Literal(Literal::Int(i64::MIN));
            self.level -= 1;
            return self.member().map(|expr| Expr { at, ..expr });
        }
        if negates && matches!(self.token, Token::Literal(Literal::UInt(value)) if value > 1 << 63) {
            return fault(at, "this number does not fit 64 bits");
        }
        let operand = self.unary()?;
        self.level -= 1;
        let depth = operand.depth;
        match operand.kind {
            Kind::Literal(Literal::Int(value)) if negates && value != i64::MIN => {
                Ok(Expr::literal(at, Literal::Int(-value)))
            }
            Kind::Literal(Literal::Int(_)) if negates => fault(at, "this does not fit 64 bits"),
            Kind::Literal(Literal::Float(value)) if negates => Ok(Expr::literal(at, Literal::Float(-value))),
            _ if negates => self.node(at, Kind::Negate(Box::new(operand)), depth),
            _ => self.node(at, Kind::Not(Box::new(operand)), depth),
        }
    }

    fn member(&mut self) -> Result<Expr> {
        let mut expr = self.primary()?;
        loop {
            let at = expr.at;
            if self.take(".")? {
                let name_at = self.at;
                let Token::Name(name) = self.token.clone() else {
                    return fault(self.at, format!("expected a name after '.'{}", self.but_found()));
                };
                self.advance()?;
                let depth = expr.depth;
                expr = if self.take("(")? {
                    let args = self.arguments(")")?;
                    let depth = args.iter().map(|arg| arg.depth).fold(depth, u16::max);
                    self.node(at, Kind::Call { of: Some(Box::new(expr)), name, name_at, args }, depth)?
                } else {
                    self.node(at, Kind::Select { of: Box::new(expr), field: name, field_at: name_at }, depth)?
                };
            } else if self.is("[") {
                self.advance()?;
                let index = self.expression()?;
                self.expect("]")?;
                let depth = expr.depth.max(index.depth);
                expr = self.node(at, Kind::Index { of: Box::new(expr), index: Box::new(index) }, depth)?;
            } else {
                return Ok(expr);
            }
        }
    }

    /// Expressions with commas between them, up to and including the closing sign.
    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>> {
        let mut args = Vec::new();
        while !self.is(close) {
            args.push(self.expression()?);
            if !self.is(close) && !self.take(",")? {
                return fault(self.at, format!("expected ',' or '{close}'{}", self.but_found()));
            }
        }
        self.expect(close)?;
        Ok(args)
    }

    fn primary(&mut self) -> Result<Expr> {
        let at = self.at;
        match self.token.clone() {
            Token::Literal(literal) => {
                self.advance()?;
                Ok(Expr::literal(at, literal))
            }
            Token::Name(name) => {
                self.advance()?;
                if !self.take("(")? {
                    return Ok(Expr { kind: Kind::Name(name), at, depth: 1 });
                }
                let args = self.arguments(")")?;
                let depth = args.iter().map(|arg| arg.depth).fold(0, u16::max);
                self.node(at, Kind::Call { of: None, name, name_at: at, args }, depth)
            }
            Token::Sign("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(")")?;
                // What is reported about a bracketed expression points at its bracket.
                Ok(Expr { at, ..inner })
            }
            Token::Sign("[") => {
                self.advance()?;
                let items = self.arguments("]")?;
                let depth = items.iter().map(|item| item.depth).fold(0, u16::max);
                self.node(at, Kind::List(items), depth)
            }
            Token::Sign("{") => self.map(at),
            _ => {
                let after = self.before.as_ref().map(|before| format!(" after {before}")).unwrap_or_default();
                fault(at, format!("expected a value{after}{}", self.but_found()))
            }
        }
    }

    fn map(&mut self, at: usize) -> Result<Expr> {
        self.advance()?;
        let mut entries = Vec::new();
        let mut depth = 0;
        while !self.is("}") {
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            depth = depth.max(key.depth).max(value.depth);
            entries.push((key, value));
            if !self.is("}") && !self.take(",")? {
                return fault(self.at, format!("expected ',' or '}}'{}", self.but_found()));
            }
        }
        self.expect("}")?;
        self.node(at, Kind::Map(entries), depth)
    }
}

fn too_deep<T>(at: usize) -> Result<T> {
    fault(at, format!("nested too deep: {DEPTH_MAX} levels at most"))
}
