//! Tests of whole predicates; parts are tested beside their code.

mod answers;
mod bounds;
mod errors;
mod properties;
mod pruning;

use super::{AttrRef, Attributes, Predicate, Subject};
use woof_core::content::ContentType;

/// 2026-11-22T00:00:00Z, the `now` of the tests.
const NOW_NS: u64 = 1_795_305_600_000_000_000;

/// Whether an expression matches a subject.
fn matches(text: &str, subject: &Subject<'_>) -> bool {
    match Predicate::compile_at(text, NOW_NS) {
        Ok(predicate) => predicate.matches(subject),
        Err(err) => panic!("{text}: {err}"),
    }
}

/// A subject with data of some content type.
fn data(content: ContentType, data: &[u8]) -> Subject<'_> {
    Subject { data: Some(data), content, ..Subject::default() }
}

/// Attributes from a list.
struct Attrs<'a>(&'a [(&'a str, AttrRef<'a>)]);

impl Attributes for Attrs<'_> {
    fn attr(&self, name: &str) -> Option<AttrRef<'_>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}
