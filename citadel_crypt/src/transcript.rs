//! The transcript hash: SHA3-256 over length-prefixed fields (R-CRY-3).

use crate::suite::hash::Hasher;

/// A running transcript. Two transcripts are equal only if label, number of fields and every field are.
#[derive(Clone)]
pub struct Transcript(Hasher);

impl Transcript {
    /// Starts with `label`, one of [`labels`](crate::labels), as the first field.
    pub fn new(label: &str) -> Self {
        Self(Hasher::new()).field(label.as_bytes())
    }

    /// Adds one field: its length as 8 bytes, little endian, then its bytes.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_to_the_next_field_changes_the_hash() {
        let hash = |fields: &[&[u8]]| {
            fields.iter().fold(Transcript::new("label"), |t, field| t.field(field)).finish()
        };
        let hashes = [hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]), hash(&[b"abc"]), hash(&[b"abc", b""])];
        for (i, one) in hashes.iter().enumerate() {
            assert!(hashes[i + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn the_label_is_the_first_field() {
        let mut plain = Hasher::new();
        plain.update(&5u64.to_le_bytes());
        plain.update(b"label");
        plain.update(&1u64.to_le_bytes());
        plain.update(b"x");
        assert_eq!(Transcript::new("label").field(b"x").finish(), plain.finish());
    }
}
