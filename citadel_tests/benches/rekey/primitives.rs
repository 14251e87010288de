//! The primitives that a round cannot do without, straight from aws-lc-rs, on buffers of a round's sizes.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::{digest, hkdf, hmac};
use citadel_tests::measure::Body;
use std::hint::black_box;

/// What one version is expanded to: fingerprint, exporter, root, a lane for each side, two confirmation keys.
const EXPANDED: [usize; 7] = [16, 32, 32, 32, 32, 32, 32];
/// What each expansion names: label, suite, version, transcript hash, each with its length.
const INFO_LEN: usize = 20 + 2 + 8 + 32 + 4 * 8;
/// What the transcript of a round hashes: label, session id, hash before, suite, flags, round id, share and KEM key,
/// share and ciphertext, each with its length.
const TRANSCRIPT_LEN: usize = 18 + 32 + 32 + 2 + 1 + 17 + (32 + 1184) + (32 + 1088) + 10 * 8;

/// Everything that one primitive call needs, made once.
pub(crate) struct Primitives {
    kem: DecapsulationKey,
    kem_public: Vec<u8>,
    ciphertext: Vec<u8>,
    dh: PrivateKey,
    dh_public: Vec<u8>,
    transcript: Vec<u8>,
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Primitives {
    pub(crate) fn new() -> Self {
        let kem = DecapsulationKey::generate(&ML_KEM_768).expect("key generation");
        let public = kem.encapsulation_key().and_then(|key| key.key_bytes()).expect("its public key");
        let kem_public = public.as_ref().to_vec();
        let key = EncapsulationKey::new(&ML_KEM_768, &kem_public).expect("a key of the right length");
        let ciphertext = key.encapsulate().expect("a fresh key").0.as_ref().to_vec();
        let dh = PrivateKey::generate(&X25519).expect("key generation");
        let dh_public = dh.compute_public_key().expect("its public key").as_ref().to_vec();
        Self { kem, kem_public, ciphertext, dh, dh_public, transcript: vec![7; TRANSCRIPT_LEN] }
    }

    pub(crate) fn dh_generate(&self) {
        let key = PrivateKey::generate(&X25519).expect("key generation");
        black_box(key.compute_public_key().expect("its public key"));
    }

    pub(crate) fn dh_agree(&self) {
        let peer = UnparsedPublicKey::new(&X25519, &self.dh_public);
        let agreed = agreement::agree(&self.dh, peer, (), |secret| {
            black_box(secret);
            Ok(())
        });
        agreed.expect("a fresh public key");
    }

    pub(crate) fn kem_generate(&self) {
        let key = DecapsulationKey::generate(&ML_KEM_768).expect("key generation");
        let public = key.encapsulation_key().and_then(|key| key.key_bytes()).expect("its public key");
        black_box(public.as_ref());
    }

    pub(crate) fn encapsulate(&self) {
        let key = EncapsulationKey::new(&ML_KEM_768, &self.kem_public).expect("a key of the right length");
        black_box(key.encapsulate().expect("a fresh key"));
    }

    pub(crate) fn decapsulate(&self) {
        black_box(self.kem.decapsulate(self.ciphertext.as_slice().into()).expect("a ciphertext"));
    }

    /// One end's transcript hash.
    pub(crate) fn hash(&self) {
        black_box(digest::digest(&digest::SHA3_256, &self.transcript));
    }

    /// One end's key schedule: extract, then every secret of the version.
    pub(crate) fn derive(&self) {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &self.transcript[..32]);
        let prk = salt.extract(&self.transcript[..64]);
        for (number, len) in EXPANDED.into_iter().enumerate() {
            let mut out = [0; 32];
            let info = [&self.transcript[number..number + INFO_LEN]];
            let okm = prk.expand(&info, Length(len)).expect("far below the limit");
            okm.fill(&mut out[..len]).expect("the length asked for");
            black_box(&out);
        }
    }

    /// One tag, made or checked.
    pub(crate) fn tag(&self) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.transcript[..32]);
        black_box(hmac::sign(&key, &self.transcript[..32]));
    }

    /// What both ends of one unsigned round do, in one call.
    pub(crate) fn sum(&self) {
        self.dh_generate();
        self.kem_generate();
        self.dh_generate();
        self.dh_agree();
        self.encapsulate();
        self.hash();
        self.derive();
        self.tag();
        self.dh_agree();
        self.decapsulate();
        self.hash();
        self.derive();
        self.tag();
        self.tag();
        self.tag();
    }

    /// Each by itself, with how often a round needs it.
    pub(crate) fn parts(&self) -> Vec<(u32, Body<'_>)> {
        vec![
            (2, Body::new("X25519 key generation", || self.dh_generate())),
            (2, Body::new("X25519 agreement", || self.dh_agree())),
            (1, Body::new("ML-KEM-768 key generation", || self.kem_generate())),
            (1, Body::new("ML-KEM-768 encapsulation", || self.encapsulate())),
            (1, Body::new("ML-KEM-768 decapsulation", || self.decapsulate())),
            (2, Body::new("SHA3-256 of the transcript", || self.hash())),
            (2, Body::new("HKDF: extract, seven expands", || self.derive())),
            (4, Body::new("HMAC tag", || self.tag())),
        ]
    }
}
