//! The end of every run: the network heals, readers read, and all that was promised is held; then all ends, and nothing
//! is left.

use super::app::App;

use super::world::World;
use super::{Pace, Side};
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelId, CloseReason};
use core::time::Duration;

const BOTH: [Side; 2] = [Side::Client, Side::Server];
/// A silent path is found dead, a session is not taken up again, a close is over: all of that in this time.
const SETTLED: Duration = Duration::from_secs(90);
/// An undisturbed session does what it has to do in this time.
const CALM: Duration = Duration::from_secs(20);

impl World {
    /// Runs the world to its end and checks what must hold.
    pub fn finish(&mut self) {
        self.say(format_args!("epilogue: the network heals, readers read"));
        (0..self.clients.len()).for_each(|client| self.heal(client));
        self.pass(SETTLED);
        for session in 0..self.sessions.len() {
            if self.sessions[session].is_running() {
                BOTH.into_iter().for_each(|side| self.sessions[session].book.check_arrived(side));
            }
        }
        self.read_all();
        self.pass(CALM);
        // Channels that came meanwhile have readers with a pace of their own.
        self.read_all();
        self.pass(CALM);
        for session in 0..self.sessions.len() {
            if !self.sessions[session].is_over() {
                self.check_running(session);
            }
        }
        self.part();
        for session in 0..self.sessions.len() {
            self.check_over(session);
        }
        assert!(self.hub.is_empty(), "the server still holds a session");
        let left = self.paths.iter().filter(|path| BOTH.into_iter().any(|side| !path.is_over(side)));
        assert_eq!(left.count(), 0, "paths are left");
        assert_eq!(self.next_event().map(|at| at > self.now), None, "something is still to happen");
    }

    fn read_all(&mut self) {
        for session in 0..self.sessions.len() {
            for side in BOTH {
                self.on_each_channel(session, side, |app, cx, id| app.set_pace(cx, id, Pace::Eager));
            }
        }
    }

    fn on_each_channel(
        &mut self,
        session: usize,
        side: Side,
        act: impl Fn(&mut App, &mut super::app::Context<'_>, ChannelId),
    ) {
        let Some(end) = self.end(session, side) else { return };
        let ids: Vec<ChannelId> = end.app.channels.keys().copied().collect();
        for id in ids {
            self.with_app(session, side, |app, cx| act(app, cx, id));
        }
    }

    /// A session that nobody closed works, and everything was done that was asked for.
    fn check_running(&mut self, session: usize) {
        let owner = &mut self.sessions[session];
        assert!(owner.is_running(), "s{session}: one end runs, the other does not");
        let mut versions = Vec::new();
        for side in BOTH {
            let name = owner.name(side).to_owned();
            let Some(end) = owner.end(side) else { return };
            assert!(end.path.is_some() && !end.machine.is_detached(), "{name} has no path");
            let version = end.machine.version();
            assert!(version >= end.wish, "{name} waits for version {}, has {}", end.wish.0, version.0);
            versions.push((version, end.machine.path()));
            for (id, halves) in &end.app.channels {
                assert_eq!(halves.waiting.len(), 0, "{name} waits for room on channel {id}");
            }
        }
        assert_eq!(versions[0], versions[1], "s{session}: versions or paths differ");
        for ((id, sender), lane) in &owner.book.lanes {
            assert!(
                lane.is_given_up() || lane.missing() == 0,
                "s{session}: {} messages on channel {id} from the {sender:?} never came",
                lane.missing()
            );
        }
        BOTH.into_iter().for_each(|side| owner.book.check_credit(side));
        self.check_consumed(session);
    }

    /// What was delivered is known to be, and there is room for more.
    fn check_consumed(&mut self, session: usize) {
        let owner = &mut self.sessions[session];
        for ((id, sender), lane) in &owner.book.lanes {
            let Some(end) = &owner.ends[sender.index()] else { continue };
            if end.app.channels.get(id).is_none_or(|halves| !halves.has_sender) {
                continue;
            }
            let told = end.machine.is_consumed(*id);
            // Who waits for a reader that left, or for what it gave up itself, is told so.
            let is_told = told == Ok(true) || told.is_err() && lane.is_given_up();
            assert!(is_told, "s{session}: channel {id} of the {sender:?}: {told:?}");
        }
    }

    /// Every session that still runs: all channels end, all handles go, nothing of them is left; then it closes.
    fn part(&mut self) {
        let running: Vec<usize> = (0..self.sessions.len()).filter(|s| !self.sessions[*s].is_over()).collect();
        for session in &running {
            for side in BOTH {
                self.on_each_channel(*session, side, |app, cx, id| app.finish(cx, id));
            }
        }
        self.pass(CALM);
        for session in &running {
            for side in BOTH {
                self.with_app(*session, side, App::drop_all);
            }
        }
        self.pass(CALM);
        for session in &running {
            for side in BOTH {
                let Some(end) = self.end(*session, side) else { continue };
                if end.is_running() {
                    let left = end.machine.stats().channels;
                    assert_eq!(left, 0, "s{session} {side:?}: channels are left");
                }
            }
        }
        for session in &running {
            let by = if self.whim.percent(50) { Side::Client } else { Side::Server };
            self.close(*session, by, CloseReason::GoingAway);
        }
        self.pass(CALM);
        for session in running {
            for side in BOTH {
                let name = self.sessions[session].name(side).to_owned();
                let closed = self.end(session, side).and_then(|end| end.closed.clone());
                let is_clean = closed.as_ref().is_some_and(|report| report.clean);
                let is_idle = closed.as_ref().is_some_and(|report| *report.reason() == CloseReason::Idle);
                assert!(is_clean || is_idle, "{name} did not close cleanly: {closed:?}");
            }
        }
    }

    /// A session that is over: one report for each end, honest about what is missing, and nothing left.
    fn check_over(&mut self, session: usize) {
        for side in BOTH {
            if let Some(end) = self.end(session, side) {
                assert_eq!(end.machine.stage(), Stage::Closed, "s{session} {side:?} is not over");
            }
            self.on_each_channel(session, side, |app, cx, id| while app.take(cx, id) {});
        }
        for side in BOTH {
            let owner = &mut self.sessions[session];
            let name = owner.name(side).to_owned();
            // Who has gone for a reason of its own has said so as well as the path took it.
            let is_alone = owner.ends[side.other().index()].as_ref().is_none_or(|peer| {
                peer.closed.as_ref().is_some_and(|report| !matches!(report.local, CloseReason::PathLost(_)))
            });
            let is_disturbed = owner.book.is_disturbed;
            let Some(end) = owner.end(side) else { continue };
            end.assert_nothing_left();
            let report = end.closed.clone().expect("a closed end has its report");
            let reasons = [Some(&report.local), report.peer.as_ref(), report.cut_short.as_ref()];
            let is_fatal = reasons.iter().flatten().any(|reason| matches!(reason, CloseReason::Fatal(_)));
            assert!(!is_fatal, "{name} fatal between two correct ends: {report}");
            let is_lost = matches!(report.local, CloseReason::PathLost(_));
            assert!(!is_lost || is_disturbed || is_alone, "{name} lost a whole path: {report}");
            self.check_report(session, side, &report, &name);
        }
    }

    /// Missing messages are reported, and a clean close misses none.
    fn check_report(&self, session: usize, side: Side, report: &citadel_proto::CloseReport, name: &str) {
        let owner = &self.sessions[session];
        let Some(end) = &owner.ends[side.index()] else { return };
        for ((id, _), lane) in owner.book.lanes.iter().filter(|((_, sender), _)| *sender == side) {
            let named = report.unconfirmed.iter().find(|one| one.channel == id.0);
            let unconfirmed = usize::try_from(named.map_or(0, |one| one.messages)).unwrap_or(usize::MAX);
            let missing = lane.missing();
            if lane.is_given_up() || missing == 0 {
                continue;
            }
            let has_reader = owner.ends[side.other().index()]
                .as_ref()
                .is_some_and(|peer| peer.app.channels.contains_key(id));
            assert!(
                end.machine.is_consumed(*id) != Ok(true),
                "{name} channel {id}: {missing} messages missing, and told as consumed"
            );
            assert!(
                unconfirmed >= missing || !has_reader,
                "{name} channel {id}: {missing} messages missing, {unconfirmed} reported"
            );
            assert!(
                !report.clean || !has_reader,
                "{name} channel {id}: {missing} missing after a clean close"
            );
        }
        let is_empty = report.unconfirmed.is_empty();
        assert!(!report.clean || is_empty, "{name} clean with unconfirmed messages: {report}");
    }
}
