//! An authenticated peer that breaks the rules, and a stranger with keys of an old version.

use super::bench::{End, SUITE, config, id, letter, line, pair, place, round};
use super::stand_in::{Answer, Arithmetic, Offer};
use crate::ratchets::rekey::{
    Attempt, Body, CancelReason, Fatal, Ignored, Input, Lifecycle, Message, Phase, Reauth, RekeyConfig, Side,
    Verdict, Version, Violation,
};
use core::time::Duration;

const ME: Side = Side::Initiator;
const PEER: Side = Side::Responder;

fn offer(version: u64, attempt: u64, signed: bool) -> super::bench::Letter {
    let signature = signed.then_some(attempt);
    let body = Body::AliceToBob { suite: SUITE, signed, offer: Offer { share: attempt, signature } };
    letter(version - 1, id(version, PEER, attempt), attempt - 1, body)
}

fn closes_with(verdict: Verdict, end: &mut End, fatal: Fatal) {
    assert_eq!(verdict, Verdict::Closed(fatal));
    assert_eq!(end.machine.view().lifecycle, Lifecycle::Closed(fatal));
    assert_eq!(end.log.last().map(String::as_str), Some("CLOSE"));
    assert_eq!(end.machine.poll_timeout(), None);
    let silent = [Input::Trigger, Input::Halt, Input::Timeout, Input::Record { under: Version(0) }];
    for input in silent {
        assert_eq!(end.step(input), Verdict::Closed(fatal));
        assert!(end.log.is_empty());
    }
}

#[test]
fn offers_that_replace_each_other_cost_tokens_and_the_newest_is_held() {
    let (mut me, _) = pair(ME);
    // The first is free, then a burst of 16.
    for attempt in 1..=17 {
        me.take(offer(1, attempt, false));
        assert_eq!(me.sent.len(), 1, "attempt {attempt}");
        assert_eq!(me.machine.view().phase, Phase::Answered { round: id(1, PEER, attempt), signed: false });
    }
    assert_eq!(line(me.take(offer(1, 18, false)), &me), "done > Idle+held +cancelled:Superseded");
    assert_eq!(line(me.take(offer(1, 20, false)), &me), "done > Idle+held");
    assert_eq!(line(me.take(offer(1, 19, false)), &me), "ignored Stale > Idle+held");
    me.pass(Duration::from_millis(124));
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Idle+held");
    me.pass(Duration::from_millis(1));
    assert_eq!(me.machine.poll_timeout().map(|(at, _)| at), Some(me.now));
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Answered BobToAlice +started");
    assert_eq!(me.machine.view().phase, Phase::Answered { round: id(1, PEER, 20), signed: false });
}

#[test]
fn a_commit_gives_the_tokens_back() {
    let (mut me, _) = pair(ME);
    for attempt in 1..=17 {
        me.take(offer(1, attempt, false));
    }
    me.step(Input::Record { under: Version(1) });
    assert_eq!(me.machine.latest(), Version(1));
    for attempt in 18..=34 {
        me.take(offer(2, attempt, false));
        assert_eq!(place(&me.machine), "Answered", "attempt {attempt}");
    }
    me.take(offer(2, 35, false));
    assert_eq!(place(&me.machine), "Idle+held");
}

#[test]
fn signed_offers_have_a_bucket_of_their_own() {
    let identities = RekeyConfig { reauth: Some(Reauth::default()), ..config(ME) };
    let mut me = End::new(identities);
    for attempt in 1..=5 {
        me.take(offer(1, attempt, true));
        assert_eq!(place(&me.machine), "Answered", "attempt {attempt}");
    }
    me.take(offer(1, 6, true));
    assert_eq!(place(&me.machine), "Idle+held");
    me.pass(Duration::from_secs(59));
    me.step(Input::Timeout);
    assert_eq!(place(&me.machine), "Idle+held");
    me.pass(Duration::from_secs(1));
    me.step(Input::Timeout);
    assert_eq!(place(&me.machine), "Answered");
}

#[test]
fn an_own_offer_that_wins_does_not_wait_for_the_peers_token() {
    let (mut me, _) = pair(PEER.peer());
    // Version 1 is the responder's: the initiator waits with it. Version 2 is the initiator's.
    me.take(offer(1, 1, false));
    me.step(Input::Record { under: Version(1) });
    for attempt in 2..=19 {
        me.take(offer(2, attempt, false));
    }
    assert_eq!(place(&me.machine), "Idle+held");
    assert_eq!(line(me.step(Input::Trigger), &me), "wait 2 > Offered AliceToBob +started");
}

#[test]
fn a_lost_tie_without_a_token_yields_when_one_comes() {
    let (mut me, _) = pair(ME);
    for attempt in 1..=17 {
        me.take(offer(1, attempt, false));
    }
    let dead = Body::Cancel { reason: CancelReason::Withdrawn };
    me.take(letter(0, id(1, PEER, 17), 17, dead));
    me.step(Input::Trigger);
    assert_eq!(place(&me.machine), "Offered");
    assert_eq!(line(me.take(offer(1, 18, false)), &me), "done > Offered");
    assert_eq!(line(me.take(offer(1, 19, false)), &me), "done > Offered");
    assert_eq!(me.machine.view().yields_to, Some(id(1, PEER, 19)));
    me.pass(Duration::from_millis(124));
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Offered");
    me.pass(Duration::from_millis(1));
    assert_eq!(me.machine.poll_timeout().map(|(at, _)| at), Some(me.now));
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Answered +cancelled:Yielded BobToAlice +started");
    assert_eq!(me.machine.view().phase, Phase::Answered { round: id(1, PEER, 19), signed: false });
    assert_eq!(me.machine.view().want, Some(Version(1)));
}

#[test]
fn fix_0007_offers_that_are_cancelled_again_cost_no_more_key_agreements_than_tokens() {
    let (mut me, _) = pair(ME);
    me.step(Input::Trigger);
    for attempt in 1..=100 {
        me.take(offer(1, attempt, false));
        let dead = Body::Cancel { reason: CancelReason::Withdrawn };
        me.take(letter(0, id(1, PEER, attempt), attempt, dead));
    }
    // The first answer is free, 16 cost a token; each of them took an own offer's place.
    let stats = me.machine.stats();
    assert_eq!((stats.answered, stats.offered), (17, 18));
    assert_eq!(place(&me.machine), "Offered");
}

#[test]
fn an_offer_that_waits_for_a_token_goes_with_a_withdrawn_round_but_not_with_a_halted_one() {
    for (input, after) in [(Input::Withdraw, "Withdrawing+held"), (Input::Halt, "Withdrawing/Halting")] {
        let (mut me, _) = pair(ME);
        for attempt in 1..=17 {
            me.take(offer(1, attempt, false));
        }
        let dead = Body::Cancel { reason: CancelReason::Withdrawn };
        me.take(letter(0, id(1, PEER, 17), 17, dead));
        me.step(Input::Trigger);
        me.take(offer(1, 18, false));
        me.step(input);
        assert_eq!(place(&me.machine), after);
    }
}

#[test]
fn floor_max_under_an_expired_version_has_no_effect() {
    let (mut me, mut peer) = pair(ME);
    round(&mut me, &mut peer);
    round(&mut peer, &mut me);
    peer.step(Input::Trigger);
    me.take(peer.letter());
    let before = me.machine.view();
    for under in [0, 1] {
        for body in [
            Body::Cancel { reason: CancelReason::Withdrawn },
            Body::CancelAck,
            Body::LeaderCanFinish,
            Body::LoserCanFinish { tag: 3 },
            Body::BobToAlice { answer: Answer { share: 1, confirm: 2, signature: None } },
            Body::AliceToBob { suite: 1, signed: false, offer: Offer { share: 1, signature: None } },
        ] {
            for side in [ME, PEER] {
                for version in 0..=4 {
                    let forged = letter(under, id(version, side, u64::MAX), u64::MAX, body.clone());
                    me.take(forged);
                    assert_eq!(
                        me.machine.view(),
                        before,
                        "{under} {body:?} {side:?} {version}",
                        body = tag(&body)
                    );
                }
            }
        }
    }
    me.step(Input::PathReplaced { reauthenticate: false });
    peer.take(me.letter());
    me.take(peer.letter());
    assert_eq!(me.machine.latest(), Version(3));
}

fn tag(body: &Body<Arithmetic>) -> &'static str {
    match body {
        Body::AliceToBob { .. } => "AliceToBob",
        Body::BobToAlice { .. } => "BobToAlice",
        _ => "other",
    }
}

#[test]
fn wrong_side_suite_or_floor_under_the_latest_keys_closes() {
    let good = Body::AliceToBob { suite: SUITE, signed: false, offer: Offer { share: 1, signature: None } };
    let cases = [
        (letter(0, id(1, ME, 1), 0, good.clone()), Violation::WrongSide),
        (letter(0, id(1, PEER, 1), 0, Body::LeaderCanFinish), Violation::WrongSide),
        (letter(0, id(1, PEER, 1), 0, Body::CancelAck), Violation::WrongSide),
        (letter(0, id(1, ME, 1), 0, Body::Cancel { reason: CancelReason::Unknown }), Violation::WrongSide),
        (letter(0, id(0, ME, 1), 0, Body::LoserCanFinish { tag: 0 }), Violation::WrongSide),
        (letter(0, id(1, PEER, 1), 1, good.clone()), Violation::FloorContradiction),
        (letter(0, id(1, PEER, 0), 0, good.clone()), Violation::FloorContradiction),
        (letter(0, id(0, PEER, 1), u64::MAX, Body::LoserCanFinish { tag: 0 }), Violation::FloorContradiction),
        (letter(0, id(2, PEER, 1), 0, good), Violation::VersionAhead(Version(2))),
        (
            letter(
                0,
                id(1, PEER, 1),
                0,
                Body::AliceToBob {
                    suite: SUITE + 1,
                    signed: false,
                    offer: Offer { share: 1, signature: None },
                },
            ),
            Violation::WrongSuite,
        ),
    ];
    for (forged, violation) in cases {
        let (mut me, _) = pair(ME);
        let verdict = me.take(forged);
        closes_with(verdict, &mut me, Fatal::ProtocolViolation(violation));
    }
}

#[test]
fn extreme_numbers_close_or_are_ignored_but_never_panic() {
    let extremes = [0, 1, 2, 255, 256, u64::MAX - 1, u64::MAX];
    for version in extremes {
        for attempt in extremes {
            for floor in extremes {
                for side in [ME, PEER] {
                    for kind in 0..7 {
                        let (mut me, mut peer) = pair(ME);
                        round(&mut peer, &mut me);
                        let body = match kind {
                            0 => Body::AliceToBob {
                                suite: SUITE,
                                signed: false,
                                offer: Offer { share: 1, signature: None },
                            },
                            1 => {
                                Body::BobToAlice { answer: Answer { share: 1, confirm: 2, signature: None } }
                            }
                            2 => Body::LoserCanFinish { tag: 3 },
                            3 => Body::Truncate { tag: 3, earliest: Version(u64::MAX) },
                            4 => Body::LeaderCanFinish,
                            5 => Body::Cancel { reason: CancelReason::Unknown },
                            _ => Body::CancelAck,
                        };
                        me.take(letter(1, id(version, side, attempt), floor, body));
                        me.step(Input::Trigger);
                        me.step(Input::Record { under: Version(version) });
                    }
                }
            }
        }
    }
}

#[test]
fn wrong_tags_close_with_key_mismatch() {
    let (mut me, mut peer) = pair(ME);
    me.step(Input::Trigger);
    peer.take(me.letter());
    let (under, mut message) = peer.letter();
    if let Body::BobToAlice { answer } = &mut message.body {
        answer.confirm ^= 1;
    }
    let verdict = me.take((under, message));
    closes_with(verdict, &mut me, Fatal::KeyMismatch);

    let (mut me, mut peer) = pair(ME);
    peer.step(Input::Trigger);
    me.take(peer.letter());
    peer.take(me.letter());
    let (under, Message { header, .. }) = peer.letter();
    let verdict = me.take((under, Message { header, body: Body::LoserCanFinish { tag: 0 } }));
    closes_with(verdict, &mut me, Fatal::KeyMismatch);
    assert_eq!(me.machine.latest(), Version(0));
}

#[test]
fn a_signature_that_is_missing_or_wrong_closes() {
    let mut me = End::new(RekeyConfig { reauth: Some(Reauth::default()), ..config(ME) });
    let (under, mut message) = offer(1, 1, true);
    if let Body::AliceToBob { offer, .. } = &mut message.body {
        offer.signature = None;
    }
    let verdict = me.take((under, message));
    closes_with(verdict, &mut me, Fatal::AuthFailed);
}

#[test]
fn a_repeated_offer_with_another_body_gets_the_first_answer() {
    let (mut me, _) = pair(ME);
    me.take(offer(1, 1, false));
    let first = me.letter();
    let (under, mut message) = offer(1, 1, false);
    if let Body::AliceToBob { offer, .. } = &mut message.body {
        offer.share = 99;
    }
    me.take((under, message));
    assert!(me.letter().1.body == first.1.body);
}

#[test]
fn the_window_of_a_truncate_never_reaches_the_latest_version() {
    let (mut me, mut peer) = pair(ME);
    for _ in 0..3 {
        round(&mut peer, &mut me);
    }
    peer.step(Input::Trigger);
    me.take(peer.letter());
    peer.take(me.letter());
    let (under, Message { header, body }) = peer.letter();
    let key = match body {
        Body::LoserCanFinish { tag } | Body::Truncate { tag, .. } => tag,
        _ => 0,
    };
    let far = Body::Truncate { tag: key, earliest: Version(u64::MAX) };
    assert_eq!(me.take((under, Message { header, body: far })), Verdict::Done);
    assert_eq!((me.machine.earliest(), me.machine.latest()), (Version(3), Version(4)));
}

#[test]
fn attempts_of_an_ignored_offer_do_not_come_back() {
    let (mut me, _) = pair(ME);
    me.take(offer(1, 5, false));
    for attempt in 1..5 {
        assert_eq!(me.take(offer(1, attempt, false)), Verdict::Ignored(Ignored::Stale));
    }
    assert_eq!(me.machine.view().peer_floor, Attempt(4));
}
