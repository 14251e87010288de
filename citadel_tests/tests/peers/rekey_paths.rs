//! Rounds between peers whose messages are lost with a path, come late, or cross others (SCENARIOS 3–7, 12–14): what single
//! messages of a round do to its machines is explored by `--test rekey_scenarios`; here they have a session around them.
#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

use super::rekey::agree;
use citadel_crypt::ratchets::rekey::{Role, Version};
use citadel_sdk::{CloseReason, RekeyError, RekeyOutcome, Session};
use citadel_tests::peer_scene::{Loss, Pair, Setup, Talk, Way, hear, heard_of, say};
use futures::future::join;
use rstest::rstest;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait of a caller, by default.
const DEADLINE: Duration = Duration::from_secs(10);
/// Versions that an end keeps, by default, and the one that it moves to.
const WINDOW: u64 = 4;
const LEN: usize = 100;
const HOUR: Duration = Duration::from_secs(3_600);

/// Who asks for a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asks {
    Alice,
    Bob,
    Both,
}

/// Those that ask are served by a later version, or told why not. How long it took them.
async fn renew(
    near: &Session,
    far: &Session,
    asks: Asks,
) -> (Vec<Result<RekeyOutcome, RekeyError>>, Duration) {
    let began = Instant::now();
    let ask = async |session: &Session, is_asking: bool| {
        let from = session.version();
        let outcome = if is_asking { Some(session.rekey().await) } else { None };
        assert!(!matches!(outcome, Some(Ok(served)) if served.version <= from), "{from:?}: {outcome:?}");
        outcome
    };
    let (one, other) = join(ask(near, asks != Asks::Bob), ask(far, asks != Asks::Alice)).await;
    (one.into_iter().chain(other).collect(), began.elapsed())
}

/// Their next round is one for both, and leaves them with the same keys.
async fn go_on(pair: &Pair, talk: &mut Talk) {
    for outcome in renew(&pair.near, &pair.far, Asks::Both).await.0 {
        outcome.unwrap();
    }
    talk.go_on(5, LEN).await;
    agree(&pair.near, &pair.far).await;
}

/// What carries the two is lost for good, and something else carries them.
async fn is_replaced(pair: &mut Pair, loss: Loss) {
    if pair.way != Way::Relayed {
        return pair.change(loss).await;
    }
    let Pair { alice, bob, .. } = pair;
    for (client, stays) in [(alice, Loss::BobLeaves), (bob, Loss::AliceLeaves)] {
        if loss != stays {
            client.session.abort();
            client.connect_anew().await;
        }
    }
}

/// SCENARIOS 3, 4, 6: a message that was under way when the path went is lost. The machine says it again on the next path, where
/// the other end's own offer may have come first.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_round_whose_path_is_lost_at_any_step_is_completed_on_the_next_one(
    #[values(Way::Relayed, Way::Changing)] way: Way,
    #[values(Asks::Alice, Asks::Bob, Asks::Both)] asks: Asks,
    #[values(0, 5, 10, 20, 30, 45, 60)] millis: u64,
) {
    let mut pair = Pair::meet(&Setup { accounts: true, ..Setup::seeded(way, millis + 1) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    for loss in Loss::ALL {
        let (near, far) = (pair.near.clone(), pair.far.clone());
        let lost = async {
            sleep(Duration::from_millis(millis)).await;
            is_replaced(&mut pair, loss).await;
        };
        let ((outcomes, took), ()) = join(renew(&near, &far, asks), lost).await;
        assert!(took < DEADLINE, "{loss:?}: {took:?}");
        for outcome in outcomes {
            outcome.unwrap();
        }
        go_on(&pair, &mut talk).await;
    }
    pair.ends().await;
}

/// SCENARIOS 5: who never asks has no constructor; each offer gets an answer, and what it needs for that afresh.
#[rstest]
#[tokio::test(start_paused = true)]
async fn an_end_that_never_asks_answers_every_offer_and_makes_none(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Asks::Alice, Asks::Bob)] asks: Asks,
) {
    const ROUNDS: u64 = 30;
    let pair = Pair::meet(&Setup::new(way)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    go_on(&pair, &mut talk).await;
    let [asking, idle] = if asks == Asks::Alice { [&pair.near, &pair.far] } else { [&pair.far, &pair.near] };
    let before = [asking, idle].map(|session| session.stats().rekey);
    for _ in 0..ROUNDS {
        let outcome = asking.rekey().await.unwrap();
        assert_eq!(outcome.role, Role::Leader);
        talk.go_on(2, LEN).await;
    }
    agree(&pair.near, &pair.far).await;
    let after = [asking, idle].map(|session| session.stats().rekey);
    assert_eq!([after[0].offered - before[0].offered, after[0].led - before[0].led], [ROUNDS; 2]);
    assert_eq!([after[1].answered - before[1].answered, after[1].followed - before[1].followed], [ROUNDS; 2]);
    assert_eq!((after[1].offered, after[0].answered), (before[1].offered, before[0].answered));
    pair.ends().await;
}

/// SCENARIOS 7: the answer comes when its caller has given up, and crosses what is said about that.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_round_that_its_callers_gave_up_crosses_what_answers_it_and_the_next_is_one_for_both(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Asks::Alice, Asks::Bob, Asks::Both)] asks: Asks,
    #[values(0, 5, 10, 20, 30, 45, 60)] millis: u64,
) {
    let pair = Pair::meet(&Setup { resume: HOUR, ..Setup::seeded(way, millis + 1) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    for _ in 0..3 {
        let silent = async {
            sleep(Duration::from_millis(millis)).await;
            pair.cut_off();
            sleep(DEADLINE).await;
            pair.heal();
        };
        let ((outcomes, took), ()) = join(renew(&pair.near, &pair.far, asks), silent).await;
        assert!(took <= DEADLINE + Duration::from_millis(1), "{took:?}");
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(_) | Err(RekeyError::TimedOut)), "{outcome:?}");
        }
        go_on(&pair, &mut talk).await;
    }
    pair.ends().await;
}

/// SCENARIOS 12.
#[rstest]
#[tokio::test(start_paused = true)]
async fn messages_of_earlier_versions_open_and_older_keys_than_the_window_has_are_gone(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
) {
    const ROUNDS: u64 = 20;
    let pair = Pair::meet(&Setup::new(way)).await;
    let Talk { near: (mut near_says, mut near_hears), far: (mut far_says, mut far_hears), .. } =
        Talk::new(&pair.near, &pair.far);
    let rounds = async {
        for round in 0..ROUNDS {
            // Nobody reads until the last round is over.
            let numbers = round * 20..(round + 1) * 20;
            assert_eq!(say(&mut near_says, numbers.clone(), LEN).await, (20, None));
            assert_eq!(say(&mut far_says, numbers, LEN).await, (20, None));
            for outcome in renew(&pair.near, &pair.far, Asks::Both).await.0 {
                outcome.unwrap();
            }
            for session in [&pair.near, &pair.far] {
                let latest = session.version().0;
                let live = (0..=latest + 1).filter(|at| session.fingerprint(Version(*at)).is_some()).count();
                assert!((1..=WINDOW + 1).contains(&(live as u64)), "{live} of {latest}");
                assert!(latest <= WINDOW || session.fingerprint(Version(latest - WINDOW - 1)).is_none());
            }
        }
    };
    pair.while_it_changes(rounds).await;
    join(hear(&mut far_hears, 0..ROUNDS * 20, LEN), hear(&mut near_hears, 0..ROUNDS * 20, LEN)).await;
    agree(&pair.near, &pair.far).await;
    pair.ends().await;
}

/// SCENARIOS 13.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_in_a_round_changes_nothing(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(1, 29, 600)] seconds: u64,
    #[values(0, 5, 15, 25, 40, 60)] millis: u64,
) {
    let jump = Duration::from_secs(seconds);
    let pair = Pair::meet(&Setup { resume: HOUR, ..Setup::seeded(way, millis + 1) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let jumps = async {
        sleep(Duration::from_millis(millis)).await;
        tokio::time::advance(jump).await;
    };
    let ((outcomes, took), (), ()) =
        tokio::join!(renew(&pair.near, &pair.far, Asks::Both), jumps, talk.go_on(50, LEN));
    assert!(took <= DEADLINE + jump, "{took:?}");
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(_) | Err(RekeyError::TimedOut)), "{outcome:?}");
    }
    assert_eq!((pair.near.closing(), pair.far.closing()), (None, None));
    go_on(&pair, &mut talk).await;
    pair.ends().await;
}

/// SCENARIOS 14.
#[rstest]
#[tokio::test(start_paused = true)]
async fn an_end_at_any_step_of_a_round_is_told_to_everybody_who_waits_for_it(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Asks::Alice, Asks::Both)] asks: Asks,
    #[values(false, true)] both_end: bool,
    #[values(false, true)] is_abrupt: bool,
    #[values(0, 5, 15, 25, 40, 60)] millis: u64,
) {
    let mut pair = Pair::meet(&Setup::seeded(way, millis + 1)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let ends = async {
        if way == Way::Changing {
            pair.lose(Loss::BobLeaves);
        }
        sleep(Duration::from_millis(millis)).await;
        for session in [&pair.near, &pair.far].into_iter().take(1 + usize::from(both_end)) {
            if is_abrupt {
                session.abort();
            } else {
                session.begin_shutdown(CloseReason::GoingAway);
            }
        }
    };
    assert_eq!(say(&mut talk.near.0, 0..20, LEN).await, (20, None));
    let ((outcomes, _), ()) = join(renew(&pair.near, &pair.far, asks), ends).await;
    for outcome in outcomes {
        // Who ends at once without a path is not heard.
        let may_wait = is_abrupt && way == Way::Changing && outcome == Err(RekeyError::TimedOut);
        assert!(may_wait || matches!(outcome, Ok(_) | Err(RekeyError::Closed(_))), "{outcome:?}");
    }
    let (a, b) = join(pair.near.closed(), pair.far.closed()).await;
    let heard = heard_of(&mut talk.far.1, LEN).await;
    assert!(is_abrupt || a.clean && b.clean && heard == 20, "{heard}: {a} / {b}");
    pair.heal();
    pair.meet_again().await;
    go_on(&pair, &mut Talk::new(&pair.near, &pair.far)).await;
    pair.ends().await;
}
