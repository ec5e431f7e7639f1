//! The fixed parts of the format: the preamble that begins a stream, and the header that begins a frame.

use super::Kind;

/// The version of the format that this program writes, and the only one it reads.
pub const VERSION: u8 = 1;

/// The eight bytes that begin a stream. The first is no ASCII and no start of a UTF-8 character, so no text file begins
/// with it; the carriage return and newline do not survive a transfer that changes line ends; the last is the version.
pub const PREAMBLE: [u8; 8] = *b"\x89WOOF\r\n\x01";

/// Bytes of a frame header.
pub const HEADER_SIZE: usize = 8;

/// Flag: the payload goes on in the next frame, which is of the same kind.
pub const MORE: u8 = 1;

/// Bytes of an `Elem` payload before its data.
pub const ELEM_PREFIX: usize = 16;

/// The header of a frame: 8 bytes, little endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of payload after the header, at most [`crate::limits::FRAME_PAYLOAD_MAX`].
    pub len: u32,
    /// What the message is.
    pub kind: Kind,
    /// [`MORE`], and bits that mean nothing yet.
    pub flags: u8,
    /// Written as 0, forwarded as found.
    pub reserved: u16,
}

impl Header {
    /// The bytes of this header.
    #[inline]
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        (u64::from(self.len)
            | u64::from(self.kind.0) << 32
            | u64::from(self.flags) << 40
            | u64::from(self.reserved) << 48)
            .to_le_bytes()
    }

    /// The header in these bytes. Any bytes make one; whether it is valid, the decoder says.
    ///
    /// ```
    /// use woof_core::wire::{Header, Kind};
    /// let header = Header::decode([5, 0, 0, 0, 1, 0, 0, 0]);
    /// assert_eq!(header, Header { len: 5, kind: Kind::BYTES, flags: 0, reserved: 0 });
    /// ```
    #[inline]
    pub fn decode(bytes: [u8; HEADER_SIZE]) -> Header {
        let [a, b, c, d, kind, flags, e, f] = bytes;
        Header {
            len: u32::from_le_bytes([a, b, c, d]),
            kind: Kind(kind),
            flags,
            reserved: u16::from_le_bytes([e, f]),
        }
    }
}

/// What the first bytes of some input say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detected {
    /// A preamble, of this version of the format (which need not be one that can be read).
    Framed(u8),
    /// No preamble.
    Raw,
    /// The beginning of a preamble: as many more bytes will tell.
    Need(usize),
}

/// Tells a framed stream from raw bytes by its first bytes. If the input ends while [`Detected::Need`] is the answer, it
/// is raw bytes.
///
/// ```
/// use woof_core::wire::{Detected, detect};
/// assert_eq!(detect(b"21.5\n"), Detected::Raw);
/// assert_eq!(detect(b"\x89WOOF\r\n\x01more"), Detected::Framed(1));
/// assert_eq!(detect(b"\x89WO"), Detected::Need(5));
/// ```
pub fn detect(input: &[u8]) -> Detected {
    let fixed = PREAMBLE.len() - 1;
    let same = input.iter().zip(&PREAMBLE[..fixed]).take_while(|(a, b)| a == b).count();
    match input.get(fixed) {
        Some(version) if same == fixed => Detected::Framed(*version),
        _ if same == input.len() => Detected::Need(PREAMBLE.len() - input.len()),
        _ => Detected::Raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_laid_out_little_endian() {
        let header = Header { len: 0x0102_0304, kind: Kind(0x0a), flags: 0x0b, reserved: 0x0c0d };
        assert_eq!(header.encode(), [4, 3, 2, 1, 0x0a, 0x0b, 0x0d, 0x0c]);
        assert_eq!(Header::decode(header.encode()), header);
    }

    #[test]
    fn only_the_whole_preamble_is_a_stream() {
        assert_eq!(detect(b""), Detected::Need(8));
        assert_eq!(detect(b"\x89"), Detected::Need(7));
        assert_eq!(detect(b"\x89WOOF\r\n"), Detected::Need(1));
        assert_eq!(detect(b"\x89WOOF\r\n\x09"), Detected::Framed(9));
        assert_eq!(detect(b"\x89WOOF\n"), Detected::Raw);
        assert_eq!(detect(b"\x89PNG\r\n\x1a\n"), Detected::Raw);
        assert_eq!(detect(b"WOOF"), Detected::Raw);
    }
}
