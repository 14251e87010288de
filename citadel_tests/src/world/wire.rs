//! One direction of a path: bytes on their way, in order, cut or changed where the script says so.

use super::Dice;
use bytes::{Bytes, BytesMut};
use citadel_crypt::Timestamp;
use core::time::Duration;
use std::collections::VecDeque;

/// Largest piece that arrives at once.
const MAX_CHUNK: u64 = 48 * 1024;

/// Bytes in flight in one direction.
pub(super) struct Wire {
    delay: Duration,
    jitter: Duration,
    /// Most bytes in flight: what the buffers of sockets and routers hold.
    capacity: usize,
    chunks: VecDeque<Bytes>,
    in_flight: usize,
    last: Timestamp,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Whole,
    /// What is written vanishes, and fills the buffers like what arrives.
    Silent,
}

impl Wire {
    pub(super) fn new(delay: Duration, jitter: Duration, capacity: usize) -> Self {
        let last = Timestamp::ZERO;
        Self { delay, jitter, capacity, chunks: VecDeque::new(), in_flight: 0, last, fate: Fate::Whole }
    }

    pub(super) const fn room(&self) -> usize {
        self.capacity.saturating_sub(self.in_flight)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.fate == Fate::Whole
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes what fits from `out`, in pieces of any size; says when each arrives.
    pub(super) fn write(&mut self, now: Timestamp, out: &mut BytesMut, dice: &mut Dice) -> Vec<Timestamp> {
        let mut arrivals = Vec::new();
        while !out.is_empty() && self.room() > 0 {
            let most = self.room().min(out.len());
            let take = if dice.percent(50) { most } else { 1 + dice.index(most) };
            let chunk = out.split_to(take.min(MAX_CHUNK as usize)).freeze();
            self.in_flight += chunk.len();
            if self.fate == Fate::Silent {
                continue;
            }
            self.chunks.push_back(chunk);
            arrivals.push(self.next_arrival(now, dice));
        }
        arrivals
    }

    /// When something sent now arrives: never before what was sent earlier.
    pub(super) fn next_arrival(&mut self, now: Timestamp, dice: &mut Dice) -> Timestamp {
        self.last = self.last.max(now + self.delay + dice.time(self.jitter));
        self.last
    }

    /// The piece whose arrival has come; none if it was cut off.
    pub(super) fn arrive(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.in_flight -= chunk.len();
        Some(chunk)
    }

    /// Cuts: the first `keep` bytes in flight still arrive, nothing after them ever.
    pub(super) fn cut(&mut self, keep: usize) {
        let mut left = keep;
        for chunk in &mut self.chunks {
            chunk.truncate(left);
            left -= chunk.len();
        }
        self.fate = Fate::Silent;
    }

    /// Changes one bit of a piece in flight. False if nothing is in flight.
    pub(super) fn flip(&mut self, dice: &mut Dice) -> bool {
        let whole: Vec<usize> = (0..self.chunks.len()).filter(|i| !self.chunks[*i].is_empty()).collect();
        if whole.is_empty() {
            return false;
        }
        let chunk = &mut self.chunks[dice.pick(&whole)];
        let mut bytes = BytesMut::from(&chunk[..]);
        let at = dice.index(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
        *chunk = bytes.freeze();
        true
    }

    /// A piece in flight arrives twice, which an ordered path never does. False if nothing is in flight.
    pub(super) fn repeat(&mut self, dice: &mut Dice) -> bool {
        let whole: Vec<usize> = (0..self.chunks.len()).filter(|i| !self.chunks[*i].is_empty()).collect();
        if whole.is_empty() {
            return false;
        }
        let chunk = &mut self.chunks[dice.pick(&whole)];
        self.in_flight += chunk.len();
        *chunk = [&chunk[..], &chunk[..]].concat().into();
        true
    }
}
