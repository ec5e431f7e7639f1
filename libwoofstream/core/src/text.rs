//! Text that a person may have edited, where it is parsed: one rule for byte order marks (`docs/text.md`).
//!
//! Some editors begin a file with a mark that nobody sees. In UTF-8 it says nothing and is skipped; UTF-16 is refused by name, as each
//! character of it would be taken for two. A carriage return before a line's end is a blank like others to all parsers here. Data is not
//! parsed: it keeps every byte.

use crate::error::{Code, Error, Result};

/// The bytes of a text without a mark before them.
///
/// ```
/// use woof_core::text;
/// assert_eq!(text::unmarked(b"\xef\xbb\xbf21.5").unwrap(), b"21.5");
/// assert_eq!(text::unmarked(b"21.5").unwrap(), b"21.5");
/// assert!(text::unmarked(b"\xff\xfe2\x001\x00").is_err());
/// ```
///
/// # Errors
/// [`Code::Invalid`] for UTF-16.
#[inline]
pub fn unmarked(bytes: &[u8]) -> Result<&[u8]> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(rest),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Err(Error::new(Code::Invalid, "", "is text in UTF-16: save it as UTF-8"))
        }
        bytes => Ok(bytes),
    }
}

/// The text of a file that a person may have edited, without a mark before it.
///
/// # Errors
/// [`Code::Invalid`] for what is not UTF-8.
pub fn edited(bytes: Vec<u8>) -> Result<String> {
    let at = bytes.len() - unmarked(&bytes)?.len();
    let mut text = String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to() + 1;
        Error::new(Code::Invalid, "", format!("not UTF-8 at byte {at}"))
    })?;
    text.drain(..at);
    Ok(text)
}

/// As [`unmarked`], of what is known to be UTF-8.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What is wrong with a name in such a text: the mark within it, where two files were joined, would make a name that looks right and is
/// another one.
pub fn hidden_in(name: &str) -> Option<&'static str> {
    name.contains('\u{feff}').then_some("it has a byte order mark (U+FEFF) in it, which cannot be seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_utf_8_is_skipped_once_and_utf_16_is_refused_by_name() {
        assert_eq!(edited(b"\xef\xbb\xbfedge".to_vec()).unwrap(), "edge");
        assert_eq!(edited(b"edge".to_vec()).unwrap(), "edge");
        assert_eq!(edited(Vec::new()).unwrap(), "");
        assert_eq!(edited(b"\xef\xbb\xbf\xef\xbb\xbfx".to_vec()).unwrap(), "\u{feff}x");
        for utf_16 in [&b"\xff\xfee\0"[..], b"\xfe\xff\0e"] {
            assert_eq!(edited(utf_16.to_vec()).unwrap_err().text(), "is text in UTF-16: save it as UTF-8");
        }
        assert_eq!(edited(b"ab\xff".to_vec()).unwrap_err().text(), "not UTF-8 at byte 3");
        assert_eq!(without_mark("\u{feff}x"), "x");
    }
}
