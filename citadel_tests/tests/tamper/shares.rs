//! Key shares that break the agreement when they are taken: low-order points, malformed ML-KEM keys and ciphertexts.

use citadel_crypt::handshake::{FlightKind, HandshakeError, Hello, HelloReply, RefusalCode};
use citadel_crypt::suite::{AeadAlgorithm, KemAlgorithm, Suite};
use citadel_tests::tamper::{Cast, Ends, Scene};
use rstest::rstest;

const PLAIN: Cast = Cast { suite: Suite::DEFAULT, psk: false, retry: false };

/// Encodings of the points of order 1, 2, 4 and 8 on Curve25519 and its twist, the non-canonical ones too.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn point(hex: &str) -> [u8; 32] {
    core::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

fn hello_with(scene: &Scene, change: impl FnOnce(&mut Hello)) -> Ends {
    let mut hello = Hello::parse(&scene.flights[0].1).unwrap();
    change(&mut hello);
    scene.judge(0, &hello.encode()).unwrap()
}

fn assert_share_refused(ends: &Ends) {
    assert_eq!(ends.server_error(), Some(HandshakeError::KeyShare));
    let code = RefusalCode::KEY_SHARE;
    assert_eq!(
        ends.client_error(),
        Some(HandshakeError::Refused { code, authenticated: false, retry_after: None })
    );
}

#[test]
fn a_low_order_share_is_refused_by_either_end() {
    let scene = Scene::record(PLAIN);
    for (hex, high_bit) in LOW_ORDER.iter().flat_map(|hex| [(hex, 0), (hex, 0x80)]) {
        let mut share = point(hex);
        share[31] |= high_bit;
        assert_share_refused(&hello_with(&scene, |hello| hello.share = share));
        let mut reply = HelloReply::parse(&scene.flights[1].1).unwrap();
        reply.share = share;
        let ends = scene.judge(1, &reply.encode()).unwrap();
        assert_eq!(ends.client_error(), Some(HandshakeError::KeyShare), "{hex}");
    }
}

#[rstest]
#[case(KemAlgorithm::MlKem768, 3)]
#[case(KemAlgorithm::MlKem1024, 4)]
fn a_coefficient_that_is_not_below_q_is_refused(#[case] kem: KemAlgorithm, #[case] k: usize) {
    let suite = Suite::new(kem, AeadAlgorithm::Aes256Gcm);
    let scene = Scene::record(Cast { suite, ..PLAIN });
    let groups = k * 256 * 12 / 8 / 3;
    for group in [0, 1, groups / 2, groups - 1] {
        for value in [3329u16, 4095] {
            for odd in [false, true] {
                let ends = hello_with(&scene, |hello| {
                    let bytes = &mut hello.kem_key[3 * group..3 * group + 3];
                    if odd {
                        bytes[1] = bytes[1] & 0x0f | (value << 4) as u8;
                        bytes[2] = (value >> 4) as u8;
                    } else {
                        bytes[0] = value as u8;
                        bytes[1] = bytes[1] & 0xf0 | (value >> 8) as u8;
                    }
                });
                assert_share_refused(&ends);
            }
        }
    }
}

#[test]
fn a_kem_key_of_another_length_is_refused() {
    let scene = Scene::record(PLAIN);
    for len in [0, 1, 1183, 1185, 1568, 2048] {
        let ends = hello_with(&scene, |hello| hello.kem_key.resize(len, 0));
        assert_eq!(ends.server_error(), Some(HandshakeError::Malformed(FlightKind::Hello)), "{len} bytes");
    }
}

#[test]
fn a_ciphertext_of_another_length_is_refused() {
    let scene = Scene::record(PLAIN);
    for len in [0, 1, 1087, 1089, 1568, 2048] {
        let mut reply = HelloReply::parse(&scene.flights[1].1).unwrap();
        reply.ciphertext.resize(len, 0);
        let ends = scene.judge(1, &reply.encode()).unwrap();
        assert_eq!(ends.client_error(), Some(HandshakeError::KeyShare), "{len} bytes");
    }
}
