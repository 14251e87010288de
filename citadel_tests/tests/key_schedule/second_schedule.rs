//! Rounds of the real thing followed by the schedule written by hand: tags, fingerprints, exports and records agree.

use super::by_hand::{self, Version};
use super::session::{HS, Round, SESSION_ID, TH_0, pair, round};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::ratchets::{PathId, rekey};
use citadel_crypt::suite::Suite;
use rstest::rstest;

const PATH: PathId = PathId::FIRST;
// Where things stand on the wire, written again.
const HEADER: usize = 8 + 1 + 8 + 8 + 8 + 8 + 4;
const OFFER_SHARE: usize = HEADER + 2 + 1;
const KEM_KEY: usize = OFFER_SHARE + 32 + 8;
const CIPHERTEXT: usize = HEADER + 32 + 8;
const CONFIRM_B: usize = CIPHERTEXT + 1088;

/// The version that `messages` lead to, after one with this root and transcript.
fn follow(messages: &Round, shared: &[[u8; 32]], number: u64, root: &[u8; 32], th: &[u8; 32]) -> Version {
    let Round { offer, answer, .. } = messages;
    let name = &offer[..17];
    let th = by_hand::transcript(&[
        b"citadel/1 rekey th",
        &SESSION_ID,
        th,
        &[1, 1],
        &offer[HEADER + 2..HEADER + 3],
        name,
        &offer[OFFER_SHARE..OFFER_SHARE + 32],
        &offer[KEM_KEY..KEM_KEY + 1184],
        &answer[HEADER..HEADER + 32],
        &answer[CIPHERTEXT..CIPHERTEXT + 1088],
    ]);
    // The leader agreed by X25519 first, then decapsulated; ML-KEM's secret goes first into Extract.
    let [x25519, mlkem] = shared.last_chunk().unwrap();
    let prk = by_hand::extract(root, &[*mlkem, *x25519].concat());
    Version { prk, suite: 0x0101, number, th }
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn every_version_is_what_its_description_says(#[case] mode: SecrecyMode) {
    let mut ends = pair(Suite::DEFAULT, mode, true);
    let mut version = Version { prk: HS, suite: 0x0101, number: 0, th: TH_0 };
    let resumption: [u8; 32] = version.secret("citadel/1 resumption");
    assert_eq!(ends[0].tools.resumption_key().expose(), &resumption);
    for number in 0..4_u64 {
        if number > 0 {
            let leader = (number % 2) as usize;
            let messages = round(&mut ends, leader, number == 3);
            let root = version.secret("citadel/1 root");
            version = follow(&messages, &ends[leader].shared.lock(), number, &root, &version.th);
            let tag = |label| by_hand::hmac(&version.secret(label), &version.th);
            assert_eq!(messages.answer[CONFIRM_B..CONFIRM_B + 32], tag("citadel/1 confirm b"));
            assert_eq!(messages.finish[HEADER..HEADER + 32], tag("citadel/1 confirm a"));
        }
        let at = rekey::Version(number);
        for end in &mut ends {
            assert_eq!(end.tools.fingerprint(at), Some(version.secret("citadel/1 fingerprint")));
            let mut exported = [0; 32];
            end.tools.export_at(at, "label", b"context", &mut exported).unwrap();
            assert_eq!(exported, version.exported("label", b"context"));
        }
        for (end, name) in ends.iter_mut().zip(["initiator", "responder"]) {
            let records: Vec<_> = (0..70_u8).map(|text| end.seal(PATH, &[text])).collect();
            check_records(mode, &version, name, &records);
        }
    }
}

fn check_records(mode: SecrecyMode, version: &Version, side: &str, records: &[Vec<u8>]) {
    let (mut key, iv, mut seed);
    match mode {
        BestEffort => {
            (key, iv) = by_hand::path_secrets(&version.secret(&format!("citadel/1 traffic {side}")), 0);
            seed = [0; 32];
        }
        Perfect => {
            let chain = version.secret(&format!("citadel/1 chain {side}"));
            (seed, iv) = by_hand::path_secrets(&by_hand::seed_of_path_0(&chain), 0);
            key = [0; 32];
        }
    }
    let mut keys = Vec::new();
    for (counter, record) in records.iter().enumerate() {
        if mode == Perfect {
            if counter % 32 == 0 {
                keys = by_hand::block(&seed);
                seed = keys.remove(0);
            }
            key = keys[counter % 32];
        }
        let text = by_hand::open(&key, &iv, counter as u64, b"aad", record);
        assert_eq!(text, Some(vec![counter as u8]), "record {counter} of the {side}");
    }
}
