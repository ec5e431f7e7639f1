//! Positions: how far the elements before a place in a stream go, for whoever puts them away safely.
//!
//! Failure contract: a payload that is too short, or whose texts are not UTF-8, is damaged. That the rest of it is what it says, only
//! the file it names can tell.

use crate::error::{Code, Error, Result};
use crate::limits::PATH_MAX;

/// Says that all elements of a woof up to `seqno` stand before this message, as far as they were wanted. The reader of the woof
/// keeps its position in a file, and whoever has the data safe writes the seqno there.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// The last element that was sent or not wanted; 0 before the first.
    pub seqno: u64,
    /// The last of them that was sent, with its time: when the woof has another element of that number, numbers came again.
    pub last: (u64, u64),
    /// When the woof was made, in nanoseconds since 1970.
    pub made_ns: u64,
    /// What the file has in it as long as this stream is the one that moves it.
    pub token: [u8; 16],
    /// The absolute path of the file.
    pub path: String,
    /// The name of the woof, as the `path` of its `Dir` has it.
    pub woof: String,
}

impl Position {
    /// Bytes before the texts: seqno, time of making, the last that was sent and its time, token, length of the path.
    const FIXED: usize = 8 + 8 + 16 + 16 + 2;

    /// The payload.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a path or a name over [`PATH_MAX`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let (path_len, woof_len) = (self.path.len(), self.woof.len());
        let len = u16::try_from(path_len).ok().filter(|_| path_len <= PATH_MAX && woof_len <= PATH_MAX);
        let Some(len) = len else {
            let text = format!("path of a position is {path_len} bytes, the limit is {PATH_MAX}");
            return Err(Error::new(Code::TooLarge, "", text));
        };
        let mut out = Vec::with_capacity(Self::FIXED + path_len + woof_len);
        out.extend_from_slice(&self.seqno.to_le_bytes());
        out.extend_from_slice(&self.made_ns.to_le_bytes());
        out.extend_from_slice(&self.last.0.to_le_bytes());
        out.extend_from_slice(&self.last.1.to_le_bytes());
        out.extend_from_slice(&self.token);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(self.woof.as_bytes());
        Ok(out)
    }

    /// Reads a payload.
    ///
    /// ```
    /// use woof_core::wire::Position;
    /// let position = Position { seqno: 7, path: "/srv/.woof/positions/up".into(), ..Position::default() };
    /// assert_eq!(Position::decode(&position.encode().unwrap()).unwrap(), position);
    /// assert!(Position::decode(b"short").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Code::Damaged`] for what is no position.
    pub fn decode(payload: &[u8]) -> Result<Position> {
        fn parts(payload: &[u8]) -> Option<Position> {
            let (seqno, rest) = payload.split_first_chunk()?;
            let (made_ns, rest) = rest.split_first_chunk()?;
            let (last, rest) = rest.split_first_chunk()?;
            let (last_ns, rest) = rest.split_first_chunk()?;
            let (token, rest) = rest.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (path, woof) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
            Some(Position {
                seqno: u64::from_le_bytes(*seqno),
                made_ns: u64::from_le_bytes(*made_ns),
                last: (u64::from_le_bytes(*last), u64::from_le_bytes(*last_ns)),
                token: *token,
                path: text(path)?,
                woof: text(woof)?,
            })
        }
        if payload.len() > Self::FIXED + 2 * PATH_MAX {
            let (len, max) = (payload.len(), Self::FIXED + 2 * PATH_MAX);
            let text = format!("position message is {len} bytes, the limit is {max}");
            return Err(Error::new(Code::TooLarge, "", text));
        }
        parts(payload).ok_or_else(|| Error::new(Code::Damaged, "", "position message is no position"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_its_bytes_stay() {
        let position = Position {
            seqno: 7,
            made_ns: 9,
            last: (5, 6),
            token: *b"0123456789abcdef",
            path: "/a".to_owned(),
            woof: "b".to_owned(),
        };
        let bytes = position.encode().unwrap();
        let numbers = [7, 9, 5, 6].map(u64::to_le_bytes).concat();
        assert_eq!(bytes, [&numbers[..], b"0123456789abcdef\x02\0/ab"].concat());
        assert_eq!(Position::decode(&bytes).unwrap(), position);
        for len in 0..52 {
            assert_eq!(Position::decode(&bytes[..len]).unwrap_err().code(), Code::Damaged, "{len}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let long = Position { path: "x".repeat(4096), ..Position::default() };
        assert_eq!(long.encode().unwrap_err().code(), Code::TooLarge);
        assert_eq!(Position::decode(&[0; 9000]).unwrap_err().code(), Code::TooLarge);
        let mut bytes = Position { path: "/a".to_owned(), ..Position::default() }.encode().unwrap();
        bytes[51] = 0xff;
        assert_eq!(Position::decode(&bytes).unwrap_err().code(), Code::Damaged);
    }
}
