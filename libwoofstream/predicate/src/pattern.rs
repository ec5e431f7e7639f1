//! Patterns: regular expressions and shell globs, compiled once and matched in linear time.

use regex::{Regex, RegexBuilder};

/// How large a compiled pattern may be, in bytes. It bounds what compiling and matching can cost.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// What every text that fits begins with, where that is known.
    pub(super) prefix: Option<Box<str>>,
}

/// Compiles a regular expression (RE2 syntax, as CEL has it; it may match anywhere in the text).
pub(super) fn regex(text: &str) -> Result<Pattern, String> {
    compile(text).map(|regex| Pattern { regex, prefix: None })
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX).build().map_err(
        |err| {
            match err {
                regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
                other => {
                    // The library draws the pattern with a caret; its last line is the reason.
                    let all = other.to_string();
                    let reason = all.lines().last().unwrap_or("").trim();
                    format!("not a regular expression: {}", reason.trim_start_matches("error: "))
                }
            }
        },
    )
}

/// Compiles a shell glob, which has to fit the whole text: `*` and `?` stop at a `/`, `**` does not, `[a-z]` and
/// `[!a-z]` are classes, and a backslash takes the next character as it is. A `[` without its end is itself.
pub(super) fn glob(text: &str) -> Result<Pattern, String> {
    let prefix = Some(glob_prefix(text).into());
    compile(&to_regex(text)).map(|regex| Pattern { regex, prefix })
}

/// What a glob begins with before its first special character, for pruning.
fn glob_prefix(text: &str) -> &str {
    text.find(['*', '?', '[', '\\']).and_then(|end| text.get(..end)).unwrap_or(text)
}

fn to_regex(glob: &str) -> String {
    let mut out = String::from("(?s)\\A");
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.as_str().starts_with('*') => {
                rest.next();
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => push_literal(rest.next().unwrap_or('\\'), &mut out),
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after.chars();
                }
                None => out.push_str("\\["),
            },
            other => push_literal(other, &mut out),
        }
    }
    out.push_str("\\z");
    out
}

/// The class whose inside begins here, and what follows it.
fn class(text: &str) -> Option<(String, &str)> {
    let negated = text.starts_with(['!', '^']);
    let inside = text.get(usize::from(negated)..)?;
    // A bracket directly after the opening one stands for itself.
    let end = inside.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at)?;
    let mut out = String::from(if negated { "[^/" } else { "[" });
    for c in inside.get(..end)?.chars() {
        if c == '-' { out.push('-') } else { push_literal(c, &mut out) }
    }
    out.push(']');
    // A range that goes backwards is no class for a shell either.
    Regex::new(&out).ok()?;
    Some((out, inside.get(end + 1..)?))
}

fn push_literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        glob(pattern).unwrap().regex.is_match(text)
    }

    #[test]
    fn globs_fit_as_in_a_shell() {
        assert!(fits("*.rs", "main.rs"));
        assert!(!fits("*.rs", "main.rs.orig"));
        assert!(fits("?.c", "a.c") && !fits("?.c", "ab.c"));
        assert!(fits("[a-c]x", "bx") && !fits("[!a-c]x", "bx") && fits("[]]", "]"));
        assert!(fits("a[", "a[") && fits("[z-a]", "[z-a]"));
        assert!(fits("\\*", "*") && !fits("\\*", "a"));
        assert!(fits("a+b(c)^$|{2}", "a+b(c)^$|{2}"));
        assert!(fits("", "") && !fits("", "x"));
    }

    #[test]
    fn a_star_stops_at_a_slash_and_two_do_not() {
        assert!(!fits("src/*.rs", "src/a/b.rs"));
        assert!(fits("src/**.rs", "src/a/b.rs"));
        assert_eq!(glob_prefix("src/*.rs"), "src/");
        assert_eq!(glob_prefix("src"), "src");
    }

    #[test]
    fn a_pattern_that_would_grow_too_large_is_refused() {
        assert_eq!(regex("(a{1000}){1000}").unwrap_err(), "this pattern is too large");
        assert_eq!(regex("(a").unwrap_err(), "not a regular expression: unclosed group");
    }
}
