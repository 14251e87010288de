//! Records that no end wrote where they arrive (scenario 19a): copied from an earlier path, or made up. Whoever can
//! write into a path can end it, and nothing else (R-SES-6).

use super::end::End;
use super::tap::Seen;
use super::world::World;
use super::{Dice, Side};
use bytes::Bytes;
use citadel_proto::record::{HEADER_LEN, Header, RawRecord};
use citadel_proto::session::SessionMachine;
use citadel_proto::shutdown::Stage;
use core::time::Duration;

/// Records kept of a path: its first ones, whose place on another path comes soon.
const KEPT: usize = 12;

/// A record that an end sealed for a path.
pub(super) struct Kept {
    path: usize,
    /// Its place among the records of that path.
    number: usize,
    record: Bytes,
}

/// What a network keeps of the records of one end, and means to do with them.
#[derive(Default)]
pub(super) struct Copies {
    kept: Vec<Kept>,
    /// The next path begins with a record of an earlier one.
    is_next_begun: bool,
}

impl Copies {
    /// Counts what was sealed for a path, and keeps some of it.
    pub(super) fn keep(&mut self, path: usize, number: &mut usize, mut sealed: &[u8]) {
        while let Some((header, _)) = sealed.split_first_chunk::<HEADER_LEN>() {
            let header = Header::parse(*header).expect("a correct end wrote it");
            let (record, rest) = sealed.split_at(HEADER_LEN + header.body_len);
            if *number < KEPT {
                self.kept.push(Kept { path, number: *number, record: Bytes::copy_from_slice(record) });
            }
            *number += 1;
            sealed = rest;
        }
    }

    /// A record of a path before this one, in its own place or in any.
    fn pick(&self, path: usize, number: usize, dice: &mut Dice) -> Option<Bytes> {
        let is_placed = dice.percent(70);
        let fits = |kept: &&Kept| kept.path != path && (!is_placed || kept.number == number);
        let fitting: Vec<&Kept> = self.kept.iter().filter(fits).collect();
        (!fitting.is_empty()).then(|| dice.pick(&fitting).record.clone())
    }

    /// What stands before everything that this end writes into a new path.
    pub(super) fn begin(&mut self, path: usize, dice: &mut Dice) -> Option<Bytes> {
        let record = self.is_next_begun.then(|| self.pick(path, 0, dice)).flatten();
        self.is_next_begun &= record.is_none();
        record
    }
}

impl World {
    /// Writes a record of an earlier path behind what an end has written, or at the start of its next path.
    pub(super) fn copy_record(&mut self, session: usize, side: Side) {
        let Some(path) = self.end(session, side).and_then(|end| end.path) else { return };
        let number = self.paths[path].ends[side.index()].sealed;
        let copies = &mut self.sessions[session].copies[side.index()];
        let record = copies.pick(path, number, &mut self.dice).filter(|_| self.dice.percent(50));
        match record {
            Some(record) => self.inject(session, side, path, record),
            None => copies.is_next_begun = true,
        }
    }

    /// Writes what looks like a record behind what an end has written.
    pub(super) fn forge_record(&mut self, session: usize, side: Side) {
        let Some(end) = self.end(session, side) else { return };
        let (Some(path), version) = (end.path, end.machine.version()) else { return };
        let body_len = 17 + self.dice.index(200);
        let version_bits = if self.dice.percent(80) { version.low_bits() } else { self.dice.draw() as u8 };
        let header = Header { version_bits, body_len }.encode();
        let body = (0..body_len).map(|_| self.dice.draw() as u8);
        let record: Vec<u8> = header.into_iter().chain(body).collect();
        self.inject(session, side, path, record.into());
    }

    fn inject(&mut self, session: usize, side: Side, path: usize, record: Bytes) {
        self.log.line(self.now, format_args!("a record that the {side:?} did not write, on path {path}"));
        self.sessions[session].book.is_disturbed = true;
        self.paths[path].inject(side, record);
        self.attend(session, side);
    }
}

/// How an end stood before a record came.
pub(super) struct Before {
    had_path: bool,
    is_resumable: bool,
    is_foreign: bool,
}

impl Before {
    pub(super) fn of(machine: &SessionMachine, resume: Duration, raw: &RawRecord, foreign: &[Bytes]) -> Self {
        let is_it = |record: &Bytes| {
            record
                .split_at_checked(HEADER_LEN)
                .is_some_and(|(head, body)| head == raw.header && body == raw.body)
        };
        Self {
            had_path: machine.path().is_some(),
            is_resumable: !resume.is_zero() && machine.stage() < Stage::Announcing,
            is_foreign: foreign.iter().any(is_it),
        }
    }

    /// A record that nobody wrote for this path opened nowhere, and ended the path alone.
    pub(super) fn check(&self, end: &End, tape: &[Seen]) {
        if self.is_foreign {
            assert!(tape.is_empty(), "a record opened that was not written for this path");
            assert!(end.machine.path().is_none(), "a record that does not open left its path");
            let is_kept = end.machine.is_detached() || !self.had_path || !self.is_resumable;
            assert!(is_kept, "a record that does not open ended the session");
        }
    }
}
