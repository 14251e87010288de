//! Identities: the hybrid signing key of a node and what its signatures mean (R-CRY-2).
//!
//! Every signature is over `"citadel/1 Ed25519+ML-DSA-65" ‖ 0x00 ‖ use ‖ 0x00 ‖ hash`, where the hash is the
//! [`Transcript`] of the composite's name, the use, the signer's peer id and the signed parts. So neither half verifies
//! as a signature of another protocol, of another use, or of another pair of keys.

use crate::addr::PeerId;
use crate::labels;
use crate::secret::Secret;
use crate::suite::sign::{self, PUBLIC_LEN, SEED_LEN, SIGNATURE_LEN, SigningKey};
use crate::suite::{CryptoError, CryptoProvider, Native};
use crate::transcript::Transcript;
use core::fmt;
use zeroize::Zeroizing;

mod bytes;
mod store;

/// A node's signing key. Not `Clone`: whoever shares it holds an `Arc`.
pub struct Identity {
    seed: Secret<SEED_LEN>,
    key: Box<dyn SigningKey>,
    public: IdentityPublic,
}

impl Identity {
    /// A fresh identity with the randomness of the operating system. AWS-LC aborts the process when there is none.
    pub fn generate() -> Self {
        Self::generate_with(&Native)
            .expect("AWS-LC has aborted if randomness is missing; every seed makes a key")
    }

    /// A fresh identity of `provider`.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn generate_with(provider: &dyn CryptoProvider) -> Result<Self, CryptoError> {
        let mut seed = Secret::zero();
        provider.random(seed.expose_mut())?;
        Self::from_seed(provider, seed)
    }

    /// The identity of `seed`: 32 bytes of Ed25519, then 32 bytes of ML-DSA-65.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn from_seed(provider: &dyn CryptoProvider, seed: Secret<SEED_LEN>) -> Result<Self, CryptoError> {
        let key = provider.signing_key(&seed)?;
        let public = IdentityPublic::new(key.public());
        Ok(Self { seed, key, public })
    }

    /// The secret key as bytes, wiped on drop: whoever has them is this identity. [`from_bytes`](Self::from_bytes)
    /// reads them.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(STORED_LEN));
        bytes.extend_from_slice(STORED_HEAD);
        bytes.extend_from_slice(self.seed.expose());
        let checksum = stored_checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`IdentityError`] when length, head or checksum is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        if bytes.len() != STORED_LEN {
            return Err(IdentityError::Length);
        }
        let (head, checksum) = bytes.split_at(STORED_LEN - CHECKSUM_LEN);
        let seed = head.strip_prefix(STORED_HEAD).ok_or(IdentityError::Format)?;
        if stored_checksum(head) != checksum {
            return Err(IdentityError::Checksum);
        }
        let mut secret = Secret::zero();
        secret.expose_mut().copy_from_slice(seed);
        Self::from_seed(&Native, secret).map_err(IdentityError::Crypto)
    }

    /// What others know of it.
    pub const fn public(&self) -> &IdentityPublic {
        &self.public
    }

    /// Fingerprint of [`public`](Self::public).
    pub const fn peer_id(&self) -> PeerId {
        self.public.peer_id
    }

    /// Signs `parts` for the use that `use_`, one of [`labels`], names.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn sign(&self, use_: &str, parts: &[&[u8]]) -> Result<HybridSignature, CryptoError> {
        let message = signed_message(use_, self.public.peer_id, parts);
        self.key.sign(&message).map(HybridSignature)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ..)", self.public.peer_id)
    }
}

/// Name and version of the stored form.
const STORED_HEAD: &[u8] = b"citadel identity 1\n";
const CHECKSUM_LEN: usize = 8;
const STORED_LEN: usize = STORED_HEAD.len() + SEED_LEN + CHECKSUM_LEN;

fn stored_checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut checksum = [0; CHECKSUM_LEN];
    let hash = Transcript::new(labels::IDENTITY_CHECKSUM).field(bytes).finish();
    checksum.copy_from_slice(&hash[..CHECKSUM_LEN]);
    checksum
}

/// Why a stored identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It is shorter or longer than an identity.
    #[error("a stored identity has {STORED_LEN} bytes")]
    Length,
    /// It does not start as an identity of this version does.
    #[error("not a stored identity of this version")]
    Format,
    /// Its bytes were changed.
    #[error("the stored identity is damaged: its checksum does not fit")]
    Checksum,
    /// The file may be read or written by others than its owner.
    #[error("the identity file is open to others (mode {mode:o}); restrict it to 600")]
    Permissions {
        /// The permission bits found.
        mode: u32,
    },
    /// The path is not a regular file.
    #[error("the identity path is not a regular file")]
    NotAFile,
    /// A file operation failed.
    #[error("the identity file cannot be used")]
    Io(#[from] std::io::Error),
    /// A primitive failed.
    #[error(transparent)]
    Crypto(CryptoError),
}

/// The public half of an [`Identity`].
#[derive(Clone)]
pub struct IdentityPublic {
    bytes: Box<[u8; PUBLIC_LEN]>,
    peer_id: PeerId,
}

impl IdentityPublic {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = PUBLIC_LEN;

    fn new(bytes: Box<[u8; PUBLIC_LEN]>) -> Self {
        let peer_id = PeerId(Transcript::new(labels::PEER_ID).field(&bytes[..]).finish());
        Self { bytes, peer_id }
    }

    /// Takes the bytes of both keys. Whether they are points and polynomials shows at the first
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] for another length than [`LEN`](Self::LEN).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let mut array = Box::new([0; PUBLIC_LEN]);
        if bytes.len() != PUBLIC_LEN {
            return Err(CryptoError::PeerValue);
        }
        array.copy_from_slice(bytes);
        Ok(Self::new(array))
    }

    /// Ed25519 (32 bytes), then ML-DSA-65 (1,952 bytes).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The same bytes, borrowed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// SHA3-256 fingerprint of both keys.
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Checks that both keys signed `parts` for the use that `use_` names.
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] when either signature does not verify.
    pub fn verify(
        &self,
        use_: &str,
        parts: &[&[u8]],
        signature: &HybridSignature,
    ) -> Result<(), CryptoError> {
        sign::verify(&self.bytes[..], &signed_message(use_, self.peer_id, parts), &signature.0[..])
    }
}

impl PartialEq for IdentityPublic {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for IdentityPublic {}

impl fmt::Debug for IdentityPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityPublic({})", self.peer_id)
    }
}

/// Signatures of both keys over one message.
#[derive(Clone, PartialEq, Eq)]
pub struct HybridSignature(Box<[u8; SIGNATURE_LEN]>);

impl HybridSignature {
    /// Length in bytes.
    pub const LEN: usize = SIGNATURE_LEN;

    /// Takes the bytes as they came.
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] for another length than [`LEN`](Self::LEN).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let mut array = Box::new([0; SIGNATURE_LEN]);
        if bytes.len() != SIGNATURE_LEN {
            return Err(CryptoError::PeerValue);
        }
        array.copy_from_slice(bytes);
        Ok(Self(array))
    }

    /// Ed25519 (64 bytes), then ML-DSA-65 (3,309 bytes).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// The same bytes, copied.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Debug for HybridSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HybridSignature({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

fn signed_message(use_: &str, signer: PeerId, parts: &[&[u8]]) -> Vec<u8> {
    let start = Transcript::new(labels::SIGN_COMPOSITE).field(use_.as_bytes()).field(&signer.0);
    let hash = parts.iter().fold(start, |transcript, part| transcript.field(part)).finish();
    [labels::SIGN_COMPOSITE.as_bytes(), &[0], use_.as_bytes(), &[0], &hash].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_use_its_parts_and_its_signer_only() {
        let (alice, bob) = (Identity::generate(), Identity::generate());
        let signature = alice.sign(labels::SIGN_SERVER, &[b"ab", b"c"]).unwrap();
        let public = alice.public();
        assert_eq!(public.verify(labels::SIGN_SERVER, &[b"ab", b"c"], &signature), Ok(()));
        let refused = Err(CryptoError::PeerValue);
        assert_eq!(public.verify(labels::SIGN_CLIENT, &[b"ab", b"c"], &signature), refused);
        assert_eq!(public.verify(labels::SIGN_SERVER, &[b"a", b"bc"], &signature), refused);
        assert_eq!(bob.public().verify(labels::SIGN_SERVER, &[b"ab", b"c"], &signature), refused);
    }

    #[test]
    fn both_halves_must_verify() {
        let identity = Identity::generate();
        let signature = identity.sign(labels::SIGN_SERVER, &[b"x"]).unwrap();
        for byte in [0, 63, 64, SIGNATURE_LEN - 1] {
            let mut bytes = signature.to_bytes();
            bytes[byte] ^= 1;
            let changed = HybridSignature::from_bytes(&bytes).unwrap();
            assert!(identity.public().verify(labels::SIGN_SERVER, &[b"x"], &changed).is_err(), "byte {byte}");
        }
    }
}
