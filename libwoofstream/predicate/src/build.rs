//! Predicates made from the flags of find-like commands. Each is the same as its text compiled.

use super::Predicate;
use jiff::Timestamp;
use std::fmt::Write;
use woof_core::error::Result;

impl Predicate {
    /// What has a name (the last component of its path) that fits a shell glob.
    ///
    /// ```
    /// use woof_predicate::Predicate;
    /// assert_eq!(Predicate::name_glob("*.rs").unwrap().text(), r#"name.glob("*.rs")"#);
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`](woof_core::error::Code::Invalid) for a glob that is too large to compile.
    pub fn name_glob(glob: &str) -> Result<Predicate> {
        Predicate::compile(&format!("name.glob({})", quote(glob)))
    }

    /// What is of a type: `woof`, `file`, `dir`.
    pub fn kind(kind: &str) -> Result<Predicate> {
        Predicate::compile(&format!("type == {}", quote(kind)))
    }

    /// What is at most `depth` levels below the begin of a walk.
    pub fn depth_max(depth: u64) -> Result<Predicate> {
        Predicate::compile(&format!("depth <= {depth}"))
    }

    /// What changed after a time, in nanoseconds since 1970.
    pub fn newer_than_ns(time_ns: u64) -> Result<Predicate> {
        let time = Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or(Timestamp::MAX);
        Predicate::compile(&format!("mtime > timestamp(\"{time}\")"))
    }

    /// What has between `min` and `max` bytes, both included; `None` is no bound.
    pub fn size_range(min: Option<u64>, max: Option<u64>) -> Result<Predicate> {
        let text = match (min, max) {
            (None, None) => "true".to_owned(),
            (Some(min), None) => format!("size >= {min}"),
            (None, Some(max)) => format!("size <= {max}"),
            (Some(min), Some(max)) => format!("size >= {min} && size <= {max}"),
        };
        Predicate::compile(&text)
    }
}

/// A string as the language writes it.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            // Writing to a string cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_their_text_compiled() {
        assert_eq!(Predicate::kind("woof").unwrap().text(), "type == \"woof\"");
        assert_eq!(Predicate::depth_max(3).unwrap().text(), "depth <= 3");
        assert_eq!(
            Predicate::newer_than_ns(1_795_305_600_000_000_004).unwrap().text(),
            "mtime > timestamp(\"2026-11-22T00:00:00.000000004Z\")"
        );
        assert_eq!(
            Predicate::newer_than_ns(u64::MAX).unwrap().text(),
            "mtime > timestamp(\"2554-07-21T23:34:33.709551615Z\")"
        );
        assert_eq!(Predicate::size_range(Some(1), Some(9)).unwrap().text(), "size >= 1 && size <= 9");
        assert_eq!(
            Predicate::size_range(None, Some(u64::MAX)).unwrap().text(),
            "size <= 18446744073709551615"
        );
        assert_eq!(Predicate::name_glob("a\"\\\n\u{1}").unwrap().text(), r#"name.glob("a\"\\\n\u0001")"#);
    }
}
