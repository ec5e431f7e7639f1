//! What a predicate is asked about, and which names of it a predicate looks at.

use woof_core::attrs::{is_name, is_time};
use woof_core::content::ContentType;
use woof_core::wire::{Dir, Value};

/// What a predicate is asked about. Every field may be absent: what is absent makes no match.
#[derive(Default, Clone, Copy)]
pub struct Subject<'a> {
    /// The data of an element or message: behind `value`, `text`, `json`, `data` and `size`.
    pub data: Option<&'a [u8]>,
    /// What the data is.
    pub content: ContentType,
    /// The sequence number.
    pub seqno: Option<u64>,
    /// The time of the element, in nanoseconds since 1970.
    pub time_ns: Option<u64>,
    /// The attributes of the file, tree or woof: behind `name`, `path`, `type`, `mode`, `mtime` and any name that is
    /// not known to the language; and behind `size`, `seqno`, `time` and `depth` where the fields above do not say.
    pub attrs: Option<&'a dyn Attributes>,
    /// How many levels below the place where a walk began.
    pub depth: Option<u64>,
}

/// Attributes by name.
pub trait Attributes {
    /// The attribute of this name, if there is one.
    fn attr(&self, name: &str) -> Option<AttrRef<'_>>;
}

impl Attributes for Dir {
    fn attr(&self, name: &str) -> Option<AttrRef<'_>> {
        match self.attrs.get(name)? {
            Value::Bool(value) => Some(AttrRef::Bool(*value)),
            // Integers that fit are kept as signed ones, whatever they were made of.
            Value::Int(value) if is_time(name) => Some(AttrRef::Time(u64::try_from(*value).unwrap_or(0))),
            Value::UInt(value) if is_time(name) => Some(AttrRef::Time(*value)),
            Value::Int(value) => Some(AttrRef::Int(*value)),
            Value::UInt(value) => Some(AttrRef::UInt(*value)),
            Value::Float(value) => Some(AttrRef::Float(*value)),
            Value::Text(text) => Some(AttrRef::Text(text)),
            Value::Bytes(bytes) if is_name(name) => Some(AttrRef::Name(bytes)),
            Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttrRef<'a> {
    /// True or false.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// A name that is not UTF-8. It is looked at as text in which U+FFFD stands for each part that is none.
    Name(&'a [u8]),
    /// A time in nanoseconds since 1970. `time` and `mtime` may be given as plain integers too.
    Time(u64),
}

/// A set of names that a predicate looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names(u16);

impl Names {
    /// The number that the data is or reads as.
    pub const VALUE: Names = Names(1);
    /// The data as text.
    pub const TEXT: Names = Names(1 << 1);
    /// The data as JSON.
    pub const JSON: Names = Names(1 << 2);
    /// The data as bytes.
    pub const DATA: Names = Names(1 << 3);
    /// The sequence number.
    pub const SEQNO: Names = Names(1 << 4);
    /// The time of the element.
    pub const TIME: Names = Names(1 << 5);
    /// The size of the data or file.
    pub const SIZE: Names = Names(1 << 6);
    /// The last component of the path.
    pub const NAME: Names = Names(1 << 7);
    /// The path.
    pub const PATH: Names = Names(1 << 8);
    /// The type of the file, tree or woof.
    pub const TYPE: Names = Names(1 << 9);
    /// The permission bits.
    pub const MODE: Names = Names(1 << 10);
    /// The time of the last change.
    pub const MTIME: Names = Names(1 << 11);
    /// The depth below the begin of a walk.
    pub const DEPTH: Names = Names(1 << 12);
    /// Any other attribute.
    pub const OTHER: Names = Names(1 << 13);

    /// True if the two sets have a name in common.
    ///
    /// ```
    /// use woof_predicate::{Names, Predicate};
    /// let warm = Predicate::compile("value > 30 && seqno > 5").unwrap();
    /// assert!(warm.uses().any(Names::VALUE));
    /// assert!(!warm.uses().any(Names::NAME | Names::PATH));
    /// ```
    pub fn any(self, other: Names) -> bool {
        self.0 & other.0 != 0
    }

    /// True if no name is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set that holds one name of the language, or [`Names::OTHER`].
    pub(super) fn of(name: &str) -> Names {
        match name {
            "value" => Names::VALUE,
            "text" => Names::TEXT,
            "json" => Names::JSON,
            "data" => Names::DATA,
            "seqno" => Names::SEQNO,
            "time" => Names::TIME,
            "size" => Names::SIZE,
            "name" => Names::NAME,
            "path" => Names::PATH,
            "type" => Names::TYPE,
            "mode" => Names::MODE,
            "mtime" => Names::MTIME,
            "depth" => Names::DEPTH,
            _ => Names::OTHER,
        }
    }
}

impl std::ops::BitOr for Names {
    type Output = Names;

    fn bitor(self, other: Names) -> Names {
        Names(self.0 | other.0)
    }
}
