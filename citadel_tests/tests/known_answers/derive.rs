//! Wycheproof for X25519 and HKDF-SHA-256.

use crate::Tally;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoError, Native, kdf};
use citadel_tests::seeded::SeededProvider;
use wycheproof::{hkdf, xdh};

#[test]
fn x25519() {
    let mut tally = Tally::new("X25519");
    let mut refused = 0;
    for test in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups.iter().flat_map(|g| &g.tests) {
        let private: [u8; 32] = test.private_key[..].try_into().unwrap();
        let public: [u8; 32] = test.public_key[..].try_into().unwrap();
        let (native, native_public) = Native.dh_key(&Secret::copy_from(&private)).unwrap();
        let (pure, pure_public) = SeededProvider::dh_key(private);
        assert_eq!(native_public, pure_public, "{}", test.tc_id);
        for key in [native, pure] {
            let shared = key.agree(&public);
            if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
                assert_eq!(shared, Err(CryptoError::PeerValue), "{}", test.tc_id);
                refused += 1;
            } else {
                assert_eq!(shared.unwrap().expose()[..], test.shared_secret[..], "{}", test.tc_id);
            }
        }
        tally.ran += 1;
    }
    assert_eq!(refused, 2 * 31, "low-order points, on both backends");
    tally.is(518, 0, "");
}

#[test]
fn hkdf_sha_256() {
    let mut tally = Tally::new("HKDF-SHA-256");
    for test in
        hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups.iter().flat_map(|g| &g.tests)
    {
        if test.result.must_fail() {
            assert!(test.size > kdf::MAX_EXPAND_LEN, "{}", test.tc_id);
            tally.skipped += 1;
            continue;
        }
        let (half, rest) = test.ikm.split_at(test.ikm.len() / 2);
        let prk = kdf::extract(&test.salt, &[half, rest]);
        let mut okm = vec![0; test.size];
        kdf::expand(&prk, &[&test.info], &mut okm);
        assert_eq!(okm[..], test.okm[..], "{}", test.tc_id);
        tally.ran += 1;
    }
    tally.is(83, 3, "(longer than 255 blocks: misuse by contract, see the next test)");
}

#[test]
#[should_panic(expected = "at most 8160 bytes")]
fn hkdf_refuses_more_than_255_blocks() {
    kdf::expand(&Secret::zero(), &[], &mut [0; 8161]);
}
