//! Bounds-checked reading and writing of flights. Little-endian numbers; nothing here allocates by a peer's word.

/// The bytes are not a well-formed flight, payload or field: too short, too long, out of range, or not canonical.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("malformed handshake bytes")]
pub struct Malformed;

/// First byte of each flight.
pub(super) mod tag {
    pub(in crate::handshake) const HELLO: u8 = 1;
    pub(in crate::handshake) const RETRY: u8 = 2;
    pub(in crate::handshake) const REPLY: u8 = 3;
    pub(in crate::handshake) const PROOF: u8 = 4;
    pub(in crate::handshake) const VERDICT: u8 = 5;
    pub(in crate::handshake) const REFUSAL: u8 = 6;
}

/// Reads from the front of a byte string and never past its end.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The byte that must stand here.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.u8()? == byte { Ok(()) } else { Err(Malformed) }
    }

    /// A string behind a 2-byte length of at most `max`.
    pub(super) fn string16(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.u16()?);
        if len > max {
            return Err(Malformed);
        }
        self.take(len)
    }

    /// A string behind a 1-byte length.
    pub(super) fn string8(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.u8()?);
        self.take(len)
    }

    /// Zeros up to the end.
    pub(super) fn zeros(self) -> Result<(), Malformed> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Malformed) }
    }

    /// No byte left over.
    pub(super) const fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends `bytes` behind a 2-byte length. Whatever is written here is capped far below 64 KiB when it is made;
/// a longer one would be cut, so that its reader refuses it.
pub(super) fn put_string16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&bytes[..usize::from(len)]);
}

/// Appends `bytes` behind a 1-byte length; the same remark.
pub(super) fn put_string8(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend_from_slice(&bytes[..usize::from(len)]);
}
