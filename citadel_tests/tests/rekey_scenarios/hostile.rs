//! 14d: signatures, stolen keys, readers that never read.

use super::{A, B, ms};
use citadel_crypt::ratchets::rekey::{
    Attempt, Body, CancelReason, Fatal, Header, Input, Message, MessageKind, Phase, Reauth, RoundId, Version,
};
use citadel_tests::rekey_world::{CallError, Fate, Setup, World};
use core::time::Duration;

const SIGNED: Setup =
    Setup { reauth: Some(Reauth { interval: Duration::from_secs(3600), rounds: 5 }), ..Setup::RELIABLE };

// 14d
#[test]
fn a_reader_that_never_reads_delays_none_of_a_thousand_rounds() {
    let mut world = World::new(Setup::RELIABLE);
    for side in [A, B] {
        world.end_mut(side).data_blocked = true;
        world.send(side, 1000);
    }
    for round in 1..=1000 {
        let calls = [world.call(A), world.call(B)];
        world.run(ms(50));
        for (side, call) in [A, B].into_iter().zip(calls) {
            assert!(world.end(side).result(call).is_some_and(|r| r.is_ok()), "round {round}");
        }
    }
    assert!(world.end(A).machine().latest() >= Version(1000));
    assert_eq!(world.end(A).waiting_data(), 1000);
    world.finish();
}

#[test]
fn signed_rounds_come_by_themselves_and_count_on_both_ends() {
    let mut world = World::new(SIGNED);
    for _ in 0..60 {
        world.call(A);
        world.call(B);
        world.settle();
    }
    let signed: Vec<u64> = world.end(A).history.iter().filter(|o| o.signed).map(|o| o.version.0).collect();
    assert!(signed.windows(2).all(|w| w[1] - w[0] == 6), "every sixth: {signed:?}");
    assert!(signed.len() >= 10);
    world.finish();
}

#[test]
fn a_resumed_path_is_followed_by_a_signed_round_in_every_phase() {
    for at in 0..25 {
        let mut world = World::new(Setup { reauth: Some(Reauth::default()), ..Setup::RELIABLE });
        world.call(A);
        world.call(B);
        world.run(ms(at));
        world.replace_path(true);
        world.settle();
        let history = &world.end(A).history;
        assert!(history.iter().any(|o| o.signed), "at {at} ms: {history:?}");
        for side in [A, B] {
            assert!(!world.end(side).machine().view().signed_due);
            assert!(world.end(side).calls.iter().all(|c| c.result.is_some_and(|r| r.is_ok())));
        }
        world.finish();
    }
}

#[test]
fn a_day_without_triggers_renews_and_signs_every_hour() {
    let mut world = World::new(Setup { reauth: Some(Reauth::default()), ..Setup::RELIABLE });
    for _ in 0..24 * 60 {
        world.run(Duration::from_secs(60));
    }
    let history = &world.end(B).history;
    assert!(history.iter().all(|o| o.signed));
    assert!((22..=24).contains(&history.len()), "{}", history.len());
    world.finish();
}

/// The highest number that the wire lets through.
const HIGHEST: Attempt = Attempt(u64::MAX - 1);

// 14d: stolen receive keys of an old version open on this side; the machine is told so.
#[test]
fn a_message_with_floor_max_under_an_expired_version_has_no_effect() {
    let mut world = World::new(Setup::RELIABLE);
    for _ in 0..3 {
        world.call(A);
        // Long enough for the round, too short for the drain after it: version 2 is still readable.
        world.run(ms(40));
    }
    assert!(world.end(A).machine().earliest() < Version(3));
    world.call(B);
    world.run_until(|w| matches!(w.end(A).machine().view().phase, Phase::Answered { .. }));
    let before = world.end(A).machine().view();
    let Phase::Answered { round, .. } = before.phase else { panic!("just reached") };
    for under in 0..3 {
        for named in [round, RoundId { attempt: HIGHEST, ..round }] {
            let header = Header {
                round: named,
                floor: HIGHEST,
                latest: Version(u64::MAX),
                earliest: Version(u64::MAX),
            };
            let body = Body::Cancel { reason: CancelReason::Withdrawn };
            let message = Message { header, body };
            world.input(A, Input::Message { under: Version(under), message });
            assert_eq!(world.end(A).machine().view(), before);
        }
    }
    world.finish();
}

/// `B` has every key of the session, but not the identity that `A` knows it by.
const IMPOSTOR: Setup = Setup { impostor: Some(B), ..SIGNED };

#[test]
fn a_signed_offer_by_one_who_has_no_identity_key_is_refused_and_its_data_commits_nothing() {
    let mut world = World::new(IMPOSTOR);
    world.network.set_script(|sent| match sent.kind {
        Some(MessageKind::Finish) => Fate::Drop,
        _ => Fate::Deliver,
    });
    world.demand_signatures(B);
    world.send(B, 3);
    world.run(ms(200));
    assert!(world.end(A).history.is_empty() && world.end(B).history.is_empty());
    assert_eq!(world.end(A).machine().stats().answered, 0, "no candidate was ever derived");
    world.finish_closed(A, Fatal::AuthFailed);
}

#[test]
fn a_signed_offer_answered_by_one_who_has_no_identity_key_is_refused_before_the_commit() {
    let mut world = World::new(IMPOSTOR);
    world.demand_signatures(A);
    let call = world.call(A);
    world.send(B, 3);
    world.run(ms(200));
    assert!(world.end(A).history.is_empty() && world.end(B).history.is_empty());
    assert_eq!(world.end(A).result(call), Some(Err(CallError::Closed(Fatal::AuthFailed))));
    world.finish_closed(A, Fatal::AuthFailed);
}

#[test]
fn one_who_has_no_identity_key_cannot_put_off_the_signed_round() {
    let mut world = World::new(IMPOSTOR);
    for _ in 0..5 {
        world.call(B);
        world.run(ms(100));
    }
    // The fifth unsigned round makes a signed one due at both ends; whoever offers it, it fails.
    assert_eq!(world.end(A).history.len(), 5);
    world.finish_closed(A, Fatal::AuthFailed);
}

#[test]
fn a_peer_that_never_answers_signed_offers_is_left_at_twice_the_interval() {
    let reauth = Some(Reauth { interval: Duration::from_secs(100), rounds: 1000 });
    let mut world = World::new(Setup { reauth, ..Setup::RELIABLE });
    world.network.set_script(|sent| match sent.from {
        B => Fate::Drop,
        A => Fate::Deliver,
    });
    world.suspend(B);
    world.run(Duration::from_secs(99));
    for _ in 0..101 {
        assert_eq!(world.end(A).closed, None);
        world.run(Duration::from_secs(1));
    }
    world.finish_closed(A, Fatal::ReauthOverdue);
}
