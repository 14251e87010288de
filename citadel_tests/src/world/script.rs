//! Steps of a script, carried out.

use super::app::{App, Context};
use super::world::{Event, World};
use super::{CutSeen, Op, Side, Step};
use citadel_proto::CloseReason;

const BOTH: [Side; 2] = [Side::Client, Side::Server];

impl World {
    /// Carries out one step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Pass(time) => self.pass(*time),
            Step::Dial(line) => {
                let line = line % self.lines.len();
                let is_free = match self.lines[line].session {
                    None => true,
                    Some(session) => self.ends_of(session).0,
                };
                if is_free {
                    self.dial_fresh(line);
                }
            }
            Step::At(line, side, op) => {
                if let Some(session) = self.session_of(*line) {
                    self.operate(session, *side, op);
                }
            }
            Step::Cut(line, seen, keep) => {
                let session = self.session_of(*line);
                let path = session.and_then(|session| self.paths_of(session).pop());
                if let Some(path) = path {
                    self.say(format_args!("cut of path {path}, seen by {seen:?}"));
                    self.cut(path, *seen, *keep);
                }
            }
            Step::Flip(line, side) => self.tamper(*line, *side, "a bit is flipped", super::wire::Wire::flip),
            Step::Repeat(line, side) => {
                self.tamper(*line, *side, "a piece comes twice", super::wire::Wire::repeat)
            }
            Step::Copy(line, side) => {
                self.session_of(*line).into_iter().for_each(|session| self.copy_record(session, *side));
            }
            Step::Forge(line, side) => {
                self.session_of(*line).into_iter().for_each(|session| self.forge_record(session, *side));
            }
            Step::Redial(line) => {
                if let Some(session) = self.session_of(*line) {
                    let now = self.now;
                    // What the client writes while the server changes over is lost.
                    self.sessions[session].book.is_disturbed = true;
                    self.schedule(now, Event::Dial(session, true));
                    self.pass(core::time::Duration::ZERO);
                }
            }
            Step::Down(client, seen) => self.set_down(*client, *seen),
            Step::Heal(client) => self.heal(client % self.clients.len()),
            Step::RekeyBoth(line) => {
                let session = self.session_of(*line);
                BOTH.into_iter().for_each(|side| session.into_iter().for_each(|s| self.rekey(s, side)));
            }
            Step::CloseBoth(line) => {
                let session = self.session_of(*line);
                let reason = |side: Side| CloseReason::application(side.index() as u32, "both at once");
                BOTH.into_iter()
                    .for_each(|side| session.into_iter().for_each(|s| self.close(s, side, reason(side))));
            }
        }
    }

    /// The session of a line, counted round.
    fn session_of(&self, line: usize) -> Option<usize> {
        self.lines[line % self.lines.len()].session
    }

    /// Whether the client's end is closed, and the server's.
    fn ends_of(&self, session: usize) -> (bool, bool) {
        let is_closed = |side: Side| {
            self.sessions[session].ends[side.index()].as_ref().is_some_and(|end| end.closed.is_some())
        };
        (is_closed(Side::Client), is_closed(Side::Server))
    }

    fn tamper(
        &mut self,
        line: usize,
        side: Side,
        what: &str,
        how: fn(&mut super::wire::Wire, &mut super::Dice) -> bool,
    ) {
        let Some(session) = self.session_of(line) else { return };
        for path in self.paths_of(session) {
            if how(&mut self.paths[path].wires[side.index()], &mut self.dice) {
                self.sessions[session].book.is_disturbed = true;
                self.log.line(self.now, format_args!("{what} on path {path}, from the {side:?}"));
            }
        }
    }

    fn set_down(&mut self, client: usize, seen: CutSeen) {
        let client = client % self.clients.len();
        self.clients[client].is_up = false;
        self.say(format_args!("the network of client {client} is down"));
        for path in 0..self.paths.len() {
            let is_hit = self.lines[self.sessions[self.paths[path].session].line].client == client;
            if is_hit && !(self.paths[path].is_over(Side::Client) && self.paths[path].is_over(Side::Server)) {
                self.cut(path, seen, 500);
            }
        }
    }

    pub(super) fn heal(&mut self, client: usize) {
        if !self.clients[client].is_up {
            self.clients[client].is_up = true;
            self.say(format_args!("the network of client {client} is back"));
        }
    }

    fn operate(&mut self, session: usize, side: Side, op: &Op) {
        if self.end(session, side).is_none_or(|end| end.closed.is_some()) {
            return;
        }
        match op {
            Op::Rekey => self.rekey(session, side),
            Op::Close(reason) => self.close(session, side, reason.clone()),
            Op::DropSession => {
                self.with_app(session, side, App::drop_all);
                if self.end(session, side).is_some_and(|end| end.is_running()) {
                    self.close(session, side, CloseReason::Aborted);
                }
            }
            _ => self.with_app(session, side, |app, cx| operate_channel(app, cx, op)),
        }
    }
}

fn operate_channel(app: &mut App, cx: &mut Context<'_>, op: &Op) {
    let index = match op {
        Op::Open => return app.open(cx),
        Op::OpenLane => return app.open_lane(cx),
        Op::Send(channel, _)
        | Op::Recv(channel)
        | Op::Read(channel, _)
        | Op::Finish(channel)
        | Op::Reset(channel, _)
        | Op::DropSender(channel)
        | Op::DropReader(channel, _)
        | Op::DropFuture(channel) => *channel,
        Op::Rekey | Op::Close(_) | Op::DropSession => return,
    };
    let Some(id) = app.nth(index) else { return };
    match op {
        Op::Send(_, len) => app.send(cx, id, *len),
        Op::Recv(_) => {
            app.take(cx, id);
        }
        Op::Read(_, pace) => app.set_pace(cx, id, *pace),
        Op::Finish(_) => app.finish(cx, id),
        Op::Reset(_, code) => app.reset(cx, id, *code),
        Op::DropSender(_) => app.drop_sender(cx, id),
        Op::DropReader(_, code) => app.drop_reader(cx, id, *code),
        Op::DropFuture(_) => app.drop_futures(cx, id),
        Op::Open | Op::OpenLane | Op::Rekey | Op::Close(_) | Op::DropSession => {}
    }
}
