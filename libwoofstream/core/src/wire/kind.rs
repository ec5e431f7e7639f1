//! What a message is: one byte in the header of its frames.

use std::fmt;

/// The kind of a message. Any value but 0 may come: what this version does not know is forwarded as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Raw data.
    pub const BYTES: Kind = Kind(1);
    /// An element of a woof: sequence number, time, data.
    pub const ELEM: Kind = Kind(2);
    /// Where something was appended.
    pub const SEQNO: Kind = Kind(3);
    /// Attributes that give context to the data after them.
    pub const DIR: Kind = Kind(4);
    /// Length and checksum of the file just sent.
    pub const FILE_END: Kind = Kind(5);
    /// A place in the stream.
    pub const MARK: Kind = Kind(6);
    /// A name with a range of lines, bytes or sequence numbers.
    pub const ADDR: Kind = Kind(7);
    /// An error, in its place in the stream.
    pub const ERR: Kind = Kind(8);
    /// Data that a filter set aside.
    pub const IGN: Kind = Kind(9);
    /// Data of an application's own type.
    pub const APP: Kind = Kind(10);
    /// How far the elements before it go, for whoever has them safe.
    pub const POSITION: Kind = Kind(11);
    /// The end of the stream, with its status.
    pub const END: Kind = Kind(255);

    /// The name of the kind in lower case, `unknown` for one that this version does not know.
    ///
    /// ```
    /// use woof_core::wire::Kind;
    /// assert_eq!(Kind::ELEM.name(), "elem");
    /// assert_eq!(Kind(77).name(), "unknown");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Kind::BYTES => "bytes",
            Kind::ELEM => "elem",
            Kind::SEQNO => "seqno",
            Kind::DIR => "dir",
            Kind::FILE_END => "file-end",
            Kind::MARK => "mark",
            Kind::ADDR => "addr",
            Kind::ERR => "error",
            Kind::IGN => "ign",
            Kind::APP => "app",
            Kind::POSITION => "position",
            Kind::END => "end",
            _ => "unknown",
        }
    }

    /// True for the kinds that filters work on: `Bytes`, `Elem` and `App`.
    #[inline]
    pub fn is_data(self) -> bool {
        matches!(self, Kind::BYTES | Kind::ELEM | Kind::APP)
    }

    /// True for what can be a message: not 0, which is no kind, and not the end frame.
    #[inline]
    pub fn is_message(self) -> bool {
        self.0.wrapping_sub(1) < 254
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
