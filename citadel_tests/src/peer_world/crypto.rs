//! Primitives and identities of a world: whatever a node draws follows from the seed and the node, its signatures too.

use crate::seeded::SeededProvider;
use crate::world::crypto::WorldProvider;
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey,
};
use std::sync::{Arc, OnceLock};

/// What a redial's pause is drawn from.
const PAUSE_LEN: usize = 4;

/// The provider of one node. Pauses are drawn from a stream of their own: in which order two tasks of a node make their keys
/// changes no time.
#[derive(Debug)]
pub(super) struct NodeProvider {
    keys: Arc<WorldProvider>,
    pauses: Arc<WorldProvider>,
}

impl NodeProvider {
    pub(super) fn new(seed: u64, node: usize, is_real: bool) -> Arc<Self> {
        let stream = |purpose: u64| {
            let own = seed.wrapping_mul(64).wrapping_add(node as u64 * 2 + purpose);
            WorldProvider::new(own, is_real)
        };
        Arc::new(Self { keys: stream(0), pauses: stream(1) })
    }
}

impl CryptoProvider for NodeProvider {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        if out.len() == PAUSE_LEN { self.pauses.random(out) } else { self.keys.random(out) }
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        self.keys.dh_generate()
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        self.keys.kem_generate(algorithm)
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        self.keys.kem_encapsulate(algorithm, encapsulation_key)
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        self.keys.aead(algorithm, key)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        self.keys.signing_key(seed)
    }
}

/// Who the nodes are, the server first: made once for all worlds, and their signatures are the same each time.
pub(super) fn identity(node: usize) -> Arc<Identity> {
    static IDENTITIES: OnceLock<[Arc<Identity>; 5]> = OnceLock::new();
    let made = IDENTITIES.get_or_init(|| {
        std::array::from_fn(|node| {
            let seed = Secret::copy_from(&[node as u8 + 0x41; SEED_LEN]);
            Arc::new(Identity::from_seed(&SeededProvider::new(0), seed).expect("any seed is a key"))
        })
    });
    Arc::clone(&made[node])
}
