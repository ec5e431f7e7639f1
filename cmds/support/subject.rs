//! What a predicate is asked about the messages of a stream: the data of each, and the attributes of the `Dir` before it.
//!
//! Failure contract: a message too short for its kind, or a `Dir` that is damaged inside, is an error; what a message merely does
//! not have is absent, and makes no match.

use libwoofstream::content::ContentType;
use libwoofstream::error::Result;
use libwoofstream::predicate::{Attributes, Subject};
use libwoofstream::wire::{Dir, Kind, Raw};

/// Makes subjects of messages, in the context that the messages before gave.
///
/// ```
/// use libwoofstream::predicate::Predicate;
/// use libwoofstream::wire::Raw;
/// use woofcmds::support::subject::Subjects;
/// let warm = Predicate::compile("value > 70").unwrap();
/// let subjects = Subjects::default();
/// let subject = subjects.of(&Raw::bytes(b"71.5\n")).unwrap().unwrap();
/// assert!(warm.matches(&subject));
/// ```
#[derive(Debug, Default)]
pub struct Subjects {
    /// What the data is.
    content: ContentType,
    /// The last `Dir`, once there was one.
    attrs: Option<Dir>,
}

impl Subjects {
    /// Takes over the attributes of a `Dir`, for the data after it. Other messages change nothing.
    ///
    /// # Errors
    /// When the `Dir` is damaged inside.
    pub fn enter(&mut self, raw: &Raw<'_>) -> Result<()> {
        if raw.kind == Kind::DIR {
            let dir = Dir::decode(raw.payload)?;
            // A content type from the future is taken as text, as it is where it is shown.
            self.content =
                dir.text("content").and_then(|name| ContentType::parse(name).ok()).unwrap_or_default();
            self.attrs = Some(dir);
        }
        Ok(())
    }

    /// What the data is that comes now.
    pub fn content(&self) -> ContentType {
        self.content
    }

    /// The names of the attributes that data has which comes now.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attrs.iter().flat_map(|dir| dir.attrs.keys().map(String::as_str))
    }

    /// The subject that a message is; `None` for one that is no data.
    ///
    /// # Errors
    /// When an element is too short to be one.
    #[inline]
    pub fn of<'a>(&'a self, raw: &Raw<'a>) -> Result<Option<Subject<'a>>> {
        let attrs = self.attrs.as_ref().map(|dir| dir as &dyn Attributes);
        Ok(match raw.kind {
            Kind::ELEM => {
                let elem = raw.elem()?;
                Some(Subject {
                    data: Some(elem.data),
                    content: self.content,
                    // Data without a number has none to compare.
                    seqno: Some(elem.seqno).filter(|seqno| *seqno != 0),
                    time_ns: Some(elem.time_ns),
                    attrs,
                    depth: None,
                })
            }
            Kind::BYTES => {
                Some(Subject { data: Some(raw.payload), content: self.content, attrs, ..Subject::default() })
            }
            // What an application lays out by itself is no number and no text of the woof.
            Kind::APP => {
                Some(Subject { data: raw.data(), content: ContentType::Bytes, attrs, ..Subject::default() })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libwoofstream::predicate::Predicate;
    use libwoofstream::space;

    fn matches(expression: &str, subjects: &Subjects, raw: &Raw<'_>) -> bool {
        Predicate::compile(expression).unwrap().matches(&subjects.of(raw).unwrap().unwrap())
    }

    fn entered(dir: &Dir) -> Subjects {
        let mut frame = Vec::new();
        libwoofstream::wire::encode::dir(&mut frame, dir).unwrap();
        let mut subjects = Subjects::default();
        subjects.enter(&Raw { kind: Kind::DIR, ..Raw::bytes(&frame[8..]) }).unwrap();
        subjects
    }

    #[test]
    fn the_dir_gives_content_and_attributes() {
        let subjects = entered(&space::context("farm/temp", ContentType::F64).set("unit", "F"));
        let elem = [7u64.to_le_bytes(), 9u64.to_le_bytes(), 21.5f64.to_le_bytes()].concat();
        let elem = Raw { kind: Kind::ELEM, ..Raw::bytes(&elem) };
        for expression in [
            "value == 21.5",
            "seqno == 7",
            "size == 8",
            "unit == 'F'",
            "path == 'farm/temp'",
            "name == 'temp'",
        ] {
            assert!(matches(expression, &subjects, &elem), "{expression}");
        }
        assert!(!matches("mode == 1", &subjects, &elem));
    }

    #[test]
    fn an_element_without_a_number_has_no_seqno() {
        let elem = [0u8; 16];
        let elem = Raw { kind: Kind::ELEM, ..Raw::bytes(&elem) };
        assert!(!matches("seqno < 5", &Subjects::default(), &elem));
    }

    #[test]
    fn only_data_is_a_subject_and_short_elements_are_errors() {
        let subjects = Subjects::default();
        assert!(subjects.of(&Raw { kind: Kind::MARK, ..Raw::bytes(b"x") }).unwrap().is_none());
        assert!(subjects.of(&Raw { kind: Kind::IGN, ..Raw::bytes(b"\x01\0x") }).unwrap().is_none());
        assert!(subjects.of(&Raw { kind: Kind::ELEM, ..Raw::bytes(b"short") }).is_err());
        assert!(Subjects::default().enter(&Raw { kind: Kind::DIR, ..Raw::bytes(b"\xc1") }).is_err());
    }
}
