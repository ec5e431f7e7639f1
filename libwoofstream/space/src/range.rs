//! Ranges of sequence numbers as written on a command line: `5`, `5..10`, `5..`, `..10`, `-10..`, `..`.
//! Both ends belong to the range. What is no range is an error of one line.

use woof_core::error::{Code, Error, Result};

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The element with this sequence number, from 1.
    Seqno(u64),
    /// Counted from the newest element: 1 is the newest, 10 the first of the last ten.
    FromEnd(u64),
    /// As far as there are elements.
    Open,
}

/// A range of sequence numbers, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// The first element.
    pub from: Bound,
    /// The last element.
    pub to: Bound,
}

impl SeqRange {
    /// All elements there are.
    pub const ALL: SeqRange = SeqRange { from: Bound::Open, to: Bound::Open };

    /// The newest element alone.
    pub const NEWEST: SeqRange = SeqRange { from: Bound::FromEnd(1), to: Bound::FromEnd(1) };

    /// Reads a range.
    ///
    /// ```
    /// use woof_space::{Bound, SeqRange};
    /// let last_ten = SeqRange::parse("-10..").unwrap();
    /// assert_eq!(last_ten, SeqRange { from: Bound::FromEnd(10), to: Bound::Open });
    /// assert_eq!(last_ten.seqnos(1, 98), (89, 98));
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`] for what is no range, a sequence number of 0, and an end before the beginning.
    pub fn parse(text: &str) -> Result<SeqRange> {
        let range = match text.split_once("..") {
            Some((from, to)) => SeqRange { from: bound(from, text)?, to: bound(to, text)? },
            None if text.is_empty() => return Err(no_range(text)),
            None => {
                let one = bound(text, text)?;
                SeqRange { from: one, to: one }
            }
        };
        match (range.from, range.to) {
            (Bound::Seqno(from), Bound::Seqno(to)) if from > to => Err(backwards(text)),
            (Bound::FromEnd(from), Bound::FromEnd(to)) if from < to => Err(backwards(text)),
            _ => Ok(range),
        }
    }

    /// The sequence numbers of the range in a woof that keeps `oldest` to `newest`: an end that is counted from the newest never
    /// reaches before `oldest`; one that names a number is that number, kept or not. The first is larger than the last where
    /// nothing is in the range.
    pub fn seqnos(&self, oldest: u64, newest: u64) -> (u64, u64) {
        let place = |bound: Bound, open: u64| match bound {
            Bound::Seqno(seqno) => seqno,
            Bound::FromEnd(count) => newest.saturating_add(1).saturating_sub(count),
            Bound::Open => open,
        };
        let from = match self.from {
            Bound::FromEnd(_) => place(self.from, oldest).max(oldest),
            _ => place(self.from, oldest),
        };
        (from, place(self.to, newest))
    }
}

fn bound(text: &str, range: &str) -> Result<Bound> {
    if text.is_empty() {
        return Ok(Bound::Open);
    }
    let (digits, from_end) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(no_range(range));
    }
    match digits.parse() {
        Ok(0) => Err(Error::new(Code::Invalid, range, "sequence numbers start at 1")),
        Ok(count) if from_end => Ok(Bound::FromEnd(count)),
        Ok(seqno) => Ok(Bound::Seqno(seqno)),
        Err(_) => Err(no_range(range)),
    }
}

fn no_range(text: &str) -> Error {
    Error::new(Code::Invalid, text, "not a range: 5, 5..10, 5.., ..10, -10.. (the last ten) or ..")
}

fn backwards(text: &str) -> Error {
    Error::new(Code::Invalid, text, "the range ends before it begins")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{FromEnd, Open, Seqno};

    #[test]
    fn every_form_of_the_manual_reads() {
        for (text, from, to) in [
            ("5", Seqno(5), Seqno(5)),
            ("5..10", Seqno(5), Seqno(10)),
            ("5..5", Seqno(5), Seqno(5)),
            ("5..", Seqno(5), Open),
            ("..10", Open, Seqno(10)),
            ("-10..", FromEnd(10), Open),
            ("-10..-5", FromEnd(10), FromEnd(5)),
            ("..-2", Open, FromEnd(2)),
            ("-1", FromEnd(1), FromEnd(1)),
            ("..", Open, Open),
        ] {
            assert_eq!(SeqRange::parse(text).unwrap(), SeqRange { from, to }, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_by_name() {
        for text in ["", "-", "a", "5...10", "5..10..15", "1.5", "+5", "5 ..", "--5", "99999999999999999999"]
        {
            let err = SeqRange::parse(text).unwrap_err();
            assert_eq!(err.text(), "not a range: 5, 5..10, 5.., ..10, -10.. (the last ten) or ..", "{text}");
        }
        assert_eq!(SeqRange::parse("0..5").unwrap_err().to_string(), "0..5: sequence numbers start at 1");
        assert_eq!(
            SeqRange::parse("10..5").unwrap_err().to_string(),
            "10..5: the range ends before it begins"
        );
        assert_eq!(
            SeqRange::parse("-5..-10").unwrap_err().to_string(),
            "-5..-10: the range ends before it begins"
        );
    }

    #[test]
    fn a_range_finds_its_place_in_a_woof() {
        let at = |text: &str| SeqRange::parse(text).unwrap().seqnos(11, 20);
        assert_eq!(at(".."), (11, 20));
        assert_eq!(at("-3.."), (18, 20));
        assert_eq!(at("-100.."), (11, 20));
        assert_eq!(at("-1"), (20, 20));
        assert_eq!(at("5..12"), (5, 12));
        assert_eq!(at("25.."), (25, 20));
        assert_eq!(SeqRange::ALL.seqnos(1, 0), (1, 0));
        assert_eq!(SeqRange::NEWEST.seqnos(1, 0), (1, 0));
    }
}
