//! One log line per transition, target `citadel::rekey`; none above debug unless a round stalls.

use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::canary::{self, Line};
use citadel_tests::manager_world::{Setting, managers};
use log::Level;
use std::time::Duration;

/// What this thread's runtime said of rounds since `canary::keep`.
fn said() -> Vec<Line> {
    canary::kept().into_iter().filter(|line| line.target == "citadel::rekey").collect()
}

#[tokio::test(start_paused = true)]
async fn each_transition_of_a_round_is_one_line_that_names_session_round_and_cause() {
    canary::keep();
    let world = managers(&Setting::default());
    world.initiator.handle.rekey().await.expect("both ends live");
    world.both_at(Version(1)).await;
    world.settle().await;
    let mut seen = Vec::new();
    for Line { level, fields, .. } in said() {
        assert_eq!(level, Level::Debug);
        assert_eq!(fields["round"], "v1/i#1");
        assert_eq!(fields["session"], u32::from_be_bytes(*b"sess").to_string());
        seen.push(format!("{} -> {} on {}", fields["from"], fields["to"], fields["cause"]));
    }
    let expected = [
        "Idle -> Offered on trigger",
        "Idle -> Answered on message",
        "Offered -> Confirming on message",
        "Answered -> Idle on message",
        "Confirming -> Idle on message",
    ];
    assert_eq!(seen, expected);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_round_is_one_warning() {
    canary::keep();
    let world = managers(&Setting::default());
    world.responder.out.hold_after(0);
    assert!(world.initiator.handle.rekey().await.is_err());
    tokio::time::sleep_until(super::now() + Duration::from_secs(120)).await;
    let warnings: Vec<_> = said().into_iter().filter(|line| line.level < Level::Debug).collect();
    // The offerer repeats at its longest pace, and so does the end that answers in vain.
    assert!((1..=2).contains(&warnings.len()), "{warnings:?}");
    assert!(warnings.iter().all(|line| line.level == Level::Warn));
    world.responder.out.release();
    world.both_at(Version(1)).await;
    world.finish().await;
}
