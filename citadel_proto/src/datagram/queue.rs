//! A queue that is never in anybody's way: what is too much drops its oldest entries.

use crate::frames::MESSAGE_UNITS;
use bytes::Bytes;
use std::collections::VecDeque;

/// Entries, oldest first, of at most so many units together: an entry takes [`MESSAGE_UNITS`] and its bytes, so that empty
/// ones are bounded too.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Bytes>,
    units: u64,
    most: u64,
}

const fn units_of(entry: &Bytes) -> u64 {
    MESSAGE_UNITS + entry.len() as u64
}

impl Queue {
    pub(super) const fn new(most: u64) -> Self {
        Self { entries: VecDeque::new(), units: 0, most }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts `entry` at the end. Returns how many went for it; an entry that is over the bound by itself goes alone.
    pub(super) fn push(&mut self, entry: Bytes) -> u64 {
        self.units += units_of(&entry);
        self.entries.push_back(entry);
        let mut dropped = 0;
        while self.units > self.most && self.entries.len() > 1 {
            dropped += u64::from(self.pop().is_some());
        }
        dropped
    }

    /// The oldest entry. An empty queue owns no memory.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let entry = self.entries.pop_front()?;
        self.units -= units_of(&entry);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        Some(entry)
    }

    /// The same if it has at most `longest` bytes.
    pub(super) fn pop_if(&mut self, longest: usize) -> Option<Bytes> {
        let is_it = self.entries.front().is_some_and(|entry| entry.len() <= longest);
        if is_it { self.pop() } else { None }
    }

    /// Drops everything; returns how many that were.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.entries.len() as u64;
        *self = Self::new(self.most);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_entries_are_bounded_and_a_long_one_waits_alone() {
        let mut queue = Queue::new(640);
        let dropped: u64 = (0..25).map(|_| queue.push(Bytes::new())).sum();
        assert_eq!((dropped, queue.entries.len(), queue.units), (15, 10, 640));
        assert_eq!(queue.push(vec![0; 10_000].into()), 10);
        assert_eq!(queue.push(Bytes::from_static(b"next")), 1);
        assert_eq!(queue.pop_if(3), None);
        assert_eq!(queue.pop_if(4).unwrap(), "next");
        assert_eq!((queue.units, queue.pop()), (0, None));
        assert_eq!(queue.entries.capacity(), 0);
    }
}
