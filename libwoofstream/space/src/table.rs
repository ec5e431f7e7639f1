//! The name table: which prefixes of names stand for what.
//!
//! Text, a line for each prefix, then its targets with blanks between; more than one make a union. `#` begins a comment.
//! What has blanks, `#` or quotes in it stands in double quotes, where `\"` and `\\` are a quote and a backslash.
//!
//! ```text
//! edge      woof://edge7/greenhouse
//! archive   "/srv/old woofs" woof://hub/archive   # a union: the first that has it
//! ```
//!
//! The longest prefix wins, on whole parts: `edge` is a prefix of `edge` and `edge/temp`, not of `edges`. What a prefix stands for is not
//! looked up again, so there are no loops. A name that begins with `/`, `./` or `../` and one that is remote already never asks the
//! table.
//!
//! Failure contract: a table with one line that is wrong is refused as a whole, with the number of the line, and is never half
//! used. Errors have an empty object: callers put the name of the file ([`Error::of`]).

use woof_core::error::{Code, Error, Result};
use woof_core::limits::{NAME_MAX, NAME_TABLE_MAX, NAME_TARGETS_MAX};
use woof_core::name::{self, Address, Place, REMOTE};
use woof_core::text;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A path of this machine.
    Local(String),
    /// A path at a server.
    Remote(Address),
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The prefix of the table that it begins with; `None` for a name that the table does not know.
    pub prefix: Option<String>,
    /// Where it leads, never nothing. More than one is a union.
    pub targets: Vec<Target>,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What names begin with.
    pub prefix: String,
    /// What stands there instead: absolute paths and `woof://` addresses. Never empty.
    pub targets: Vec<String>,
    /// The number of its line, from 1.
    pub line: usize,
}

/// A name table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Entry>,
}

impl Table {
    /// Reads a table.
    ///
    /// ```
    /// use woof_space::{Table, Target};
    /// let table = Table::parse("edge woof://edge7/greenhouse # on the roof").unwrap();
    /// let Target::Remote(address) = &table.resolve("edge/temp").unwrap().targets[0] else { panic!() };
    /// assert_eq!(address.to_string(), "woof://edge7/greenhouse/temp");
    /// assert_eq!(table.resolve("edges").unwrap().targets, [Target::Local("edges".to_owned())]);
    /// assert_eq!(Table::parse("edge").unwrap_err().to_string(), "line 1: \"edge\" has no target");
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`] with the line, [`Code::TooLarge`] over [`NAME_TABLE_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Table> {
        if text.len() > NAME_TABLE_MAX {
            let text = format!("name table is {} bytes, the limit is {NAME_TABLE_MAX}", text.len());
            return Err(Error::new(Code::TooLarge, "", text));
        }
        let mut table = Table::default();
        for (index, line) in text::without_mark(text).lines().enumerate() {
            let refuse = |text: String| Error::new(Code::Invalid, "", format!("line {}: {text}", index + 1));
            let mut words = words(line).map_err(refuse)?.into_iter();
            let Some(prefix) = words.next() else { continue };
            check(&prefix, words.as_slice()).map_err(refuse)?;
            if let Some(earlier) = table.entry(&prefix) {
                let text = format!("\"{prefix}\" stands on line {} already", earlier.line);
                return Err(refuse(text));
            }
            table.entries.push(Entry { prefix, targets: words.collect(), line: index + 1 });
        }
        Ok(table)
    }

    /// The lines, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The line of a prefix.
    pub fn entry(&self, prefix: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.prefix == prefix)
    }

    /// What `name` stands for, as the table has it. Nothing is looked at, here or at a server.
    ///
    /// # Errors
    /// [`Code::Invalid`] for what can be no name, before and after its prefix is replaced.
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        let found = if asks_table(name)? { self.longest(name) } else { None };
        let Some(entry) = found else {
            return Ok(Resolved { prefix: None, targets: vec![target(name)?] });
        };
        let rest = name.get(entry.prefix.len()..).unwrap_or_default();
        if rest.split('/').any(|part| part == "..") {
            let text = "\"..\" does not go together with a prefix of the name table";
            return Err(Error::new(Code::Invalid, name, text));
        }
        let targets = entry.targets.iter().map(|base| {
            let path = format!("{}{rest}", base.trim_end_matches('/'));
            target(if path.is_empty() { "/" } else { &path }).map_err(|err| err.of(name))
        });
        Ok(Resolved { prefix: Some(entry.prefix.clone()), targets: targets.collect::<Result<_>>()? })
    }

    fn longest(&self, name: &str) -> Option<&Entry> {
        let begins = |entry: &&Entry| {
            name.strip_prefix(&*entry.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.entries.iter().filter(begins).max_by_key(|entry| entry.prefix.len())
    }
}

/// Whether the table has a say about a name: not about remote ones, nor about what is plainly a path.
///
/// # Errors
/// [`Code::Invalid`] for what can be no name.
pub fn asks_table(name: &str) -> Result<bool> {
    let Place::Local(_) = name::place(name)? else { return Ok(false) };
    let first = name.split('/').next().unwrap_or_default();
    Ok(!matches!(first, "" | "." | ".."))
}

/// Where a name leads that the table does not know.
fn target(name: &str) -> Result<Target> {
    Ok(match name::place(name)? {
        Place::Local(_) => Target::Local(name.to_owned()),
        Place::Remote(rest) => Target::Remote(Address::parse(rest)?),
    })
}

/// The text of a table with the line of `prefix` set: in its place when there is one, else at the end. Other lines, comments
/// among them, stay as they are.
///
/// # Errors
/// As [`Table::parse`], of the text as it is and as it would be.
pub fn set(text: &str, prefix: &str, targets: &[String]) -> Result<String> {
    check(prefix, targets).map_err(|text| Error::new(Code::Invalid, "", text))?;
    let table = Table::parse(text)?;
    let words = std::iter::once(prefix).chain(targets.iter().map(String::as_str)).map(quoted);
    let line = words.collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text::without_mark(text).lines().map(str::to_owned).collect();
    match table.entry(prefix) {
        Some(entry) => {
            if let Some(old) = lines.get_mut(entry.line - 1) {
                let comment = comment(old).map(|comment| format!("  {comment}")).unwrap_or_default();
                *old = line + &comment;
            }
        }
        None => lines.push(line),
    }
    let new = joined(&lines);
    Table::parse(&new).map(|_| new)
}

/// The text of a table without the line of `prefix`; `None` when there is none.
///
/// # Errors
/// As [`Table::parse`].
pub fn unset(text: &str, prefix: &str) -> Result<Option<String>> {
    let Some(line) = Table::parse(text)?.entry(prefix).map(|entry| entry.line) else { return Ok(None) };
    let mut lines: Vec<String> = text::without_mark(text).lines().map(str::to_owned).collect();
    lines.remove(line - 1);
    Ok(Some(joined(&lines)))
}

fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// What is wrong with a line.
fn check(prefix: &str, targets: &[String]) -> std::result::Result<(), String> {
    let wrong = |what: &str| Err(format!("\"{prefix}\" is no prefix: {what}"));
    if let Some(what) = text::hidden_in(prefix) {
        return wrong(what);
    }
    if let Some((target, what)) = targets.iter().find_map(|target| Some((target, text::hidden_in(target)?))) {
        return Err(format!("\"{target}\" is no target: {what}"));
    }
    if prefix.starts_with(REMOTE) || prefix.contains("://") {
        return wrong("it is an address");
    }
    if prefix.starts_with('/') {
        return wrong("it is an absolute path");
    }
    if prefix.starts_with(['@', '-']) {
        return wrong("names that begin so are channels and flags");
    }
    for part in prefix.split('/') {
        match part {
            "" => return wrong("a part of it is empty"),
            "." | ".." => return wrong("it has \".\" or \"..\" in it"),
            _ if part.len() > NAME_MAX => {
                return Err(format!("a prefix has parts of at most {NAME_MAX} bytes"));
            }
            _ => {}
        }
    }
    if prefix.chars().any(char::is_control) {
        return Err("a prefix has no control characters".to_owned());
    }
    if targets.is_empty() {
        return Err(format!("\"{prefix}\" has no target"));
    }
    if targets.len() > NAME_TARGETS_MAX {
        return Err(format!("\"{prefix}\" has {} targets, the limit is {NAME_TARGETS_MAX}", targets.len()));
    }
    for target in targets {
        let place = name::place(target).map_err(|err| format!("target {err}"))?;
        let what = match place {
            Place::Local(path) if path.is_absolute() => continue,
            Place::Local(_) => "a target is an absolute path or begins with woof://".to_owned(),
            // A target may be a whole server, which is no name of a woof.
            Place::Remote(rest) => match Address::parse(&format!("{}/x", rest.trim_end_matches('/'))) {
                Ok(_) => continue,
                Err(err) => err.text().to_owned(),
            },
        };
        return Err(format!("target \"{target}\": {what}"));
    }
    Ok(())
}

/// Takes a line apart; a comment ends it.
fn words(line: &str) -> std::result::Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(inside) => unquote(inside)?,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if word.contains('"') {
                    return Err(format!("{word}: a quote in the middle"));
                }
                (word.to_owned(), after)
            }
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(format!("\"{word}\": something follows its quote"));
        }
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// The text up to the closing quote, and what follows it.
fn unquote(inside: &str) -> std::result::Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((word, inside.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                _ => return Err("a backslash in quotes stands before a quote or a backslash".to_owned()),
            },
            char => word.push(char),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// A word as it stands in a line.
fn quoted(word: &str) -> String {
    if word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '#')) {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

/// The comment at the end of a line that reads well.
fn comment(line: &str) -> Option<&str> {
    let mut in_quotes = false;
    let mut before = ' ';
    for (at, char) in line.char_indices() {
        match char {
            '"' if !(in_quotes && before == '\\') => in_quotes = !in_quotes,
            '#' if !in_quotes && before.is_whitespace() => return line.get(at..),
            _ => {}
        }
        // A backslash that is itself escaped escapes nothing.
        before = if char == '\\' && before == '\\' { ' ' } else { char };
    }
    None
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
