//! Cuts the text of an expression into tokens. Whatever it cannot read is a fault with its place.

use super::ast::Literal;
use super::fault::{Result, fault};
use super::literal;

/// A token of the language.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Literal(Literal),
    Name(String),
    /// An operator, a bracket, a comma, or the word `in`.
    Sign(&'static str),
    End,
}

/// Words that CEL keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The longest signs first, since the first that fits is taken.
const SIGNS: [&str; 23] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}",
    ",", ".", "?",
];

/// Reads tokens from a text, one after another.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the begin of `text`.
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next token with the byte offsets where it begins and ends.
    pub(super) fn next(&mut self) -> Result<(Token, usize, usize)> {
        self.skip_blank();
        let begin = self.at;
        let token = self.token()?;
        Ok((token, begin, self.at))
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
            self.at += blank;
            // A comment goes to the end of its line.
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn token(&mut self) -> Result<Token> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        if let Some(found) = literal::quoted(rest, self.at)? {
            self.at += found.len;
            return Ok(Token::Literal(found.literal));
        }
        let second_is_digit = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && second_is_digit) {
            let found = literal::number(rest, self.at)?;
            self.at += found.len;
            return Ok(Token::Literal(found.literal));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return self.word();
        }
        if first == ':' {
            self.at += 1;
            return Ok(Token::Sign(":"));
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        match first {
            '=' => fault(self.at, "'=' does not compare: write '=='"),
            '&' => fault(self.at, "expected '&&', found '&'"),
            '|' => fault(self.at, "expected '||', found '|'"),
            other => fault(self.at, format!("'{}' is not part of the language", other.escape_default())),
        }
    }

    fn word(&mut self) -> Result<Token> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or(rest);
        let begin = self.at;
        self.at += end;
        Ok(match word {
            "true" => Token::Literal(Literal::Bool(true)),
            "false" => Token::Literal(Literal::Bool(false)),
            "null" => Token::Literal(Literal::Null),
            "in" => Token::Sign("in"),
            _ if RESERVED.contains(&word) => {
                return fault(begin, format!("'{word}' is a reserved word"));
            }
            _ => Token::Name(word.to_owned()),
        })
    }
}
