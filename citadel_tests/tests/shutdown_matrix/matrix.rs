//! One session, every way to end it.

use super::ZERO;
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::Phase;
use citadel_proto::session::SessionConfig;
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, CloseReport, PathLoss, Taken};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

/// Flushing, HaltingRekey, Announcing and AwaitingPeer, by default.
const LONGEST_CLOSE: Duration = Duration::from_millis(5_000 + 2_000 + 1_000 + 250);
const RESUME: Duration = Duration::from_secs(60);
const LEN: usize = 3_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closes {
    TheClient,
    TheServer,
    Both,
}

impl Closes {
    fn sides(self) -> &'static [Side] {
        match self {
            Self::TheClient => &[Side::A],
            Self::TheServer => &[Side::B],
            Self::Both => &[Side::A, Side::B],
        }
    }
}

/// Where the client stands in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    Idle,
    Offered,
    BothOffered,
    Answered,
    Confirming,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InFlight {
    Nothing,
    FromTheClient,
    BothWays,
}

impl InFlight {
    fn count(self, side: Side) -> u32 {
        match (self, side) {
            (Self::FromTheClient, Side::A) | (Self::BothWays, _) => 60,
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Path {
    Kept,
    LostAndResumed,
    LostForGood,
}

/// Whether what the server says arrives in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Time {
    Enough,
    TheDeadlinesPass,
}

fn bring_to(world: &mut World, round: Round) {
    let is_there = |world: &World| {
        let phase = world.a.machine.rekey_view().map(|view| view.phase);
        matches!(
            (round, phase),
            (Round::Idle, _)
                | (Round::Offered | Round::BothOffered, Some(Phase::Offered { .. }))
                | (Round::Answered, Some(Phase::Answered { .. }))
                | (Round::Confirming, Some(Phase::Confirming { .. }))
        )
    };
    world.run();
    if matches!(round, Round::Offered | Round::BothOffered | Round::Confirming) {
        world.trigger(Side::A);
    }
    if matches!(round, Round::BothOffered | Round::Answered) {
        world.trigger(Side::B);
    }
    for _ in 0..100 {
        if is_there(world) {
            return;
        }
        world.turn();
    }
    panic!("the client never came to {round:?}");
}

fn message(number: u32) -> Bytes {
    number.to_le_bytes().repeat(LEN / 4).into()
}

/// What `side`'s application finds after the end: the messages in order, then why there are no more.
fn read_all(world: &mut World, side: Side) -> u32 {
    let mut read = 0;
    loop {
        match world.take(side, ZERO) {
            Taken::Message(body) => assert!(body == message(read), "message {read} is another one"),
            Taken::Finished => panic!("no application finished"),
            Taken::Pending | Taken::Cut | Taken::Reset(_) => return read,
        }
        read += 1;
    }
}

/// Each accepted message was delivered, or its sender's report says that it may not have been.
fn assert_delivered_or_reported(sent: u32, read: u32, report: &CloseReport) {
    let reported: u64 = report.unconfirmed.iter().map(|one| one.messages).sum();
    let missing = u64::from(sent - read);
    assert!(missing <= reported, "{missing} messages are missing, {reported} reported: {report}");
    assert!(!report.clean || missing == 0 && reported == 0, "clean, and {missing} are missing");
}

#[rstest]
fn every_accepted_message_is_delivered_or_reported_and_each_end_says_closed_once_when_it_is_closed_by(
    #[values(Closes::TheClient, Closes::TheServer, Closes::Both)] closes: Closes,
    #[values(Round::Idle, Round::Offered, Round::BothOffered, Round::Answered, Round::Confirming)]
    round: Round,
    #[values(InFlight::Nothing, InFlight::FromTheClient, InFlight::BothWays)] data: InFlight,
    #[values(Path::Kept, Path::LostAndResumed, Path::LostForGood)] path: Path,
    #[values(Time::Enough, Time::TheDeadlinesPass)] time: Time,
) {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let mut world = World::new(31, SecrecyMode::BestEffort, &config);
    bring_to(&mut world, round);
    for side in [Side::A, Side::B] {
        (0..data.count(side)).for_each(|number| world.send(side, ZERO, message(number)));
    }
    world.turn();
    let began = world.now;
    for (number, side) in closes.sides().iter().enumerate() {
        world.close(*side, CloseReason::application(number as u32, "done"));
    }
    match path {
        Path::Kept => {}
        // Before the peer heard of the close; the records of the talk are cut at every one elsewhere.
        Path::LostAndResumed => world.cut(),
        Path::LostForGood => {
            world.turn();
            world.cut();
        }
    }
    if time == Time::TheDeadlinesPass {
        world.stalled = Some(Side::B);
    }
    world.pass(Duration::from_secs(1));
    if path == Path::LostAndResumed {
        world.attach();
    }
    world.pass(LONGEST_CLOSE - Duration::from_secs(1));
    for side in closes.sides() {
        let stage = world.end(*side).machine.stage();
        assert_eq!(stage, Stage::Closed, "the deadlines bound the close of {side:?}");
    }
    assert_eq!(world.now, began + LONGEST_CLOSE);
    world.stalled = None;
    // Who heard of no close finds the other end dead after its silence, waits for another path, and ends then.
    world.pass(config.dead_after + RESUME + LONGEST_CLOSE);
    let read = [Side::A, Side::B].map(|side| read_all(&mut world, side));
    // One `Closed` each, last, with nothing left behind it: `finish` sees to that.
    let (a, b) = world.finish();
    assert_delivered_or_reported(data.count(Side::A), read[1], &a);
    assert_delivered_or_reported(data.count(Side::B), read[0], &b);
    check_reasons(closes, path, time, &a, &b);
}

fn check_reasons(closes: Closes, path: Path, time: Time, a: &CloseReport, b: &CloseReport) {
    if time == Time::Enough && path != Path::LostForGood {
        assert!(a.clean && b.clean, "{a} / {b}");
        assert_eq!((&a.unconfirmed[..], &b.unconfirmed[..]), (&[][..], &[][..]));
    } else {
        assert!(!(a.clean && b.clean), "{a} / {b}");
    }
    let own = |number| CloseReason::application(number, "done");
    match closes {
        Closes::TheClient => assert_eq!(a.local, own(0)),
        Closes::TheServer => assert_eq!(b.local, own(0)),
        Closes::Both => assert_eq!((&a.local, &b.local), (&own(0), &own(1)), "each keeps its own"),
    }
    let follower = match closes {
        Closes::TheClient => b,
        Closes::TheServer => a,
        Closes::Both => return,
    };
    let expected = [
        CloseReason::PeerClosing,
        CloseReason::PathLost(PathLoss::Ended),
        CloseReason::PathLost(PathLoss::Silent),
    ];
    assert!(expected.contains(&follower.local), "{follower}");
}

#[rstest]
fn an_abrupt_reason_waits_for_nothing_with_or_without_a_path(
    #[values(
        CloseReason::Aborted,
        CloseReason::HandlerPanicked,
        CloseReason::Revoked,
        CloseReason::Superseded
    )]
    reason: CloseReason,
    #[values(Round::Idle, Round::Offered, Round::Answered, Round::Confirming)] round: Round,
    #[values(Path::Kept, Path::LostForGood)] path: Path,
    #[values(true, false)] was_closing: bool,
) {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let mut world = World::new(32, SecrecyMode::Perfect, &config);
    bring_to(&mut world, round);
    world.send(Side::A, ZERO, message(0));
    if path == Path::LostForGood {
        world.cut();
    }
    if was_closing {
        world.close(Side::A, CloseReason::GoingAway);
    }
    world.close(Side::A, reason.clone());
    world.run();
    let report = world.a.closed.clone().expect("closed without any time passing");
    let (local, cut_short) =
        if was_closing { (CloseReason::GoingAway, Some(reason)) } else { (reason, None) };
    assert_eq!((&report.local, &report.cut_short), (&local, &cut_short));
    assert!(!report.clean);
    world.finish_after(RESUME + LONGEST_CLOSE);
}

#[rstest]
fn a_close_that_begins_without_a_path_ends_clean_if_one_comes_in_time(
    #[values(1, 4, 6)] seconds: u64,
    #[values(0, 40)] messages: u32,
) {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let mut world = World::new(33, SecrecyMode::BestEffort, &config);
    world.run();
    (0..messages).for_each(|number| world.send(Side::A, ZERO, message(number)));
    world.cut();
    world.close(Side::A, CloseReason::GoingAway);
    assert_eq!(world.a.machine.stage(), Stage::Flushing);
    world.pass(Duration::from_secs(seconds));
    if seconds > 5 {
        // The flush deadline is over; the one of the round is not, and a path would still be taken.
        assert_eq!(world.a.machine.stage(), Stage::HaltingRekey);
    }
    world.attach();
    world.run();
    assert_eq!(read_all(&mut world, Side::B), if seconds > 5 { 0 } else { messages });
    let (a, b) = world.finish();
    assert_eq!(a.clean, seconds <= 5, "{a}");
    let reported: u64 = a.unconfirmed.iter().map(|one| one.messages).sum();
    assert_eq!(reported, if a.clean { 0 } else { messages.into() });
    assert_eq!(b.reason(), &CloseReason::GoingAway);
}

/// The records of a close, of its messages and of a round, cut at each of them; another path comes where both ends take one.
#[rstest]
fn a_close_that_is_cut_at_any_of_its_records_delivers_or_reports(
    #[values(Closes::TheClient, Closes::TheServer, Closes::Both)] closes: Closes,
    #[values(Round::Idle, Round::Offered, Round::Confirming)] round: Round,
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let (mut cuts, mut clean) = (0, 0);
    loop {
        let mut world = World::new(36, mode, &config);
        bring_to(&mut world, round);
        let sent = 60;
        for side in [Side::A, Side::B] {
            (0..sent).for_each(|number| world.send(side, ZERO, message(number)));
        }
        closes.sides().iter().for_each(|side| world.close(*side, CloseReason::GoingAway));
        world.cut_at = Some(world.records + cuts + 1);
        world.run();
        let was_cut = world.cut_at.take().is_none();
        let resumes = world.is_detached();
        if resumes {
            world.pass(Duration::from_millis(500));
            world.attach();
        }
        world.pass(LONGEST_CLOSE + RESUME);
        let read = [Side::A, Side::B].map(|side| read_all(&mut world, side));
        let (a, b) = world.finish();
        assert_delivered_or_reported(sent, read[1], &a);
        assert_delivered_or_reported(sent, read[0], &b);
        assert!(was_cut && !resumes || a.clean && b.clean, "cut at {cuts}: {a} / {b}");
        clean += u64::from(resumes);
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 6 && clean >= 2, "{cuts} records, {clean} with a path behind them");
}

#[test]
fn a_path_that_comes_too_late_is_refused_as_closing() {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let mut world = World::new(34, SecrecyMode::BestEffort, &config);
    world.run();
    world.cut();
    let path = world.a.machine.next_path_id().expect("still open");
    world.close(Side::B, CloseReason::GoingAway);
    world.pass(LONGEST_CLOSE);
    let refused = world.b.machine.accepts_path(path);
    assert_eq!(refused, Err(citadel_proto::session::PathRefused::Closing));
    world.attach_at(Side::B, path);
    assert_eq!(world.b.machine.path(), None);
    world.abandon(Side::A, PathLoss::ResumeClosing);
    let (a, b) = world.finish();
    assert_eq!(a.local, CloseReason::PathLost(PathLoss::ResumeClosing));
    assert_eq!(b.local, CloseReason::GoingAway);
}

/// SCENARIOS 17.
#[rstest]
fn a_half_that_goes_leaves_the_other_one_alone(#[values(false, true)] cut: bool) {
    let config = SessionConfig { resume: RESUME, ..SessionConfig::default() };
    let mut world = World::new(35, SecrecyMode::BestEffort, &config);
    world.run();
    for number in 0..5 {
        world.send(Side::B, ZERO, message(number));
    }
    world.run();
    world.a.machine.drop_sender(ZERO);
    if cut {
        world.cut();
        world.attach();
    }
    world.run();
    assert_eq!(world.take(Side::B, ZERO), Taken::Reset(0));
    assert_eq!(read_all(&mut world, Side::A), 5, "unread when the other half went");
    while world.b.machine.try_send(ZERO, message(0)).is_ok() {}
    world.a.machine.drop_receiver(ZERO, 3);
    if cut {
        world.cut();
        world.attach();
    }
    world.run();
    let stopped = world.b.machine.try_send(ZERO, message(0));
    assert!(matches!(
        stopped,
        Err(citadel_proto::TrySendError::Send(citadel_proto::SendError::Stopped { code: 3 }))
    ));
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}
