//! Bytes of authenticated payloads. The only module that names bincode (2.0.1, whose development has ended).
//!
//! Owns: the encoding (fixed-length little-endian integers, so that a value has one encoding), its bounds.
//! Never: bytes read before they are authenticated, record headers, handshake flights.
//!
//! What is decoded must not recurse and must not hold sequences of zero-sized elements: bincode would overflow the
//! stack or spin. Lengths that an input claims are bounded by the cap on the input, which is checked first; a
//! sequence may reserve up to 1 MiB (serde's own bound) before its elements are found missing.

pub mod rekey;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// No cap may be larger, bytes.
pub const MAX_LEN: usize = 1 << 20;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_LEN>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_LEN>();

/// Why bytes are no value, or a value has no bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// More bytes than the cap.
    #[error("longer than allowed")]
    TooLong,
    /// Not the encoding of such a value, or not that alone.
    #[error("malformed")]
    Malformed,
}

/// The bytes of `value`.
///
/// # Errors
/// [`WireError::Malformed`] for a type that bincode cannot encode (sequences of unknown length).
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, WireError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|_| WireError::Malformed)
}

/// The value that `bytes`, at most `max` of them, encode, all of them.
///
/// # Errors
/// [`WireError::TooLong`] before anything is read, [`WireError::Malformed`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, WireError> {
    check_len(bytes, max)?;
    whole(bytes, bincode::serde::decode_from_slice(bytes, CONFIG))
}

/// As [`decode`], for a value that borrows from `bytes` and so allocates nothing.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8], max: usize) -> Result<T, WireError> {
    check_len(bytes, max)?;
    whole(bytes, bincode::serde::borrow_decode_from_slice(bytes, CONFIG))
}

fn check_len(bytes: &[u8], max: usize) -> Result<(), WireError> {
    if bytes.len() > max.min(MAX_LEN) { Err(WireError::TooLong) } else { Ok(()) }
}

fn whole<T>(bytes: &[u8], decoded: Result<(T, usize), bincode::error::DecodeError>) -> Result<T, WireError> {
    match decoded {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        _ => Err(WireError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_input_is_the_value() {
        let bytes = encode(&(1_u16, vec![2_u8, 3])).unwrap();
        assert_eq!(bytes, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 3]);
        assert_eq!(decode::<(u16, Vec<u8>)>(&bytes, 12), Ok((1, vec![2, 3])));
        assert_eq!(decode::<(u16, Vec<u8>)>(&bytes, 11), Err(WireError::TooLong));
        assert_eq!(decode::<(u16, Vec<u8>)>(&bytes[..11], 12), Err(WireError::Malformed));
        assert_eq!(decode::<(u16, Vec<u8>)>(&[&bytes[..], &[0]].concat(), 99), Err(WireError::Malformed));
    }

    #[test]
    fn a_claimed_length_beyond_the_input_is_refused() {
        for claim in [12_u64, 1 << 30, u64::MAX] {
            assert_eq!(decode::<Vec<u64>>(&claim.to_le_bytes(), 64), Err(WireError::Malformed));
            assert_eq!(decode::<String>(&claim.to_le_bytes(), 64), Err(WireError::Malformed));
        }
    }
}
