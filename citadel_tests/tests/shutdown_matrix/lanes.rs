//! A session with a relay lane: who closes × what the lane carries × when its ends are finished × what becomes of the path.

use super::ZERO;
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_proto::session::{Input, Output, SessionConfig};
use citadel_proto::shutdown::Stage;
use citadel_proto::{
    ChannelEvent, ChannelId, CloseReason, CloseReport, OpenError, SendError, Taken, TrySendError,
};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

const BOTH: [Side; 2] = [Side::A, Side::B];
const FLUSH: Duration = Duration::from_secs(5);
const LONGEST_CLOSE: Duration = Duration::from_millis(5_000 + 2_000 + 1_000 + 250);
const RESUME: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);

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
            Self::Both => &BOTH,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carries {
    Nothing,
    /// Messages both ways, all the time.
    Data,
    /// As much as there is credit for, from the client; nobody reads before the lane is finished.
    AFullWindow,
}

/// When the two halves of the lane are finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finished {
    Before,
    /// Both, soon after the close began.
    Soon,
    /// The client's soon, the server's just before the deadline.
    TheServersLate,
    /// The server's soon, the client's not at all.
    TheClientsNever,
    Never,
}

impl Finished {
    /// Seconds after the close began, or before.
    fn at(self, side: Side) -> Option<f32> {
        match (self, side) {
            (Self::Before, _) => Some(-1.0),
            (Self::Soon, _) | (Self::TheServersLate, Side::A) | (Self::TheClientsNever, Side::B) => Some(1.0),
            (Self::TheServersLate, Side::B) => Some(4.5),
            (Self::TheClientsNever, Side::A) | (Self::Never, _) => None,
        }
    }

    fn is_in_time(self) -> bool {
        BOTH.into_iter().all(|side| self.at(side).is_some())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Path {
    Kept,
    LostAndResumed,
}

fn config() -> SessionConfig {
    SessionConfig { resume: RESUME, services: true, ..SessionConfig::default() }
}

/// A session with a lane that both ends have, and something of the applications on its way.
fn world(opener: Side) -> (World, ChannelId) {
    let mut world = World::new(41, SecrecyMode::BestEffort, &config());
    world.run();
    let lane = world.end(opener).machine.open_service_channel("relay").unwrap();
    world.run();
    assert_eq!(world.end(opener.other()).machine.accept_service_channel(), Some(lane));
    for side in BOTH {
        (0..20).for_each(|_| world.send(side, ZERO, vec![3; 3_000]));
    }
    (world, lane)
}

/// A lane as whoever relays on it sees it.
struct Relay {
    lane: ChannelId,
    carries: Carries,
    finished: Finished,
    sent: [u64; 2],
    read: [u64; 2],
    is_finished: [bool; 2],
    saw: [Option<Taken>; 2],
}

impl Relay {
    fn new(lane: ChannelId, carries: Carries, finished: Finished) -> Self {
        let saw = [None, None];
        Self { lane, carries, finished, sent: [0, 0], read: [0, 0], is_finished: [false; 2], saw }
    }

    /// What happens `at` so many seconds after the close began.
    fn step(&mut self, world: &mut World, at: f32) {
        for (index, side) in BOTH.into_iter().enumerate() {
            self.send(world, side, index);
            if self.finished.at(side).is_some_and(|due| due <= at) && !self.is_finished[index] {
                self.is_finished[index] = true;
                world.end(side).machine.finish(self.lane).unwrap();
            }
        }
        world.pass(Duration::ZERO);
        let is_read = self.carries != Carries::AFullWindow || self.is_finished[0];
        for (index, side) in BOTH.into_iter().enumerate().filter(|_| is_read) {
            self.read(world, side, index);
        }
    }

    fn send(&mut self, world: &mut World, side: Side, index: usize) {
        let (len, most) = match self.carries {
            Carries::Nothing => return,
            Carries::Data => (500, 1),
            Carries::AFullWindow if side == Side::A => (30_000, 100),
            Carries::AFullWindow => return,
        };
        for _ in 0..most {
            let body: Bytes = self.sent[index].to_le_bytes().iter().copied().cycle().take(len).collect();
            let stage = world.end(side).machine.stage();
            match world.end(side).machine.try_send(self.lane, body) {
                Ok(()) => {
                    assert!(stage <= Stage::Flushing, "accepted in {stage:?}");
                    self.sent[index] += 1;
                }
                Err(TrySendError::Full(_)) => return,
                Err(TrySendError::Send(SendError::Finished)) => {
                    return assert!(self.is_finished[index]);
                }
                Err(TrySendError::Send(SendError::Closed(_))) => {
                    return assert!(stage > Stage::Flushing, "refused in {stage:?}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn read(&mut self, world: &mut World, side: Side, index: usize) {
        loop {
            match world.take(side, self.lane) {
                Taken::Message(body) => {
                    let number = self.read[index];
                    assert!(
                        body.starts_with(&number.to_le_bytes()),
                        "{side:?} reads another one than {number}"
                    );
                    self.read[index] += 1;
                }
                Taken::Pending => return,
                end => return self.saw[index] = Some(end),
            }
        }
    }
}

fn unconfirmed(report: &CloseReport) -> u64 {
    report.unconfirmed.iter().map(|one| one.messages).sum()
}

#[rstest]
fn a_lane_carries_on_while_the_session_flushes_and_is_waited_for_up_to_the_deadline(
    #[values(Closes::TheClient, Closes::TheServer, Closes::Both)] closes: Closes,
    #[values(Carries::Nothing, Carries::Data, Carries::AFullWindow)] carries: Carries,
    #[values(
        Finished::Before,
        Finished::Soon,
        Finished::TheServersLate,
        Finished::TheClientsNever,
        Finished::Never
    )]
    finished: Finished,
    #[values(Path::Kept, Path::LostAndResumed)] path: Path,
    #[values(Side::A, Side::B)] opener: Side,
) {
    let (mut world, lane) = world(opener);
    let mut relay = Relay::new(lane, carries, finished);
    relay.step(&mut world, -1.0);
    let began = world.now;
    closes.sides().iter().for_each(|side| world.close(*side, CloseReason::GoingAway));
    if path == Path::LostAndResumed {
        world.cut();
    }
    for number in 0..100_u16 {
        let at = f32::from(number) / 10.0;
        if path == Path::LostAndResumed && number == 3 {
            world.attach();
        }
        relay.step(&mut world, at);
        let stages = BOTH.map(|side| world.end(side).machine.stage());
        let is_open = BOTH.iter().any(|side| finished.at(*side).is_none_or(|due| due > at));
        if is_open && world.now < began + FLUSH && number > 3 {
            assert_eq!(stages, [Stage::Flushing; 2], "at {at}: nothing ends while the lane is open");
        }
        world.pass(STEP);
    }
    assert!(world.now > began + LONGEST_CLOSE);
    let read = BOTH.map(|side| {
        let mut messages = 0;
        while let Taken::Message(_) = world.take(side, ZERO) {
            messages += 1;
        }
        messages
    });
    assert_eq!(read, [20, 20], "what the applications had accepted");
    let (a, b) = world.finish();
    check(&relay, finished, &a, &b);
}

fn check(relay: &Relay, finished: Finished, a: &CloseReport, b: &CloseReport) {
    let own_is_done = BOTH.map(|side| finished.at(side).is_some());
    assert_eq!([a.clean, b.clean], own_is_done, "all own items are acknowledged: {a} / {b}");
    let missing = [relay.sent[0] - relay.read[1], relay.sent[1] - relay.read[0]];
    if finished.is_in_time() {
        assert_eq!(missing, [0, 0]);
        assert_eq!(relay.saw, [Some(Taken::Finished), Some(Taken::Finished)], "as those who relay ended it");
        assert_eq!([unconfirmed(a), unconfirmed(b)], [0, 0]);
        return;
    }
    // All that was sent arrived at the other session: its reader has it, or never asked.
    if relay.carries != Carries::AFullWindow {
        assert_eq!(missing, [0, 0]);
    }
    assert_eq!([unconfirmed(a), unconfirmed(b)], [0, 0], "{a} / {b}");
}

/// Nothing comes from the server any more: what the lane accepted while the session flushed is reported.
#[test]
fn what_a_lane_accepted_and_nobody_acknowledged_is_unconfirmed() {
    let (mut world, lane) = world(Side::A);
    world.run();
    world.stalled = Some(Side::B);
    world.close(Side::A, CloseReason::GoingAway);
    for _ in 0..7 {
        world.send(Side::A, lane, "into nothing");
        world.pass(STEP);
    }
    world.pass(LONGEST_CLOSE);
    assert_eq!(world.a.machine.stage(), Stage::Closed);
    let consumed = world.a.machine.is_consumed(lane);
    assert_eq!(consumed, Err(SendError::Closed(CloseReason::GoingAway)));
    world.stalled = None;
    let (a, _) = world.finish_after(Duration::from_secs(120));
    let of_the_lane = a.unconfirmed.iter().find(|one| one.channel == lane.0).map(|one| one.messages);
    assert_eq!(of_the_lane, Some(7), "{a}");
}

#[rstest]
fn new_lanes_are_refused_and_those_that_nobody_accepted_are_given_up(
    #[values(Side::A, Side::B)] opener: Side,
) {
    let (mut world, lane) = world(opener);
    let late = world.end(opener).machine.open_service_channel("relay").unwrap();
    let service = world.end(opener).machine.open_service_channel("other").unwrap();
    world.run();
    let crossing = world.end(opener).machine.open_service_channel("relay").unwrap();
    world.close(opener.other(), CloseReason::GoingAway);
    world.run();
    let other = &mut world.end(opener.other()).machine;
    assert_eq!(other.accept_service_channel(), Some(service), "as before");
    assert_eq!(other.accept_service_channel(), None);
    for side in BOTH {
        let refused = world.end(side).machine.open_service_channel("relay");
        assert_eq!(refused, Err(OpenError::Closed(CloseReason::GoingAway)));
        assert_eq!(world.end(side).machine.stage(), Stage::Flushing);
    }
    for refused in [late, crossing] {
        assert_eq!(world.take(opener, refused), Taken::Reset(0));
        let sent = world.end(opener).machine.try_send(refused, Bytes::new());
        assert_eq!(sent, Err(TrySendError::Send(SendError::Stopped { code: 0 })));
    }
    for side in BOTH {
        world.end(side).machine.drop_sender(lane);
        world.end(side).machine.drop_receiver(lane, 0);
    }
    world.run();
    assert_eq!(BOTH.map(|side| world.end(side).machine.stage()), [Stage::Closed; 2], "no lane is left");
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

/// The deadline passes, the client halts a round and announces: the lane is over, and whoever waits for room is told at once.
#[rstest]
fn a_lane_is_over_when_flushing_is(#[values(false, true)] has_round: bool) {
    let (mut world, lane) = world(Side::A);
    world.run();
    world.stalled = Some(Side::B);
    if has_round {
        world.trigger(Side::A);
    }
    while world.a.machine.try_send(lane, Bytes::from_static(&[1; 1_000])).is_ok() {}
    let room = world.a.machine.reserve(lane, 1_000).unwrap();
    assert!(room.is_none(), "the window is full");
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(FLUSH - STEP);
    let more = world.a.machine.try_send(lane, Bytes::from_static(&[1; 1_000]));
    assert!(matches!(more, Err(TrySendError::Full(_))));
    world.now = world.now + STEP;
    world.a.machine.handle(world.now, Input::Timeout);
    let stage = if has_round { Stage::HaltingRekey } else { Stage::Announcing };
    assert_eq!(world.a.machine.stage(), stage);
    let outputs: Vec<_> = std::iter::from_fn(|| world.a.machine.poll_output()).collect();
    let is_told =
        |output: &Output| matches!(output, Output::Channel(ChannelEvent::Writable(id)) if *id == lane);
    assert!(outputs.iter().any(is_told), "{outputs:?}");
    let closed = SendError::Closed(CloseReason::GoingAway);
    assert_eq!(world.a.machine.try_send(lane, Bytes::new()), Err(TrySendError::Send(closed.clone())));
    assert_eq!(world.a.machine.reserve(lane, 10).map(drop), Err(closed));
    world.stalled = None;
    let (a, _) = world.finish_after(Duration::from_secs(120));
    // What is still under way leaves time for the lane's own end.
    assert_eq!(a.clean, has_round, "{a}");
}

#[rstest]
fn room_that_was_kept_on_a_lane_is_good_while_the_session_flushes(#[values(false, true)] late: bool) {
    let (mut world, lane) = world(Side::B);
    world.run();
    let room = world.a.machine.reserve(lane, 10).unwrap().expect("there is room");
    let other = world.a.machine.reserve(ZERO, 10).unwrap().expect("there is room");
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(if late { FLUSH } else { STEP });
    let sent = world.a.machine.send_reserved(room, Bytes::from_static(b"room"));
    let closed = Err(SendError::Closed(CloseReason::GoingAway));
    assert_eq!(sent, if late { closed.clone() } else { Ok(()) });
    assert_eq!(world.a.machine.send_reserved(other, Bytes::new()), closed);
    world.pass(STEP);
    if !late {
        assert_eq!(world.message(Side::B, lane), "room");
    }
    world.finish();
}

#[rstest]
fn an_abrupt_reason_ends_a_lane_as_everything_else(
    #[values(CloseReason::Aborted, CloseReason::Revoked)] reason: CloseReason,
    #[values(false, true)] was_closing: bool,
) {
    let (mut world, lane) = world(Side::A);
    world.run();
    world.send(Side::A, lane, "arrives");
    world.run();
    if was_closing {
        world.close(Side::A, CloseReason::GoingAway);
        world.run();
        assert_eq!(BOTH.map(|side| world.end(side).machine.stage()), [Stage::Flushing; 2]);
    }
    world.close(Side::A, reason);
    world.run();
    assert_eq!(BOTH.map(|side| world.end(side).machine.stage()), [Stage::Closed; 2], "nothing is waited for");
    assert_eq!(world.message(Side::B, lane), "arrives");
    assert_eq!(world.take(Side::B, lane), Taken::Pending, "and then the reason, from the session");
    let (a, b) = world.finish();
    assert!(!a.clean && !b.clean);
}
