//! Packets: what carries a datagram on a path that keeps no order.
//!
//! ```text
//! 8 low bits of the version (1) | counter (8, big endian)        header, clear
//! the datagram | tag (16)                                        body, sealed
//! ```
//!
//! The version is associated data of the body. The counter need not be: it is in the nonce, so a body opens under its own
//! alone. Keys are those of (version, direction, path, packets): no record opens as a packet or the other way round, and no
//! packet of one path opens on another.

use citadel_crypt::suite::TAG_LEN;

/// Length of the clear header.
pub(crate) const HEADER_LEN: usize = 1 + 8;
/// What a packet has beside its datagram.
pub(crate) const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// A clear header. Nothing about it is proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The 8 low bits of the version that sealed the body.
    pub(crate) version_bits: u8,
    /// The packet's number under its version and path.
    pub(crate) counter: u64,
}

impl Header {
    pub(crate) const fn encode(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d, e, f, g, h] = self.counter.to_be_bytes();
        [self.version_bits, a, b, c, d, e, f, g, h]
    }

    /// The header and the body of a packet; none for bytes that are too short or too long to be one.
    pub(crate) fn split(packet: &mut [u8]) -> Option<(Self, &mut [u8])> {
        let (header, body) = packet.split_first_chunk_mut::<HEADER_LEN>()?;
        let [version_bits, counter @ ..] = *header;
        let is_packet = (TAG_LEN..=TAG_LEN + crate::frames::MAX_DATAGRAM).contains(&body.len());
        is_packet.then_some((Self { version_bits, counter: u64::from_be_bytes(counter) }, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_written_and_odd_lengths_are_none() {
        let header = Header { version_bits: 0xa5, counter: 0x0102_0304_0506_0708 };
        let mut packet = [&header.encode()[..], &[7; TAG_LEN]].concat();
        assert_eq!(packet[..HEADER_LEN], [0xa5, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(
            Header::split(&mut packet).is_some_and(|(read, body)| read == header && body == [7; TAG_LEN])
        );
        for len in 0..OVERHEAD {
            assert_eq!(Header::split(&mut vec![0; len]), None, "{len}");
        }
        let longest = OVERHEAD + crate::frames::MAX_DATAGRAM;
        assert!(Header::split(&mut vec![0; longest]).is_some());
        assert!(Header::split(&mut vec![0; longest + 1]).is_none());
    }
}
