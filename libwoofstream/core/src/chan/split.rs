//! How raw bytes are cut into messages.

use crate::error::{Code, Error, Result};
use std::fmt;

/// How raw bytes are cut into `Bytes` messages. Delimiters stay part of the message, so the messages one after another are
/// the input again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Split {
    /// After each newline.
    #[default]
    Line,
    /// After each zero byte.
    Nul,
    /// Not at all: the whole input is one message.
    All,
    /// After every so many bytes (at least 1); the last message can be shorter.
    Bytes(usize),
}

impl Split {
    /// Reads `line`, `nul`, `all`, or a size as `4096`, `64KiB`, `1MiB`.
    ///
    /// ```
    /// use woof_core::chan::Split;
    /// assert_eq!(Split::parse("line")?, Split::Line);
    /// assert_eq!(Split::parse("64KiB")?, Split::Bytes(65536));
    /// # Ok::<(), woof_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`] for anything else.
    pub fn parse(text: &str) -> Result<Split> {
        match text {
            "line" => Ok(Split::Line),
            "nul" => Ok(Split::Nul),
            "all" => Ok(Split::All),
            _ => size(text).map(Split::Bytes).ok_or_else(|| {
                Error::new(
                    Code::Invalid,
                    text,
                    "no way to split: expected line, nul, all or a size such as 64KiB",
                )
            }),
        }
    }

    /// The byte that ends a message.
    #[inline]
    pub(super) fn delimiter(self) -> Option<u8> {
        match self {
            Split::Line => Some(b'\n'),
            Split::Nul => Some(0),
            Split::All | Split::Bytes(_) => None,
        }
    }

    /// The length of the first message in `unread`, of which `searched` bytes are known to hold no delimiter; `None` where
    /// its end has not come yet.
    #[inline]
    pub(super) fn first(self, unread: &[u8], searched: usize) -> Option<usize> {
        match self {
            Split::Line => after(b'\n', unread, searched),
            Split::Nul => after(0, unread, searched),
            Split::Bytes(size) => Some(size.max(1)).filter(|size| *size <= unread.len()),
            Split::All => None,
        }
    }

    /// The length of all whole messages in `unread`, of which `searched` bytes are known to hold no delimiter.
    pub(super) fn all(self, unread: &[u8], searched: usize) -> Option<usize> {
        let len = match self {
            Split::Line | Split::Nul => {
                let last = memchr::memrchr(self.delimiter()?, unread.get(searched..)?)?;
                searched + last + 1
            }
            Split::Bytes(size) => unread.len() - unread.len() % size.max(1),
            Split::All => 0,
        };
        (len > 0).then_some(len)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::Line => f.write_str("line"),
            Split::Nul => f.write_str("nul"),
            Split::All => f.write_str("all"),
            Split::Bytes(size) => write!(f, "{size}"),
        }
    }
}

/// The length up to and with the first delimiter.
#[inline]
fn after(delimiter: u8, unread: &[u8], searched: usize) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let same = LOW * u64::from(delimiter);
    // Most lines are short, and a call of memchr costs more than to look at their few words here.
    let mut at = searched;
    while let Some(word) = unread.get(at..).and_then(<[u8]>::first_chunk) {
        let differs = u64::from_le_bytes(*word) ^ same;
        let found = differs.wrapping_sub(LOW) & !differs & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8 + 1);
        }
        at += 8;
        if at >= searched + 32 {
            break;
        }
    }
    memchr::memchr(delimiter, unread.get(at..)?).map(|more| at + more + 1)
}

/// A positive number of bytes, with or without a unit.
fn size(text: &str) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_split_reads_back_from_its_text() {
        for (text, split) in [
            ("line", Split::Line),
            ("nul", Split::Nul),
            ("all", Split::All),
            ("1", Split::Bytes(1)),
            ("4096", Split::Bytes(4096)),
        ] {
            assert_eq!(Split::parse(text).unwrap(), split);
            assert_eq!(split.to_string(), text);
        }
        assert_eq!(Split::parse("64KiB").unwrap(), Split::Bytes(65536));
        assert_eq!(Split::parse("2M").unwrap(), Split::Bytes(2 << 20));
    }

    #[test]
    fn what_is_no_way_to_split_is_refused() {
        for text in
            ["", "lines", "0", "0KiB", "-1", "+1", "KiB", "1TiB", "99999999999999999999", "99999999999GiB"]
        {
            assert!(Split::parse(text).is_err(), "{text}");
        }
        let err = Split::parse("word").unwrap_err().to_string();
        assert_eq!(err, "word: no way to split: expected line, nul, all or a size such as 64KiB");
    }

    #[test]
    fn a_delimiter_is_found_wherever_it_is() {
        for len in 0..100 {
            for at in 0..len {
                let mut text = vec![b'x'; len];
                text[at] = b'\n';
                // Bytes that differ from a newline by little, before and after it.
                text[0] ^= u8::from(at != 0) * (b'x' ^ b'\x0b');
                text[len - 1] ^= u8::from(at != len - 1) * (text[len - 1] ^ 0x8a);
                for searched in 0..=at {
                    assert_eq!(Split::Line.first(&text, searched), Some(at + 1));
                }
                assert_eq!(Split::Line.first(&text, at + 1), None);
                assert_eq!(Split::Line.all(&text, 0), Some(at + 1));
            }
            assert_eq!(Split::Line.first(&vec![0x0b; len], 0), None);
            assert_eq!(Split::Nul.first(&vec![1; len], 0), None);
        }
    }
}
