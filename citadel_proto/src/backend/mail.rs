//! Items of a mailbox.

/// Number of an item in its mailbox. Rises, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MailId(pub u64);

/// An item of a mailbox. Its `Debug` tells its length, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its number.
    pub id: MailId,
    /// Its bytes.
    pub item: Vec<u8>,
}

impl Mail {
    /// Longest item, bytes.
    pub const MAX_LEN: usize = 64 << 10;
}

impl core::fmt::Debug for Mail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Mail({}, {} bytes)", self.id.0, self.item.len())
    }
}
