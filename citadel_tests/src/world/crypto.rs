//! Primitives of a world: randomness by the seed, records really sealed, key agreement real or stood in.

use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, Native,
};
use core::fmt;
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// Random bytes follow from the seed in both kinds of world, so that whatever they decide is decided again in a replay.
/// Real keys differ from run to run, and nothing that is logged depends on them.
pub(crate) struct WorldProvider {
    random: Mutex<ChaCha20Rng>,
    is_real: bool,
}

impl WorldProvider {
    pub(crate) fn new(seed: u64, is_real: bool) -> Arc<Self> {
        Arc::new(Self { random: Mutex::new(ChaCha20Rng::seed_from_u64(seed)), is_real })
    }

    fn draw(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.lock().fill_bytes(&mut bytes);
        bytes
    }
}

impl fmt::Debug for WorldProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorldProvider(real: {})", self.is_real)
    }
}

/// Who the nodes are: made once for all worlds.
pub(crate) fn identity(number: usize) -> Arc<Identity> {
    static IDENTITIES: OnceLock<[Arc<Identity>; 8]> = OnceLock::new();
    let made = IDENTITIES.get_or_init(|| {
        std::array::from_fn(|number| {
            let seed = Secret::copy_from(&[number as u8 + 1; SEED_LEN]);
            Arc::new(Identity::from_seed(&Native, seed).expect("any seed is a key"))
        })
    });
    Arc::clone(&made[number % made.len()])
}

/// Stands in for X25519: the public value is the private one, the secret a hash of both ends' values.
struct StandInDh([u8; 32]);

impl DhKey for StandInDh {
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError> {
        let (low, high) = if self.0 < *peer { (&self.0, peer) } else { (peer, &self.0) };
        Ok(digest(b"dh", low, high))
    }
}

/// Stands in for ML-KEM: keys and ciphertexts of the right lengths, random at their start; the secret is a hash of both.
struct StandInKem {
    algorithm: KemAlgorithm,
    public: [u8; 32],
}

impl KemKey for StandInKem {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        let start = ciphertext.first_chunk().filter(|_| ciphertext.len() == self.algorithm.ciphertext_len());
        start.map(|start| digest(b"kem", &self.public, start)).ok_or(CryptoError::PeerValue)
    }
}

fn digest(label: &[u8], one: &[u8; 32], other: &[u8; 32]) -> Secret<32> {
    let hash = Sha256::new().chain_update(label).chain_update(one).chain_update(other).finalize();
    Secret::copy_from(&hash.into())
}

fn padded(start: [u8; 32], len: usize) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(len, 0x5a);
    bytes
}

impl CryptoProvider for WorldProvider {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.random.lock().fill_bytes(out);
        Ok(())
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        if self.is_real {
            return Native.dh_generate();
        }
        let value = self.draw();
        Ok((Box::new(StandInDh(value)), value))
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        if self.is_real {
            return Native.kem_generate(algorithm);
        }
        let public = self.draw();
        let key = padded(public, algorithm.encapsulation_key_len());
        Ok((Box::new(StandInKem { algorithm, public }), key))
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        if self.is_real {
            return Native.kem_encapsulate(algorithm, encapsulation_key);
        }
        let public = encapsulation_key.first_chunk().ok_or(CryptoError::PeerValue)?;
        let start = self.draw();
        let secret = digest(b"kem", public, &start);
        Ok((padded(start, algorithm.ciphertext_len()), secret))
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        Native.aead(algorithm, key)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        Native.signing_key(seed)
    }
}
