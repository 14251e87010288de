//! One session between two peers, every way to end it, whatever carries it.

use citadel_sdk::{CloseReason, CloseReport, PathLoss, Session, SessionEvent};
use citadel_tests::peer_scene::{Loss, Pair, Setup, Talk, Way, heard_of, say};
use futures::future::{join, select};
use rstest::rstest;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Flushing, HaltingRekey, Announcing and AwaitingPeer, by default.
const LONGEST_CLOSE: Duration = Duration::from_millis(5_000 + 2_000 + 1_000 + 250);
/// Silence after which a path is dead, by default.
const DEAD_AFTER: Duration = Duration::from_secs(30);
const RESUME: Duration = Duration::from_secs(60);
const LEN: usize = 3_000;
const COUNT: u64 = 60;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closes {
    Alice,
    Bob,
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    Idle,
    AliceBegins,
    BothBegin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InFlight {
    Nothing,
    FromAlice,
    BothWays,
}

/// What becomes of their legs to the server, which carry the two on a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Kept,
    /// Alice's session with the server loses its path and gets another one.
    OneLegIsCut,
    /// The same at both ends.
    BothLegsAreCut,
    /// Alice's session with the server is over; she gets a new one, and the two another lane.
    TheLaneIsReplaced,
    /// Nothing carries them any more.
    LostForGood,
}

/// Each accepted message was heard, or its sender's report says that it may not have been.
#[track_caller]
fn assert_delivered_or_reported(said: u64, heard: u64, report: &CloseReport) {
    let reported: u64 = report.unconfirmed.iter().map(|one| one.messages).sum();
    assert!(heard <= said && said - heard <= reported, "{said} said, {heard} heard: {report}");
    assert!(!report.clean || heard == said && reported == 0, "{said} said, {heard} heard: {report}");
}

/// Where the way changes: their direct path is gone, and they have no other yet, or do not even know.
async fn loses_its_path(pair: &Pair, loss: Loss) {
    if pair.way != Way::Changing {
        return;
    }
    let mut events = [&pair.near, &pair.far].map(Session::events);
    pair.lose(loss);
    if loss != Loss::Silence {
        let [near, far] = &mut events;
        let first = select(pin!(near.next()), pin!(far.next())).await.factor_first().0;
        assert!(
            matches!(first, Some(SessionEvent::Detached { .. } | SessionEvent::Attached { .. })),
            "{first:?}"
        );
    }
}

async fn meets_its_fate(pair: &mut Pair, fate: Fate) {
    match fate {
        Fate::Kept => {}
        Fate::OneLegIsCut => assert_eq!(pair.alice.network.cut(), 1),
        Fate::BothLegsAreCut => assert_eq!(pair.networks().map(|network| network.cut()), [1, 1]),
        Fate::TheLaneIsReplaced => {
            pair.alice.session.abort();
            pair.alice.connect_anew().await;
        }
        Fate::LostForGood => {
            assert_eq!(pair.networks().map(|network| network.take_down()), [1, 1]);
            pair.packets.take_down();
        }
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn every_accepted_message_is_delivered_or_reported_and_each_end_says_closed_once_when_it_is_closed_by(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Closes::Alice, Closes::Bob, Closes::Both)] closes: Closes,
    #[values(Round::Idle, Round::AliceBegins, Round::BothBegin)] round: Round,
    #[values(InFlight::Nothing, InFlight::FromAlice, InFlight::BothWays)] data: InFlight,
    #[values(
        Fate::Kept,
        Fate::OneLegIsCut,
        Fate::BothLegsAreCut,
        Fate::TheLaneIsReplaced,
        Fate::LostForGood
    )]
    fate: Fate,
) {
    // Who has no account is somebody else to the server with another session.
    let accounts = fate == Fate::TheLaneIsReplaced;
    let mut pair = Pair::meet(&Setup { accounts, resume: RESUME, ..Setup::new(way) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let [from_alice, from_bob] = match data {
        InFlight::Nothing => [0, 0],
        InFlight::FromAlice => [COUNT, 0],
        InFlight::BothWays => [COUNT, COUNT],
    };
    assert_eq!(say(&mut talk.near.0, 0..from_alice, LEN).await, (from_alice, None));
    assert_eq!(say(&mut talk.far.0, 0..from_bob, LEN).await, (from_bob, None));
    if round != Round::Idle {
        pair.near.trigger_rekey().unwrap();
    }
    if round == Round::BothBegin {
        pair.far.trigger_rekey().unwrap();
    }
    let loss = match round {
        Round::Idle => Loss::AliceLeaves,
        Round::AliceBegins => Loss::BobLeaves,
        Round::BothBegin => Loss::Silence,
    };
    loses_its_path(&pair, loss).await;
    let began = Instant::now();
    let own = |number| CloseReason::application(number, "done");
    if closes != Closes::Bob {
        pair.near.begin_shutdown(own(1));
    }
    if closes != Closes::Alice {
        pair.far.begin_shutdown(own(2));
    }
    let (near, far) = (pair.near.clone(), pair.far.clone());
    let (reports, ()) = join(closed(&near, &far, began), meets_its_fate(&mut pair, fate)).await;
    let [(a, a_took), (b, b_took)] = reports;
    let heard = join(heard_of(&mut talk.far.1, LEN), heard_of(&mut talk.near.1, LEN)).await;
    assert_delivered_or_reported(from_alice, heard.0, &a);
    assert_delivered_or_reported(from_bob, heard.1, &b);

    if fate != Fate::LostForGood {
        assert!(a.clean && b.clean, "{a} / {b}");
    }
    match closes {
        Closes::Alice => assert_eq!(a.local, own(1)),
        Closes::Bob => assert_eq!(b.local, own(2)),
        Closes::Both => assert_eq!((&a.local, &b.local), (&own(1), &own(2)), "each keeps its own"),
    }
    for (closed_it, report, took) in
        [(closes != Closes::Bob, &a, a_took), (closes != Closes::Alice, &b, b_took)]
    {
        if closed_it {
            assert!(took <= LONGEST_CLOSE, "{report}: its stages bound a close, and it took {took:?}");
        } else {
            assert!(took <= DEAD_AFTER + RESUME + LONGEST_CLOSE, "{report}: {took:?}");
            let gone = [PathLoss::Ended, PathLoss::Silent, PathLoss::Io].map(CloseReason::PathLost);
            assert!(report.local == CloseReason::PeerClosing || gone.contains(&report.local), "{report}");
        }
    }
    pair.heal();
    pair.ends().await;
}

/// The reports of both ends, and how long each took.
async fn closed(near: &Session, far: &Session, began: Instant) -> [(CloseReport, Duration); 2] {
    let end = |session: Session| async move { (session.closed().await, began.elapsed()) };
    join(end(near.clone()), end(far.clone())).await.into()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn an_abrupt_end_waits_for_nothing_and_the_other_end_learns_why(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(
        CloseReason::Aborted,
        CloseReason::HandlerPanicked,
        CloseReason::Revoked,
        CloseReason::Superseded
    )]
    reason: CloseReason,
    #[values(Round::Idle, Round::AliceBegins, Round::BothBegin)] round: Round,
    #[values(true, false)] was_closing: bool,
) {
    let pair = Pair::meet(&Setup::new(way)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    assert_eq!(say(&mut talk.near.0, 0..5, LEN).await, (5, None));
    for (session, begins) in [(&pair.near, round != Round::Idle), (&pair.far, round == Round::BothBegin)] {
        if begins {
            session.trigger_rekey().unwrap();
        }
    }
    loses_its_path(&pair, if was_closing { Loss::BobLeaves } else { Loss::AliceLeaves }).await;
    let began = Instant::now();
    if was_closing {
        pair.near.begin_shutdown(CloseReason::GoingAway);
    }
    let report = pair.near.shutdown(reason.clone()).await;
    // The time for one frame, which best effort may take.
    assert!(began.elapsed() <= Duration::from_secs(1), "{report} took {:?}", began.elapsed());
    let (local, cut_short) =
        if was_closing { (CloseReason::GoingAway, Some(reason)) } else { (reason.clone(), None) };
    assert_eq!((&report.local, &report.cut_short), (&local, &cut_short));
    let there = pair.far.closed().await;
    assert!(!there.clean, "{there}");
    // Without a path nobody is heard, and who waits for one does so to the end of its time.
    let longest = if way == Way::Changing { RESUME + LONGEST_CLOSE } else { LONGEST_CLOSE };
    assert!(began.elapsed() <= longest, "{there} after {:?}", began.elapsed());
    // Both are peers as before.
    let mut pair = pair;
    pair.meet_again().await;
    Talk::new(&pair.near, &pair.far).go_on(3, LEN).await;
    pair.ends().await;
}

/// SCENARIOS 17.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_half_that_goes_leaves_the_other_one_alone(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Fate::Kept, Fate::OneLegIsCut)] fate: Fate,
) {
    let mut pair = Pair::meet(&Setup::new(way)).await;
    let Talk { near: (near_send, near_recv), far: (mut far_send, mut far_recv), .. } =
        Talk::new(&pair.near, &pair.far);
    assert_eq!(say(&mut far_send, 0..5, LEN).await, (5, None));
    drop(near_send);
    loses_its_path(&pair, Loss::BothLeave).await;
    meets_its_fate(&mut pair, fate).await;
    assert_eq!(far_recv.recv().await, Err(citadel_sdk::RecvError::Reset { code: 0 }));
    let mut near_recv = near_recv;
    citadel_tests::peer_scene::hear(&mut near_recv, 0..5, LEN).await;
    // More than fits: the sender waits for a reader that goes.
    let waits = say(&mut far_send, 5..5_000, LEN);
    let goes = async {
        tokio::task::yield_now().await;
        near_recv.stop(3);
    };
    let ((said, end), ()) = join(waits, goes).await;
    assert!(said < 4_995);
    assert_eq!(end, Some(citadel_sdk::SendError::Stopped { code: 3 }));
    let (a, b) = join(pair.near.close(0, ""), pair.far.closed()).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    pair.ends().await;
}
