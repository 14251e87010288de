//! SCENARIOS 1, 8 and 10 at the manager's level, and the contract of each of its calls.

use citadel_crypt::ratchets::end::{EndReason, RekeyError};
use citadel_crypt::ratchets::ratchet_manager::Observed;
use citadel_crypt::ratchets::rekey::{Event, Phase, Refusal, Role, Side, Version};
use citadel_tests::manager_world::{Fate, Setting, managers};
use futures::future::join_all;
use rstest::rstest;
use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_wait_registered_after_the_round_is_over_resolves_at_once() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let outcome = world.initiator.handle.rekey().await.expect("both ends live");
    world.both_at(outcome.version).await;
    let before = super::now();
    let again = world.initiator.handle.wait_for(outcome.version).await.expect("it is over");
    let there = world.responder.handle.wait_for(outcome.version).await.expect("it is over there");
    assert_eq!(super::now(), before, "no time passed");
    assert_eq!(again, outcome);
    assert_eq!(there.round, outcome.round);
    assert_eq!(there.role, Role::Loser);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_triggers_on_each_side_coalesce_and_every_caller_resolves() {
    let world = managers(&Setting { latency: Duration::from_millis(20), ..Setting::default() });
    let calls = |side: Side| {
        let handle = match side {
            Side::Initiator => &world.initiator.handle,
            Side::Responder => &world.responder.handle,
        };
        join_all((0..1000).map(move |_| handle.rekey()))
    };
    let (here, there) = tokio::join!(calls(Side::Initiator), calls(Side::Responder));
    let outcomes: Vec<_> = here.into_iter().chain(there).map(|r| r.expect("both ends live")).collect();
    let versions: BTreeSet<_> = outcomes.iter().map(|o| o.version).collect();
    assert_eq!(versions, BTreeSet::from([Version(1)]), "one round serves callers that meet");
    world.both_at(Version(1)).await;
    world.assert_agreed();
    assert_eq!(world.initiator.handle.version(), Version(1));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn triggers_spread_over_a_storm_need_few_rounds_and_every_caller_resolves() {
    let latency = Duration::from_millis(20);
    let world = managers(&Setting { latency, ..Setting::default() });
    let start = super::now();
    let calls = [&world.initiator, &world.responder].into_iter().flat_map(|peer| {
        (0..1000).map(move |i| async move {
            tokio::time::sleep_until(start + Duration::from_millis(i)).await;
            let from = peer.handle.version();
            let outcome = peer.handle.rekey().await.expect("both ends live");
            assert!(outcome.version > from);
        })
    });
    join_all(calls).await;
    // A round takes two round trips at most, and one of them can be wanted behind it.
    let rounds = world.initiator.handle.version().0;
    assert!((1000 / 80..=1000 / 20 + 2).contains(&rounds), "{rounds} rounds");
    world.both_at(Version(rounds)).await;
    world.assert_agreed();
    world.finish().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_peer_silent_for_ever_after_any_message_lets_the_waiter_go_by_its_deadline(
    #[values(0, 1)] records: u64,
    #[values(true, false)] ordered: bool,
) {
    let world = managers(&Setting { ordered, ..Setting::default() });
    // A path that keeps order and loses nothing can still fall silent.
    match ordered {
        true => world.responder.out.hold_after(records),
        false => world
            .responder
            .out
            .set_rule(move |number, _| if number < records { Fate::Deliver } else { Fate::Lose }),
    }
    let start = super::now();
    let first = world.initiator.handle.rekey().await;
    let error = match first {
        // The answer still came: the round is committed here, the next one cannot be.
        Ok(outcome) if records == 1 => {
            assert_eq!(outcome.version, Version(1));
            world.initiator.handle.rekey().await.expect_err("the peer is silent")
        }
        other => other.expect_err("the peer is silent"),
    };
    assert_eq!(super::now() - start, 10 * SECOND);
    assert!(error.is_retryable() && error.source().is_none());
    let RekeyError::TimedOut { round: Some(round), phase } = error else { panic!("{error}") };
    assert_eq!(round.version, Version(1));
    match records {
        0 => assert!(matches!(phase, Phase::Offered { .. })),
        _ => assert!(matches!(phase, Phase::Confirming { .. })),
    }
    world.responder.out.clear_rule();
    world.responder.out.release();
    let served = world.initiator.handle.rekey().await.expect("the peer speaks again");
    assert!(served.version >= Version(1));
    world.both_at(served.version).await;
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_silent_after_its_offer_lets_the_losers_waiter_go_by_its_deadline() {
    let world = managers(&Setting::default());
    world.initiator.out.hold_after(1);
    world.initiator.handle.trigger_rekey(false).await.expect("both ends live");
    world.initiator.handle.wait_for(Version(1)).await.expect("the answer came");
    let error = world.responder.handle.rekey().await.expect_err("the finish never comes");
    let RekeyError::TimedOut { round: Some(round), phase: Phase::Answered { .. } } = error else {
        panic!("{error}")
    };
    assert_eq!((round.version, round.side), (Version(1), Side::Initiator));
    world.initiator.out.release();
    // What the waiter asked for is still wanted: the version after the one it waited in.
    world.both_at(Version(2)).await;
    world.settle().await;
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_rekey_leaves_the_round_running() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let dropped = tokio::time::timeout(Duration::from_millis(1), world.initiator.handle.rekey()).await;
    assert!(dropped.is_err());
    assert_eq!(world.initiator.handle.waiting(), 0);
    world.both_at(Version(1)).await;
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_does_not_wait_is_served_too() {
    let world = managers(&Setting::default());
    let outcome = world.responder.handle.trigger_rekey(false).await.expect("both ends live");
    assert_eq!(outcome, None);
    world.both_at(Version(1)).await;
    let outcome = world.initiator.handle.trigger_rekey(true).await.expect("both ends live");
    assert_eq!(outcome.map(|o| o.version), Some(Version(2)));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_offer_gives_its_waiters_a_typed_error_and_the_next_rekey_succeeds() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let manager = &world.initiator.handle;
    let refused = manager.withdraw().await.expect_err("nothing to withdraw");
    assert!(matches!(refused, RekeyError::NotWithdrawable(Refusal::NoRound)));
    let (rekey, withdrawn) = tokio::join!(manager.rekey(), async {
        tokio::time::sleep_until(super::now() + Duration::from_millis(1)).await;
        manager.withdraw().await
    });
    assert!(matches!(rekey, Err(RekeyError::Withdrawn)));
    assert!(withdrawn.is_ok());
    let outcome = manager.rekey().await.expect("both ends live");
    assert_eq!(outcome.version, Version(1));
    world.both_at(Version(1)).await;
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_halted_end_refuses_rounds_and_the_round_at_hand_ends_first() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let (served, halted) = tokio::join!(world.initiator.handle.rekey(), async {
        // The answer is on its way: the responder keeps its candidate.
        tokio::time::sleep_until(super::now() + SECOND + Duration::from_millis(1)).await;
        world.responder.handle.halt().await
    });
    assert_eq!(served.expect("answered before the halt").version, Version(1));
    assert!(halted.is_ok());
    assert_eq!(world.responder.handle.version(), Version(1));
    let refused = world.responder.handle.rekey().await.expect_err("halted");
    assert!(matches!(refused, RekeyError::Halted) && !refused.is_retryable());
    let silent = world.initiator.handle.rekey().await.expect_err("the peer answers no round");
    assert!(matches!(silent, RekeyError::TimedOut { .. }));
    world.initiator.handle.halt().await.expect("withdraws its offer");
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_halt_while_an_offer_is_out_gives_its_waiters_a_typed_error() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let manager = &world.initiator.handle;
    let (rekey, halted) = tokio::join!(manager.rekey(), async {
        tokio::time::sleep_until(super::now() + Duration::from_millis(1)).await;
        manager.halt().await
    });
    assert!(matches!(rekey, Err(RekeyError::Halted)));
    assert!(halted.is_ok());
    world.settle().await;
    world.assert_agreed();
    assert_eq!(manager.version(), Version(0));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn observers_see_versions_and_milestones_and_learn_what_they_missed() {
    let world = managers(&Setting::default());
    let manager = &world.initiator.handle;
    let versions = manager.subscribe();
    let mut events = manager.events();
    let outcome = manager.rekey().await.expect("both ends live");
    assert_eq!(*versions.borrow(), Version(1));
    let Some(Observed::Event(Event::Started { round, role: Role::Leader })) = events.next().await else {
        panic!("a round starts first")
    };
    assert_eq!(round, outcome.round);
    assert_eq!(events.next().await, Some(Observed::Event(Event::Committed(outcome))));
    for _ in 0..100 {
        manager.rekey().await.expect("both ends live");
    }
    assert!(matches!(events.next().await, Some(Observed::Missed(n)) if n >= 100));
    let stats = manager.stats().rekey;
    assert_eq!((stats.led, stats.followed), (101, 0));
    world.finish().await;
    while events.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn exported_keys_agree_on_both_ends_for_version_zero_and_inside_the_window() {
    let world = managers(&Setting::default());
    let [a, b] = [&world.initiator.handle, &world.responder.handle];
    let export = |m: &citadel_crypt::ratchets::ratchet_manager::RatchetManager| {
        let mut out = [0; 32];
        m.export("app", b"context", &mut out).map(|()| out)
    };
    let first = export(a).expect("version 0 exports for ever");
    for _ in 0..10 {
        let outcome = a.rekey().await.expect("both ends live");
        world.both_at(outcome.version).await;
    }
    assert_eq!(export(a).ok(), Some(first));
    assert_eq!(export(b).ok(), Some(first));
    let at = |m: &citadel_crypt::ratchets::ratchet_manager::RatchetManager, version| {
        let mut out = [0; 32];
        m.export_at(version, "app", b"context", &mut out).map(|()| out)
    };
    assert_eq!(at(a, Version(10)).ok(), at(b, Version(10)).ok());
    assert_ne!(at(a, Version(10)).ok(), Some(first));
    assert!(at(a, Version(1)).is_err(), "long evicted");
    assert!(at(a, Version(11)).is_err(), "not there yet");
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_path_ends_every_wait_with_its_reason() {
    let world = managers(&Setting { latency: SECOND, ..Setting::default() });
    let (rekey, ()) = tokio::join!(world.initiator.handle.rekey(), async {
        tokio::time::sleep_until(super::now() + Duration::from_millis(1)).await;
        world.initiator.out.cut();
        world.responder.out.cut();
    });
    assert!(matches!(rekey, Err(RekeyError::Ended(EndReason::Path(_)))));
    let reason = world.initiator.handle.closed().await;
    assert!(reason.is_retryable() && reason.source().is_some());
    assert!(matches!(world.responder.handle.closed().await, EndReason::Path(_)));
    let late = world.initiator.handle.rekey().await.expect_err("over");
    assert!(matches!(late, RekeyError::Ended(EndReason::Path(_))));
    world.initiator.assert_nothing_left().await;
    world.responder.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_do_not_open_end_an_ordered_path_and_are_counted_on_another() {
    let junk = bytes::Bytes::from_static(b"no record at all");
    let world = managers(&Setting::default());
    world.initiator.out.inject(junk.clone());
    assert!(matches!(world.responder.handle.closed().await, EndReason::BadRecord));
    assert!(matches!(world.initiator.handle.closed().await, EndReason::PeerFault(5)));

    let world = managers(&Setting { ordered: false, ..Setting::default() });
    world.initiator.out.inject(junk);
    let outcome = world.initiator.handle.rekey().await.expect("both ends live");
    world.both_at(outcome.version).await;
    assert_eq!(world.responder.handle.stats().records_refused, 1);
    world.assert_agreed();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_aborts_and_says_so() {
    let world = managers(&Setting::default());
    let clone = world.initiator.handle.clone();
    drop(clone);
    assert_eq!(world.initiator.handle.rekey().await.expect("a handle is left").version, Version(1));
    world.initiator.assert_nothing_left().await;
    assert!(matches!(world.responder.handle.closed().await, EndReason::PeerAbandoned));
    world.responder.assert_nothing_left().await;
}
