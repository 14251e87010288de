//! Small secrets that a server keeps for itself.

use super::error::{BackendError, Limit};

/// Name of a ticket, 1 to 128 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TicketName(Vec<u8>);

impl TicketName {
    /// Longest name, bytes.
    pub const MAX_LEN: usize = 128;
    /// Longest secret of a ticket, bytes.
    pub const MAX_SECRET: usize = 4 << 10;

    /// Takes a name.
    ///
    /// # Errors
    /// [`Limit::TicketName`] when it is empty or too long.
    pub fn new(name: impl Into<Vec<u8>>) -> Result<Self, BackendError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::MAX_LEN {
            return Err(Limit::TicketName.into());
        }
        Ok(Self(name))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
