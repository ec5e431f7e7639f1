//! The fixed parts of the protocol: the greeting, and the header of a frame.

use woof_core::limits::NET_FRAME_MAX;

/// The version of the protocol that this program speaks, and the only one.
pub const VERSION: u8 = 1;

/// The first bytes that each side sends; the last of them is the version.
pub const GREETING: [u8; 8] = *b"\x89WOOC\r\n\x01";

/// Bytes of the header of a frame.
pub const FRAME_HEADER: usize = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const OPEN: Kind = Kind(1);
    pub(super) const DATA: Kind = Kind(2);
    pub(super) const END: Kind = Kind(3);
    pub(super) const CANCEL: Kind = Kind(4);
    pub(super) const CREDIT: Kind = Kind(5);
    pub(super) const PING: Kind = Kind(6);
    pub(super) const PONG: Kind = Kind(7);
    pub(super) const GOAWAY: Kind = Kind(8);

    /// True for kinds that may be ignored by who does not know them.
    pub(super) fn is_optional(self) -> bool {
        self.0 >= 128
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of payload: 24 bits.
    pub(super) len: usize,
    pub(super) kind: Kind,
    /// Which exchange it belongs to; 0 for the connection.
    pub(super) exchange: u32,
}

impl Header {
    /// The bytes of this header. The length must be within the limit of a frame.
    pub(super) fn encode(self) -> [u8; FRAME_HEADER] {
        debug_assert!(self.len <= NET_FRAME_MAX);
        let [a, b, c, ..] = self.len.to_le_bytes();
        let [e, f, g, h] = self.exchange.to_le_bytes();
        [a, b, c, self.kind.0, e, f, g, h]
    }

    /// The header in these bytes. Any bytes make one.
    pub(super) fn decode([a, b, c, kind, e, f, g, h]: [u8; FRAME_HEADER]) -> Header {
        Header {
            len: usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16,
            kind: Kind(kind),
            exchange: u32::from_le_bytes([e, f, g, h]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_laid_out_little_endian() {
        let header = Header { len: 0x01_0203, kind: Kind::DATA, exchange: 0x0a0b_0c0d };
        assert_eq!(header.encode(), [3, 2, 1, 2, 0x0d, 0x0c, 0x0b, 0x0a]);
        assert_eq!(Header::decode(header.encode()), header);
    }
}
