//! Which elements of a woof a source sends.

use super::{SeqRange, Stop};
use woof_predicate::Predicate;

/// Goes on with the elements to come.
#[derive(Clone, Default)]
pub struct Follow {
    /// Ends it.
    pub stop: Stop,
}

/// Which elements of a woof are sent. Without anything set: all that are kept.
#[derive(Clone, Default)]
pub struct Selection {
    /// By seqno.
    pub range: Option<SeqRange>,
    /// Not before this time, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Not after this time, in nanoseconds since 1970.
    pub until_ns: Option<u64>,
    /// Only what matches.
    pub predicate: Option<Predicate>,
    /// Of what is kept and matches, only the newest so many.
    pub last: Option<u64>,
    /// Stop after so many elements.
    pub limit: Option<u64>,
    /// Go on with the elements to come.
    pub follow: Option<Follow>,
    /// It goes on with a read that had begun: what is not there any more is told as gone, and is no error.
    pub resumed: bool,
}
