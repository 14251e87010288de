//! The primitives that neither handshake can do without, on what a handshake gives them.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
};
use citadel_crypt::suite::{CryptoProvider, KemAlgorithm, Native};
use citadel_tests::measure::{Body, Turns, alternate};
use std::hint::black_box;
use std::time::Duration;

const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(100);
/// About as long as what ours signs.
const MESSAGE: [u8; 80] = [7; 80];
const ML_DSA_SIGNATURE_LEN: usize = 3_309;
/// What ours hashes with SHA-3 at both ends: flights, identities and signatures, each of them more than once.
const HASHED: [u8; 16 * 1024] = [7; 16 * 1024];

/// A primitive, and how often both ends together need it: in TLS, in ours.
struct Need {
    name: &'static str,
    tls: u32,
    ours: u32,
}

const NEEDS: [Need; 12] = [
    Need { name: "X25519 key generation", tls: 2, ours: 2 },
    Need { name: "X25519 agreement", tls: 2, ours: 2 },
    Need { name: "ML-KEM-768 key generation", tls: 1, ours: 1 },
    Need { name: "ML-KEM-768 encapsulation", tls: 1, ours: 1 },
    Need { name: "ML-KEM-768 decapsulation", tls: 1, ours: 1 },
    Need { name: "ECDSA P-256 signature", tls: 2, ours: 0 },
    // Of the certificate, and of the handshake by its key.
    Need { name: "ECDSA P-256 verification", tls: 4, ours: 0 },
    Need { name: "Ed25519 signature", tls: 0, ours: 2 },
    Need { name: "Ed25519 verification", tls: 0, ours: 2 },
    Need { name: "ML-DSA-65 signature", tls: 0, ours: 2 },
    Need { name: "ML-DSA-65 verification", tls: 0, ours: 2 },
    Need { name: "SHA3-256 of 16 KiB", tls: 0, ours: 4 },
];

fn agreements() -> Vec<Body<'static>> {
    let kem = KemAlgorithm::MlKem768;
    let (dh, share) = Native.dh_generate().expect("a key");
    let (secret, public) = Native.kem_generate(kem).expect("a key");
    let (ciphertext, _) = Native.kem_encapsulate(kem, &public).expect("a fresh key");
    vec![
        Body::new("X25519 key generation", || drop(black_box(Native.dh_generate()))),
        Body::new("X25519 agreement", move || drop(black_box(dh.agree(&share)))),
        Body::new("ML-KEM-768 key generation", move || drop(black_box(Native.kem_generate(kem)))),
        Body::new("ML-KEM-768 encapsulation", move || drop(black_box(Native.kem_encapsulate(kem, &public)))),
        Body::new("ML-KEM-768 decapsulation", move || drop(black_box(secret.decapsulate(&ciphertext)))),
    ]
}

fn signatures() -> Vec<Body<'static>> {
    let random = SystemRandom::new();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let p256_public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, p256.public_key().as_ref().to_vec());
    let p256_signature = p256.sign(&random, &MESSAGE).expect("a signature").as_ref().to_vec();
    let ed = Ed25519KeyPair::generate().expect("a key");
    let ed_public = UnparsedPublicKey::new(&ED25519, ed.public_key().as_ref().to_vec());
    let ed_signature = ed.sign(&MESSAGE).as_ref().to_vec();
    let ml = PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).expect("a key");
    let ml_public = UnparsedPublicKey::new(&ML_DSA_65, ml.public_key().as_ref().to_vec());
    let mut ml_signature = vec![0; ML_DSA_SIGNATURE_LEN];
    ml.sign(&MESSAGE, &mut ml_signature).expect("a signature");
    let mut out = vec![0; ML_DSA_SIGNATURE_LEN];
    vec![
        Body::new("ECDSA P-256 signature", move || {
            black_box(p256.sign(&random, &MESSAGE)).expect("a signature");
        }),
        Body::new("ECDSA P-256 verification", move || {
            p256_public.verify(&MESSAGE, &p256_signature).expect("it is right");
        }),
        Body::new("Ed25519 signature", move || {
            black_box(ed.sign(&MESSAGE));
        }),
        Body::new("Ed25519 verification", move || {
            ed_public.verify(&MESSAGE, &ed_signature).expect("it is right")
        }),
        Body::new("ML-DSA-65 signature", move || {
            ml.sign(&MESSAGE, &mut out).expect("a signature");
        }),
        Body::new("ML-DSA-65 verification", move || {
            ml_public.verify(&MESSAGE, &ml_signature).expect("it is right")
        }),
    ]
}

/// Microseconds of what both ends need.
fn sum(turns: &Turns, times: impl Fn(&Need) -> u32) -> f64 {
    NEEDS.iter().map(|need| turns.nanos(need.name) * f64::from(times(need))).sum::<f64>() / 1e3
}

/// Prints each, and what they come to.
pub(crate) fn print() {
    let mut bodies = agreements();
    bodies.extend(signatures());
    bodies.push(Body::new("SHA3-256 of 16 KiB", || {
        black_box(digest::digest(&digest::SHA3_256, &HASHED));
    }));
    let turns = alternate(TURNS, TURN, bodies);
    println!("\nprimitives, and how often both ends need them: in TLS, in ours");
    for need in &NEEDS {
        let Need { name, tls, ours } = need;
        println!("{name:<32} {:>8.1} µs   {tls} {ours}", turns.nanos(name) / 1e3);
    }
    println!("their sum: TLS {:.1} µs, ours {:.1} µs", sum(&turns, |it| it.tls), sum(&turns, |it| it.ours));
}
