//! Serde forms of public keys and signatures: one byte string of exactly the right length.

use super::{HybridSignature, IdentityPublic};
use core::fmt;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

impl Serialize for IdentityPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for IdentityPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_bytes(Exactly(Self::LEN))?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

impl Serialize for HybridSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for HybridSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_bytes(Exactly(Self::LEN))?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// Takes so many bytes and reserves no more, whatever length the input announces.
struct Exactly(usize);

impl<'de> Visitor<'de> for Exactly {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        if bytes.len() == self.0 { Ok(bytes.to_vec()) } else { Err(E::invalid_length(bytes.len(), &self)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::with_capacity(self.0);
        while let Some(byte) = seq.next_element()? {
            if bytes.len() == self.0 {
                return Err(A::Error::invalid_length(bytes.len() + 1, &self));
            }
            bytes.push(byte);
        }
        if bytes.len() == self.0 { Ok(bytes) } else { Err(A::Error::invalid_length(bytes.len(), &self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;
    use serde::de::value::{BytesDeserializer, Error, SeqDeserializer};

    fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> [Result<T, Error>; 2] {
        let sequence = SeqDeserializer::new(bytes.iter().copied());
        [T::deserialize(BytesDeserializer::new(bytes)), T::deserialize(sequence)]
    }

    #[test]
    fn one_length_is_read_and_no_other() {
        let identity = Identity::generate();
        let signature = identity.sign("citadel/1 server", &[b"x"]).unwrap();
        for result in read::<IdentityPublic>(identity.public().as_bytes()) {
            assert_eq!(result.as_ref(), Ok(identity.public()));
        }
        for result in read::<HybridSignature>(signature.as_bytes()) {
            assert_eq!(result.as_ref(), Ok(&signature));
        }
        for wrong in [0, HybridSignature::LEN - 1, HybridSignature::LEN + 1] {
            assert!(read::<HybridSignature>(&vec![0; wrong]).iter().all(Result::is_err));
        }
    }
}
