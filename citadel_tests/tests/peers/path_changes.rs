//! Property: whatever carries two peers, and however it changes meanwhile, each channel brings what was sent on it once and in
//! order (SCENARIOS 29).
#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

use super::rekey::agree;
use citadel_sdk::{PathKind, RecvHalf, SecrecyMode, Session, SessionEvent};
use citadel_tests::peer_scene::{Loss, Pair, Setup, Talk, Way, hear, say};
use citadel_tests::world::Dice;
use futures::future::{join, join_all, select};
use parking_lot::Mutex;
use rstest::rstest;
use std::pin::pin;
use std::time::Duration;

/// Channels, each with messages both ways.
const CHANNELS: usize = 5;
/// Messages of a channel, each way: 10,000 in all.
const EACH: u64 = 1_000;
/// Times that the path is lost while they are under way.
const CHANGES: u64 = 8;

/// What one end has heard on a channel.
struct Hearing {
    half: RecvHalf,
    len: usize,
    heard: u64,
}

impl Hearing {
    async fn until(&mut self, number: u64) {
        hear(&mut self.half, self.heard..number, self.len).await;
        self.heard = number;
    }
}

/// One change and what goes on beside it, all by chance.
async fn changes(pair: &Pair, dice: &mut Dice) {
    pair.packets.set_losses(dice.pick(&[0, 0, 5, 20]));
    let (loss, waits) = (dice.pick(&Loss::ALL), dice.time(Duration::from_millis(300)));
    let leg = dice.index(4);
    let (near_renews, far_renews) = (dice.percent(50), dice.percent(50));
    tokio::time::sleep(waits).await;
    if let Some(network) = pair.networks().get(leg) {
        network.cut();
    }
    for (session, renews) in [(&pair.near, near_renews), (&pair.far, far_renews)] {
        if renews {
            session.trigger_rekey().unwrap();
        }
    }
    pair.change(loss).await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_on_five_channels_arrive_once_and_in_order_whatever_the_path_does(
    #[values(0, 10, 20, 30)] from: u64,
) {
    for seed in from..from + 10 {
        println!("seed {seed}");
        all_arrive(seed).await;
    }
}

async fn all_arrive(seed: u64) {
    let mut dice = Dice::new(seed, 29);
    let secrecy = dice.pick(&[SecrecyMode::BestEffort, SecrecyMode::Perfect]);
    let pair = Pair::meet(&Setup { secrecy, ..Setup::seeded(Way::Changing, seed) }).await;
    let (mut says, mut hears) = (Vec::new(), Vec::new());
    for _ in 0..CHANNELS {
        let len = dice.pick(&[8, 100, 1_500]);
        let Talk { near, far, .. } = Talk::open(&pair.near, &pair.far).await;
        for (send, half) in [(near.0, far.1), (far.0, near.1)] {
            says.push((send, len));
            hears.push(Hearing { half, len, heard: 0 });
        }
    }
    let says = join_all(says.into_iter().map(|(mut half, len)| async move {
        assert_eq!(say(&mut half, 0..EACH, len).await, (EACH, None));
        half.finish().await.unwrap();
        half.acknowledged().await.unwrap();
    }));
    let listens = async {
        for change in 0..CHANGES {
            // Some of each channel's are read now, and the last of them only when the last change is over.
            let hears = hears.iter_mut().map(|hearing| {
                let most = (change + 1) * EACH / (CHANGES + 1);
                let number = dice.between(hearing.heard, most);
                hearing.until(number)
            });
            let hears: Vec<_> = hears.collect();
            join(join_all(hears), changes(&pair, &mut dice)).await;
        }
        pair.packets.set_losses(0);
        join_all(hears.iter_mut().map(async |hearing| {
            hearing.until(EACH).await;
            assert_eq!(hearing.half.recv().await, Ok(None));
        }))
        .await;
    };
    join(says, listens).await;
    pair.near.rekey().await.unwrap();
    agree(&pair.near, &pair.far).await;
    drop(hears);
    let (a, b) = join(pair.near.close(0, "done"), pair.far.closed()).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    pair.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_way_that_changes_leads_over_a_lane_and_back_to_a_direct_path_at_both_ends() {
    let pair = Pair::meet(&Setup::new(Way::Changing)).await;
    for loss in Loss::ALL {
        let seen = [const { Mutex::new(Vec::new()) }; 2];
        let looks = [&pair.near, &pair.far].map(Session::events).into_iter().zip(&seen).map(
            |(mut events, seen)| async move {
                while let Some(event) = events.next().await {
                    if let SessionEvent::PathChanged { to, .. } = event {
                        seen.lock().push(to);
                    }
                }
            },
        );
        select(pin!(join_all(looks)), pin!(pair.change(loss))).await;
        for seen in seen.map(Mutex::into_inner) {
            assert!(matches!(seen[..], [PathKind::Relayed, PathKind::Direct(_)]), "{loss:?}: {seen:?}");
        }
    }
    pair.ends().await;
}
