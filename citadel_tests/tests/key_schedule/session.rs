//! Sessions whose every byte follows from a seed, and a look at the secrets that key agreement gave.

use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::{Attempt, Body, Header, KeyAgreement, Message, RoundId, Side, Version};
use citadel_crypt::ratchets::{HybridAgreement, InitialSecrets, PathId, RatchetConfig, Toolset};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, Native, Suite,
};
use citadel_crypt::wire;
use citadel_tests::seeded::SeededProvider;
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) const SESSION_ID: [u8; 32] = [0x11; 32];
pub(crate) const HS: [u8; 32] = [0x22; 32];
pub(crate) const TH_0: [u8; 32] = [0x33; 32];

/// Key agreement from a seed, records by either backend; keeps the shared secrets that it gave out.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    seeded: Arc<SeededProvider>,
    native_records: bool,
    pub(crate) shared: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl Watched {
    pub(crate) fn new(seed: u64, native_records: bool) -> Self {
        Self { seeded: Arc::new(SeededProvider::new(seed)), native_records, shared: Arc::default() }
    }
}

struct WatchedKey<K>(K, Arc<Mutex<Vec<[u8; 32]>>>);

impl DhKey for WatchedKey<Box<dyn DhKey>> {
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError> {
        self.0.agree(peer).inspect(|secret| self.1.lock().push(*secret.expose()))
    }
}

impl KemKey for WatchedKey<Box<dyn KemKey>> {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        self.0.decapsulate(ciphertext).inspect(|secret| self.1.lock().push(*secret.expose()))
    }
}

impl CryptoProvider for Watched {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.seeded.random(out)
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        let (key, public) = self.seeded.dh_generate()?;
        Ok((Box::new(WatchedKey(key, Arc::clone(&self.shared))), public))
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        let (key, public) = self.seeded.kem_generate(algorithm)?;
        Ok((Box::new(WatchedKey(key, Arc::clone(&self.shared))), public))
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        self.seeded.kem_encapsulate(algorithm, key)
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        if self.native_records { Native.aead(algorithm, key) } else { self.seeded.aead(algorithm, key) }
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        self.seeded.signing_key(seed)
    }
}

/// One end.
pub(crate) struct End {
    pub(crate) tools: Toolset,
    pub(crate) agreement: HybridAgreement,
    pub(crate) shared: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl End {
    pub(crate) fn seal(&mut self, path: PathId, text: &[u8]) -> Vec<u8> {
        let mut body = text.to_vec();
        let sealed = self.tools.seal(path, b"aad", &mut body).unwrap();
        body.extend(sealed.tag);
        body
    }

    pub(crate) fn open(&mut self, path: PathId, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        let len = self.tools.open(self.tools.latest(), path, None, b"aad", &mut body).unwrap();
        body.truncate(len);
        body
    }
}

/// Both ends of the session of `suite` that the vectors were made with.
pub(crate) fn pair(suite: Suite, config: impl Into<RatchetConfig>, native_records: bool) -> [End; 2] {
    let config = config.into();
    let identities =
        [3, 4].map(|seed| Arc::new(Identity::generate_with(&SeededProvider::new(seed)).unwrap()));
    [(Side::Initiator, 1, 0, 1), (Side::Responder, 2, 1, 0)].map(|(side, seed, own, peer)| {
        let provider = Watched::new(seed, native_records);
        let shared = Arc::clone(&provider.shared);
        let hs = Secret::copy_from(&HS);
        let initial = InitialSecrets { session_id: SESSION_ID, suite, hs, th0: TH_0 };
        let identities = Some((Arc::clone(&identities[own]), identities[peer].public().clone()));
        let (tools, agreement) = initial.into_parts(Arc::new(provider), side, config, identities);
        End { tools, agreement, shared }
    })
}

/// Bytes of a round's messages, as `wire::rekey` writes them.
pub(crate) struct Round {
    pub(crate) offer: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    pub(crate) finish: Vec<u8>,
}

/// One round, committed on both ends; `leader` is 0 or 1.
pub(crate) fn round(ends: &mut [End; 2], leader: usize, signed: bool) -> Round {
    let [a, b] = ends;
    let (leader, loser) = if leader == 0 { (a, b) } else { (b, a) };
    let (side, suite) = (leader.tools.side(), leader.tools.suite());
    let (latest, earliest) = (leader.tools.latest(), leader.tools.earliest());
    let round = RoundId { version: latest.next(), side, attempt: Attempt(7 + latest.0) };
    let header = Header { round, floor: Attempt(6 + latest.0), latest, earliest };
    let encode = |body| wire::rekey::encode_message(&Message { header, body });

    let (secret, offer) = leader.agreement.offer(round, signed).unwrap();
    let (candidate, answer) = loser.agreement.answer(round, signed, &offer).unwrap();
    let (own, tag) = leader.agreement.complete(secret, round, signed, &offer, &answer).unwrap();
    assert!(loser.agreement.verify_finish(&candidate, &tag));
    let ratchet = leader.agreement.commit(own, side);
    leader.tools.commit(ratchet, Version(0));
    let ratchet = loser.agreement.commit(candidate, side.peer());
    loser.tools.commit(ratchet, Version(0));
    Round {
        offer: encode(Body::AliceToBob { suite: suite.id(), signed, offer }),
        answer: encode(Body::BobToAlice { answer }),
        finish: encode(Body::LoserCanFinish { tag }),
    }
}
