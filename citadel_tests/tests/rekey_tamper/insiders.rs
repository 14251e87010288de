//! What only a peer with the session's keys can send: stripped signatures, another suite, malformed shares and keys.

use super::stage::{End, Stage, Step};
use citadel_crypt::identity::{HybridSignature, Identity};
use citadel_crypt::labels;
use citadel_crypt::ratchets::rekey::{Fatal, Lifecycle, MessageKind, Side, Verdict, Version, Violation};

// Where things stand, written again.
const SUITE: usize = 45;
const SIGNED: usize = 47;
const OFFER_SHARE: usize = 48;
const KEM_KEY: usize = OFFER_SHARE + 32 + 8;
const OFFER_SIGNATURE: usize = KEM_KEY + 1184;
const ANSWER_SHARE: usize = 45;
const ANSWER_SIGNATURE: usize = ANSWER_SHARE + 32 + 8 + 1088 + 32;

fn refused(mut end: End, under: Version, bytes: &[u8], fatal: Fatal) {
    assert_eq!(end.receive(under, bytes), Some(Verdict::Closed(fatal)));
    assert_eq!(end.view().lifecycle, Lifecycle::Closed(fatal));
    assert!(end.committed.is_empty());
}

/// The message without the signature that starts at `at`.
fn strip(bytes: &[u8], at: usize) -> Vec<u8> {
    assert_eq!(bytes[at], 1);
    let mut stripped = bytes[..at].to_vec();
    stripped.push(0);
    assert_eq!(bytes.len(), at + 1 + 8 + HybridSignature::LEN);
    stripped
}

#[test]
fn a_stripped_signature_is_refused_on_both_ends() {
    let stage = Stage::new(true);
    let (under, offer) = stage.message(Step::Offer);
    let stripped = strip(offer, OFFER_SIGNATURE);
    refused(stage.receiver(Step::Offer), under, &stripped, Fatal::AuthFailed);
    let mut unflagged = offer.to_vec();
    unflagged[SIGNED] = 0;
    refused(stage.receiver(Step::Offer), under, &unflagged, Fatal::AuthFailed);
    let (under, answer) = stage.message(Step::Answer);
    refused(stage.receiver(Step::Answer), under, &strip(answer, ANSWER_SIGNATURE), Fatal::AuthFailed);
}

#[test]
fn a_signed_offer_made_an_unsigned_one_is_answered_and_the_answer_refused() {
    let stage = Stage::new(true);
    let (under, offer) = stage.message(Step::Offer);
    let mut unsigned = strip(offer, OFFER_SIGNATURE);
    unsigned[SIGNED] = 0;
    let mut loser = stage.receiver(Step::Offer);
    assert_eq!(loser.receive(under, &unsigned), Some(Verdict::Done));
    let (under, answer) = loser.last_sent(MessageKind::BobToAlice);
    refused(stage.leader(), under, &answer, Fatal::AuthFailed);
}

#[test]
fn a_signature_of_another_identity_or_another_use_is_refused() {
    let stage = Stage::new(true);
    let (under, offer) = stage.message(Step::Offer);
    let stranger = Identity::generate();
    let signature = stranger.sign(labels::REKEY_OFFER, &[b"anything"]).unwrap();
    let mut forged = offer.to_vec();
    forged[OFFER_SIGNATURE + 9..].copy_from_slice(signature.as_bytes());
    refused(stage.receiver(Step::Offer), under, &forged, Fatal::AuthFailed);
    let (under, answer) = stage.message(Step::Answer);
    let mut reflected = answer.to_vec();
    reflected[ANSWER_SIGNATURE + 9..].copy_from_slice(&offer[OFFER_SIGNATURE + 9..]);
    refused(stage.receiver(Step::Answer), under, &reflected, Fatal::AuthFailed);
}

#[test]
fn another_suite_is_a_violation() {
    for signed in [false, true] {
        let stage = Stage::new(signed);
        let (under, offer) = stage.message(Step::Offer);
        for suite in [0_u16, 0x0102, 0x0201, 0xffff] {
            let mut swapped = offer.to_vec();
            swapped[SUITE..SUITE + 2].copy_from_slice(&suite.to_le_bytes());
            let fatal = Fatal::ProtocolViolation(Violation::WrongSuite);
            refused(stage.receiver(Step::Offer), under, &swapped, fatal);
        }
    }
}

#[test]
fn low_order_shares_and_malformed_kem_keys_are_refused() {
    let stage = Stage::new(false);
    let (under, offer) = stage.message(Step::Offer);
    for low_order in [0, 1] {
        let mut changed = offer.to_vec();
        changed[OFFER_SHARE..OFFER_SHARE + 32].fill(0);
        changed[OFFER_SHARE] = low_order;
        refused(stage.receiver(Step::Offer), under, &changed, Fatal::KeyMismatch);
        let (under, answer) = stage.message(Step::Answer);
        let mut changed = answer.to_vec();
        changed[ANSWER_SHARE..ANSWER_SHARE + 32].fill(0);
        changed[ANSWER_SHARE] = low_order;
        refused(stage.receiver(Step::Answer), under, &changed, Fatal::KeyMismatch);
    }
    // A coefficient of 4,095 is not reduced modulo 3,329 (FIPS 203, 7.2).
    for coefficients in [0, 384, 1149] {
        let mut changed = offer.to_vec();
        changed[KEM_KEY + coefficients..KEM_KEY + coefficients + 3].fill(0xff);
        refused(stage.receiver(Step::Offer), under, &changed, Fatal::KeyMismatch);
    }
}

#[test]
fn a_message_back_at_its_sender_is_a_violation() {
    let stage = Stage::new(false);
    let (under, offer) = stage.message(Step::Offer);
    refused(stage.leader(), under, offer, Fatal::ProtocolViolation(Violation::WrongSide));
    let (under, answer) = stage.message(Step::Answer);
    let fatal = Fatal::ProtocolViolation(Violation::WrongSide);
    refused(stage.receiver(Step::Finish), under, answer, fatal);
    assert!(End::new(Side::Initiator).committed.is_empty());
}
