//! The task of one end, as the driver has it: drains outputs, writes, arms one timer.

use super::Side;
use super::app::{App, Context};
use super::forge::Before;
use super::path::{PathEnd, Role};
use super::world::{Event, World};
use bytes::BytesMut;
use citadel_proto::record::MAX_RECORD;
use citadel_proto::session::{Input, Output};
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelEvent, CloseReason, PathLoss};
use core::time::Duration;

/// Records are sealed until the buffer holds this much, as in the driver.
const WRITE_FILL: usize = 64 * 1024;

/// What an output asks of others than the application.
enum Effect {
    Event(ChannelEvent),
    Closing,
    Detached,
    Closed,
}

impl World {
    /// The task runs until it has nothing to do.
    pub(super) fn attend(&mut self, session: usize, side: Side) {
        loop {
            let (has_drained, _) = self.drain(session, side);
            let has_written = self.transmit(session, side);
            if !has_drained && !has_written {
                break;
            }
        }
        let Some(end) = self.end(session, side) else { return };
        let next = end.machine.poll_timeout().map(|(at, _)| at);
        if next != end.armed {
            end.armed = next;
            if let Some(at) = next {
                self.schedule(at, Event::Timer(session, side));
            }
        }
    }

    /// Acts on all outputs, in order. Whether there were any, and whether what came of them gives the task something to do.
    pub(super) fn drain(&mut self, session: usize, side: Side) -> (bool, bool) {
        let mut effects = Vec::new();
        loop {
            let now = self.now;
            let Some(owner) = self.sessions.get_mut(session) else { break };
            let Some(end) = &mut owner.ends[side.index()] else { break };
            let Some(output) = end.machine.poll_output() else { break };
            assert!(end.closed.is_none(), "an output after Closed: {output:?}");
            let mut text = None;
            match output {
                Output::Channel(event) => effects.push(Effect::Event(event)),
                Output::Datagram | Output::Round(_) => {}
                Output::Rekeyed(outcome) => {
                    // None if the peer's close came with the commit and the keys are wiped.
                    if let Some(fingerprint) = end.machine.fingerprint(outcome.version) {
                        owner.book.on_version(outcome.version, fingerprint);
                    }
                    text = Some(format!("has version {}", outcome.version.0));
                }
                Output::Detached { loss, until } => {
                    assert!(until > now && !end.machine.is_detached() || end.machine.is_detached());
                    end.until = Some(until);
                    text = Some(format!("detached: {loss}"));
                    effects.push(Effect::Detached);
                }
                Output::Attached { path } => {
                    end.until = None;
                    text = Some(format!("attached to path {}", path.0));
                }
                Output::Closing(reason) => {
                    assert!(end.closing.is_none(), "told twice that it closes");
                    assert!(!end.is_early(&reason, now), "gave a lost path up early: {reason}");
                    text = Some(format!("closing: {reason}"));
                    end.closing = Some(reason);
                    effects.push(Effect::Closing);
                }
                Output::Closed(report) => {
                    text = Some(format!("closed: {}", Report(&report)));
                    end.closed = Some(report);
                    effects.push(Effect::Closed);
                }
            }
            if let Some(text) = text {
                self.log.line(now, format_args!("{} {text}", owner.name(side)));
            }
        }
        let any = !effects.is_empty();
        let mut is_woken = false;
        for effect in effects {
            is_woken |= self.effect(session, side, effect);
        }
        (any, is_woken)
    }

    fn effect(&mut self, session: usize, side: Side, effect: Effect) -> bool {
        match effect {
            Effect::Event(event) => return self.tell(session, side, |app, cx| app.on_event(cx, event)),
            Effect::Closing => return self.tell(session, side, App::on_closing),
            Effect::Detached => {
                self.leave_path(session, side);
                if side == Side::Client {
                    self.dial_later(session);
                }
            }
            Effect::Closed => {
                self.leave_path(session, side);
                self.on_closed(session, side);
            }
        }
        false
    }

    /// The application acts on news. Whether that gives the task something to do.
    fn tell(&mut self, session: usize, side: Side, act: impl FnOnce(&mut App, &mut Context<'_>)) -> bool {
        let owner = &mut self.sessions[session];
        let (is_woken, reads) = owner.with_app(self.now, side, &self.log, &mut self.whim, act);
        for (at, id) in reads {
            self.schedule(at, Event::Read(session, side, id));
        }
        is_woken
    }

    /// The path that the end used is dropped, if it still has it.
    pub(super) fn leave_path(&mut self, session: usize, side: Side) {
        let path = self.end(session, side).and_then(|end| end.path.take());
        if let Some(path) = path {
            self.drop_path(path, side);
        }
    }

    /// Writes what is sealed, seals what is next when that is gone. True if anything went.
    pub(super) fn transmit(&mut self, session: usize, side: Side) -> bool {
        let now = self.now;
        let Some(owner) = self.sessions.get_mut(session) else { return false };
        let Some(end) = &mut owner.ends[side.index()] else { return false };
        let Some(number) = end.path else { return false };
        let path = &mut self.paths[number];
        let mut any = false;
        loop {
            let copies = &mut owner.copies[side.index()];
            if path.ends[side.index()].sealed == 0
                && let Some(record) = copies.begin(number, &mut self.dice)
            {
                self.log.line(now, format_args!("path {number} begins with a record of another"));
                owner.book.is_disturbed = true;
                path.inject(side, record);
            }
            let PathEnd { out, sealed, .. } = &mut path.ends[side.index()];
            if out.is_empty() {
                let is_closing = (Stage::Refusing..Stage::Announcing).contains(&end.machine.stage());
                any |= end.machine.poll_transmit(now, out, WRITE_FILL);
                let is_said = is_closing && !out.is_empty();
                copies.keep(number, sealed, out);
                owner.book.read_tape(side, end.is_on_first_path(), end.tape.take());
                if is_said {
                    owner.book.ledgers[side.index()].check_closing();
                }
                assert!(out.len() <= WRITE_FILL + MAX_RECORD, "{} bytes at once", out.len());
            }
            if out.is_empty() {
                break;
            }
            end.is_dirty = true;
            if !path.flush(now, side, &mut self.dice) {
                break;
            }
        }
        if end.is_dirty && path.ends[side.index()].out.is_empty() {
            end.is_dirty = false;
            any = true;
            end.machine.handle(now, Input::PathFlushed);
        }
        self.schedule_arrivals(number);
        any
    }

    /// Bytes of the session arrived.
    pub(super) fn take_records(&mut self, session: usize, path: usize, side: Side, inbox: &mut BytesMut) {
        let foreign = &self.paths[path].ends[side.index()].foreign;
        let now = self.now;
        let Some(owner) = self.sessions.get_mut(session) else { return };
        let Some(end) = &mut owner.ends[side.index()] else { return };
        loop {
            match citadel_proto::record::split(inbox) {
                Ok(Some(raw)) => {
                    let before = Before::of(&end.machine, self.setup.config.resume, &raw, foreign);
                    end.machine.handle(now, Input::Record(raw));
                    let tape = end.tape.take();
                    before.check(end, &tape);
                    owner.book.read_tape(side, end.is_on_first_path(), tape);
                }
                Ok(None) => break,
                Err(_) => {
                    end.machine.handle(now, Input::PathLost(PathLoss::Malformed));
                    inbox.clear();
                    break;
                }
            }
        }
        self.attend(session, side);
    }

    /// A path of a session ended for one end.
    pub(super) fn lose_path(&mut self, session: usize, side: Side, loss: PathLoss) {
        let now = self.now;
        if let Some(end) = self.end(session, side) {
            end.machine.handle(now, Input::PathLost(loss));
            self.attend(session, side);
        }
    }

    /// The application asks for new keys.
    pub(super) fn rekey(&mut self, session: usize, side: Side) {
        let now = self.now;
        let Some(end) = self.end(session, side) else { return };
        match end.machine.trigger_rekey(now) {
            Ok(version) => {
                assert!(version > end.machine.version(), "a version that is there already");
                end.wish = end.wish.max(version);
                let name = self.sessions[session].name(side);
                self.log.line(now, format_args!("{name} asks for version {}", version.0));
            }
            Err(_) => assert!(!end.is_running(), "refused while it runs"),
        }
        self.attend(session, side);
    }

    /// The application closes, or drops everything.
    pub(super) fn close(&mut self, session: usize, side: Side, reason: CloseReason) {
        let now = self.now;
        let Some(end) = self.sessions[session].ends[side.index()].as_mut() else { return };
        if end.closed.is_some() {
            return;
        }
        end.machine.close(now, reason.clone());
        self.log.line(now, format_args!("{} closes: {reason}", self.sessions[session].name(side)));
        self.attend(session, side);
    }

    /// The client will try to get a path, after a pause that doubles with each failure.
    pub(super) fn dial_later(&mut self, session: usize) {
        let failures = self.sessions[session].failures.min(6);
        let pause = Duration::from_millis(100 << failures).min(Duration::from_secs(5));
        let at = self.now + pause / 2 + self.dice.time(pause);
        self.schedule(at, Event::Dial(session, false));
    }

    /// Whether bytes of this path are for the session: its task reads no other.
    pub(super) fn is_carrying(&mut self, path: usize, side: Side) -> bool {
        let (session, role) = (self.paths[path].session, &self.paths[path].ends[side.index()].role);
        let is_session = matches!(role, Role::Session);
        is_session && self.end(session, side).is_some_and(|end| end.path == Some(path))
    }
}

/// A report without the session's name, which is not the same in a replay with real keys.
struct Report<'a>(&'a citadel_proto::CloseReport);

impl core::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let citadel_proto::CloseReport { local, peer, cut_short, clean, unconfirmed, .. } = self.0;
        write!(f, "{local}; peer {peer:?}; cut short {cut_short:?}; clean {clean}; {unconfirmed:?}")
    }
}
