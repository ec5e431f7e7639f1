//! Names and other text as people see them: on one line, and without what steers a terminal.
//!
//! Programs get names as they are, byte for byte; this is for tables, messages and logs.

use std::fmt::Write as _;

/// Whether a character moves the cursor, ends a line, or changes the order in which text is shown, so that something else seems
/// to stand there.
pub fn is_steering(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes as people see them: what steers is escaped, and what is not UTF-8 is written in hexadecimal.
///
/// ```
/// use woof_core::name::shown;
/// assert_eq!(shown(b"farm/\xfftemp\x1b[2J"), "farm/\\xfftemp\\u{1b}[2J");
/// assert_eq!(shown("Gew\u{e4}chshaus".as_bytes()), "Gew\u{e4}chshaus");
/// ```
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    show(bytes, is_steering, &mut text);
    text
}

/// Appends bytes with the characters escaped for which `escapes` holds.
pub fn show(bytes: &[u8], escapes: impl Fn(char) -> bool, out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if escapes(char) { out.extend(char.escape_default()) } else { out.push(char) }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}
