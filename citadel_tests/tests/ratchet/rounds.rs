//! Rounds, versions, the window.

use super::support::{pair, round};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::ratchets::rekey::{AgreementError, Attempt, KeyAgreement, RoundId, Side, Version};
use citadel_crypt::ratchets::{ExportError, OpenError, PathId};
use citadel_crypt::suite::Suite;
use rstest::rstest;

const PATH: PathId = PathId::FIRST;

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn every_suite_agrees_at_every_version(#[case] mode: SecrecyMode) {
    for suite in Suite::all() {
        let (mut a, mut b) = pair(*suite, mode);
        for version in 0..4_u64 {
            assert_eq!(a.tools.fingerprint(Version(version)), b.tools.fingerprint(Version(version)));
            let (there, back) = (a.seal(PATH, b"there"), b.seal(PATH, b"back"));
            assert_eq!(there.version, Version(version));
            assert_eq!(
                a.open(&there),
                Err(OpenError::NotAuthentic),
                "{suite}: a record opens at its own sender"
            );
            assert_eq!(b.open_next(&there).unwrap(), b"there");
            assert_eq!(a.open_next(&back).unwrap(), b"back");
            let signed = version % 2 == 0;
            if version % 2 == 0 { round(&mut a, &mut b, signed) } else { round(&mut b, &mut a, signed) }
        }
    }
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn the_window_opens_what_it_holds_and_nothing_older(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let mut records = vec![a.seal(PATH, b"0")];
    for text in [b"1", b"2", b"3", b"4"] {
        round(&mut a, &mut b, false);
        records.push(a.seal(PATH, text));
    }
    assert_eq!((b.tools.earliest(), b.tools.latest()), (Version(1), Version(4)));
    assert_eq!(b.open(&records[0]), Err(OpenError::NoVersion(Version(0))));
    assert!(records[1..].iter().rev().all(|record| b.open(record).is_ok()));
    b.tools.evict(Version(3));
    assert_eq!(b.open(&records[2]), Err(OpenError::NoVersion(Version(2))));
    b.tools.evict(Version(9));
    assert_eq!((b.tools.earliest(), b.tools.latest()), (Version(4), Version(4)));
    assert_eq!(b.tools.fingerprint(Version(5)), None);
}

#[test]
fn version_0_exports_for_ever_and_others_while_they_last() {
    let (mut a, mut b) = pair(Suite::DEFAULT, BestEffort);
    let export = |end: &super::support::End, label, context: &[u8]| {
        let mut out = [0; 40];
        end.tools.export(label, context, &mut out).unwrap();
        out
    };
    let first = export(&a, "label", b"context");
    for _ in 0..5 {
        round(&mut b, &mut a, false);
    }
    assert_eq!(first, export(&b, "label", b"context"));
    assert_ne!(first, export(&b, "labelc", b"ontext"));
    let (mut x, mut y) = ([0; 40], [0; 40]);
    a.tools.export_at(Version(5), "label", b"context", &mut x).unwrap();
    b.tools.export_at(Version(5), "label", b"context", &mut y).unwrap();
    assert_eq!(x, y);
    assert_ne!(x, first);
    for gone in [Version(0), Version(1), Version(6)] {
        let error = a.tools.export_at(gone, "label", b"context", &mut x).unwrap_err();
        assert_eq!(error, ExportError::OutsideWindow(gone));
    }
    assert_eq!(a.tools.export("label", b"", &mut vec![0; 255 * 32 + 1]), Err(ExportError::TooLong));
    let mut short = [0; 8];
    a.tools.export("label", b"context", &mut short).unwrap();
    assert_ne!(short, first[..8], "another length is another value");
    assert_eq!(a.tools.resumption_key(), b.tools.resumption_key());
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn a_candidate_opens_records_and_goes_on_after_its_commit(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let id = RoundId { version: Version(1), side: Side::Initiator, attempt: Attempt(1) };
    let (secret, offer) = a.agreement.offer(id, false).unwrap();
    let (mut candidate, answer) = b.agreement.answer(id, false, &offer).unwrap();
    let (own, _tag) = a.agreement.complete(secret, id, false, &offer, &answer).unwrap();
    let ratchet = a.agreement.commit(own, Side::Initiator);
    a.tools.commit(ratchet, Version(0));
    let (one, two) = (a.seal(PATH, b"one"), a.seal(PATH, b"two"));

    let mut forged = one.body.clone();
    forged[0] ^= 1;
    let opened = candidate.ratchet_mut().open(PATH, None, b"aad", &mut forged);
    assert_eq!(opened, Err(OpenError::NotAuthentic));
    let mut body = one.body.clone();
    assert_eq!(candidate.ratchet_mut().open(PATH, None, b"aad", &mut body), Ok(3));
    let ratchet = b.agreement.commit(candidate, Side::Responder);
    b.tools.commit(ratchet, Version(0));
    assert_eq!(b.open(&one), Err(OpenError::Replayed));
    assert_eq!(b.open_next(&two).unwrap(), b"two");
}

#[test]
fn offers_and_answers_that_fail_a_check_are_typed() {
    let (mut a, mut b) = pair(Suite::DEFAULT, BestEffort);
    let id = RoundId { version: Version(1), side: Side::Initiator, attempt: Attempt(1) };
    for signed in [false, true] {
        let (secret, offer) = a.agreement.offer(id, signed).unwrap();
        assert_eq!(b.agreement.answer(id, !signed, &offer).err(), Some(AgreementError::AuthFailed));
        let (_, answer) = b.agreement.answer(id, signed, &offer).unwrap();
        let stripped = a.agreement.complete(secret, id, !signed, &offer, &answer);
        assert_eq!(stripped.err(), Some(AgreementError::AuthFailed));
    }
    let other = RoundId { attempt: Attempt(2), ..id };
    let (secret, offer) = a.agreement.offer(id, true).unwrap();
    assert_eq!(b.agreement.answer(other, true, &offer).err(), Some(AgreementError::AuthFailed));
    let (_, answer) = b.agreement.answer(id, true, &offer).unwrap();
    let moved = a.agreement.complete(secret, other, true, &offer, &answer);
    assert_eq!(moved.err(), Some(AgreementError::AuthFailed));
    let (secret, offer) = a.agreement.offer(id, false).unwrap();
    let (_, answer) = b.agreement.answer(id, false, &offer).unwrap();
    let moved = a.agreement.complete(secret, other, false, &offer, &answer);
    assert_eq!(moved.err(), Some(AgreementError::KeyMismatch), "the tag covers the round's name");
}
