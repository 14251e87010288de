//! Paths: two wires between a client and the server, first for a handshake, then for records.

use super::wire::Wire;
use super::world::{Event, Loss, World};
use super::{CutSeen, Dice, Side};
use bytes::{Bytes, BytesMut};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{ClientHandshake, ServerHandshake};
use citadel_crypt::ratchets::PathId;
use citadel_proto::PathLoss;
use core::time::Duration;

/// One connection.
pub(super) struct Path {
    pub(super) session: usize,
    /// The number that the client asks for; none for a new session.
    pub(super) resumes: Option<PathId>,
    pub(super) ends: [PathEnd; 2],
    /// By the one who writes.
    pub(super) wires: [Wire; 2],
    pub(super) round_trip: Duration,
    arrivals: Vec<(Timestamp, Side)>,
}

/// What one end has of a path.
pub(super) struct PathEnd {
    pub(super) role: Role,
    /// Arrived, not whole.
    pub(super) inbox: BytesMut,
    /// Written, not on the wire.
    pub(super) out: BytesMut,
    /// Records that it sealed for this path.
    pub(super) sealed: usize,
    /// Records under way to it that the other end did not write.
    pub(super) foreign: Vec<Bytes>,
}

/// What an end does with a path.
pub(super) enum Role {
    Connecting,
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
    Session,
    /// It has closed it.
    Over,
}

impl Path {
    pub(super) fn new(world: &mut World, session: usize, resumes: Option<PathId>) -> Self {
        let (setup, dice) = (&world.setup, &mut world.dice);
        let mut wire = || {
            let delay = setup.delay / 4 + dice.time(setup.delay);
            (delay, Wire::new(delay, setup.jitter, setup.capacity))
        };
        let ((one, to_server), (other, to_client)) = (wire(), wire());
        let end = || PathEnd {
            role: Role::Connecting,
            inbox: BytesMut::new(),
            out: BytesMut::new(),
            sealed: 0,
            foreign: Vec::new(),
        };
        let round_trip = one + other;
        Self {
            session,
            resumes,
            ends: [end(), end()],
            wires: [to_server, to_client],
            round_trip,
            arrivals: Vec::new(),
        }
    }

    /// Puts what fits on the wire. True if all of it went.
    pub(super) fn flush(&mut self, now: Timestamp, side: Side, dice: &mut Dice) -> bool {
        let out = &mut self.ends[side.index()].out;
        let arrivals = self.wires[side.index()].write(now, out, dice);
        self.arrivals.extend(arrivals.into_iter().map(|at| (at, side.other())));
        out.is_empty()
    }

    /// Something that an end did not write stands behind what it wrote.
    pub(super) fn inject(&mut self, side: Side, record: Bytes) {
        self.ends[side.index()].out.extend_from_slice(&record);
        self.ends[side.other().index()].foreign.push(record);
    }

    pub(super) const fn is_over(&self, side: Side) -> bool {
        matches!(self.ends[side.index()].role, Role::Over)
    }
}

impl World {
    /// Arrivals of what was put on the wires of a path go into the calendar.
    pub(super) fn schedule_arrivals(&mut self, path: usize) {
        let arrivals = core::mem::take(&mut self.paths[path].arrivals);
        for (at, to) in arrivals {
            self.schedule(at, Event::Arrive(path, to));
        }
    }

    /// Writes flights of a handshake.
    pub(super) fn flush_handshake(&mut self, path: usize, side: Side) {
        self.paths[path].flush(self.now, side, &mut self.dice);
        self.schedule_arrivals(path);
    }

    pub(super) fn on_arrival(&mut self, path: usize, side: Side) {
        let Some(chunk) = self.paths[path].wires[side.other().index()].arrive() else { return };
        let end = &mut self.paths[path].ends[side.index()];
        if !matches!(end.role, Role::Over) {
            end.inbox.extend_from_slice(&chunk);
            self.take_inbox(path, side);
        }
        let (session, writer) = (self.paths[path].session, side.other());
        if self.is_carrying(path, writer) {
            self.attend(session, writer);
        } else {
            self.flush_handshake(path, writer);
        }
    }

    /// What is in the inbox goes to whoever reads it now.
    pub(super) fn take_inbox(&mut self, path: usize, side: Side) {
        self.take_flights(path, side);
        if self.is_carrying(path, side) {
            let session = self.paths[path].session;
            let mut inbox = core::mem::take(&mut self.paths[path].ends[side.index()].inbox);
            self.take_records(session, path, side, &mut inbox);
            self.paths[path].ends[side.index()].inbox = inbox;
        }
    }

    /// An end closes a path: what it has put on the wire still arrives, then its end.
    pub(super) fn drop_path(&mut self, path: usize, side: Side) {
        let dropped = &mut self.paths[path];
        if dropped.is_over(side) {
            return;
        }
        let end = &mut dropped.ends[side.index()];
        (end.role, end.inbox, end.out) = (Role::Over, BytesMut::new(), BytesMut::new());
        let wire = &mut dropped.wires[side.index()];
        if wire.is_whole() {
            let at = wire.next_arrival(self.now, &mut self.dice);
            self.schedule(at, Event::Lost(path, side.other(), Loss::Ended));
        }
    }

    /// An end learns that a path is gone.
    pub(super) fn on_lost(&mut self, path: usize, side: Side, loss: Loss) {
        if self.paths[path].is_over(side) {
            return;
        }
        let (session, is_carrying) = (self.paths[path].session, self.is_carrying(path, side));
        if is_carrying {
            self.lose_path(session, side, PathLoss::from(loss));
        }
        if !self.paths[path].is_over(side) {
            self.drop_path(path, side);
            if !is_carrying && side == Side::Client {
                self.on_dial_failed(session);
            }
        }
    }

    /// The network cuts a path.
    pub(super) fn cut(&mut self, path: usize, seen: CutSeen, keep: u64) {
        let session = self.paths[path].session;
        self.sessions[session].book.is_disturbed = true;
        for side in [Side::Client, Side::Server] {
            let wire = &mut self.paths[path].wires[side.index()];
            let kept = wire.in_flight() as u64 * keep / 1000;
            wire.cut(usize::try_from(kept).unwrap_or(0));
            if seen.by(side) {
                let delay = self.setup.delay;
                let at = self.now + self.dice.time(delay * 2);
                self.schedule(at, Event::Lost(path, side, Loss::Broken));
            }
        }
    }

    /// Paths of a session that an end has not closed.
    pub(super) fn paths_of(&self, session: usize) -> Vec<usize> {
        let is_alive = |path: &Path| !path.is_over(Side::Client) || !path.is_over(Side::Server);
        let numbered = self.paths.iter().enumerate();
        numbered.filter(|(_, path)| path.session == session && is_alive(path)).map(|(n, _)| n).collect()
    }
}
