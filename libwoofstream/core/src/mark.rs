//! Marks: what is said of an element beside its data, in the bits of its record that no length or stamp needs.
//!
//! A mark stands in the header of the record and under its check, so element and mark are one: whatever survives a kill or a power loss
//! has its mark. It takes no room, so a woof with an element size keeps as many elements with marks as without.

/// Which handler was named when an element was put, and how many handlers led to that put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark {
    handler: u8,
    depth: u8,
}

impl Mark {
    /// No handler named, not put by a handler.
    pub const NONE: Mark = Mark { handler: 0, depth: 0 };

    /// The largest number of a named handler.
    pub const HANDLER_MAX: u8 = 7;

    /// The greatest depth; what is deeper has this one.
    pub const DEPTH_MAX: u8 = 15;

    /// A mark. `handler` is the number that the namespace gave the handler for this woof, 1 to [`Mark::HANDLER_MAX`], or 0: none.
    /// `depth` is 0 for a put of somebody, 1 for one of a handler, 2 for one of a handler that such an element triggered, and so on.
    ///
    /// ```
    /// use woof_core::element::Mark;
    /// assert_eq!(Mark::new(3, 200).depth(), Mark::DEPTH_MAX);
    /// assert_eq!(Mark::new(0, 0), Mark::NONE);
    /// ```
    pub fn new(handler: u8, depth: u8) -> Mark {
        Mark { handler: handler.min(Mark::HANDLER_MAX), depth: depth.min(Mark::DEPTH_MAX) }
    }

    /// The number of the handler; 0 for none.
    pub fn handler(self) -> u8 {
        self.handler
    }

    /// The depth.
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// As bits 1 to 7 of a byte of flags.
    #[inline]
    pub fn flags(self) -> u8 {
        self.handler << 1 | self.depth << 4
    }

    /// The mark in bits 1 to 7.
    #[inline]
    pub fn from_flags(flags: u8) -> Mark {
        Mark { handler: flags >> 1 & Mark::HANDLER_MAX, depth: flags >> 4 }
    }
}
