//! Datagrams of a session: what waits to go, what waits to be taken, and how long one may be on the path there is.
//!
//! Owns: both queues and their bounds, the bytes of packets, the counts. Never: keys, paths, who asked and why.
//!
//! Invariants: whoever has not asked keeps none; a queue is bounded in bytes and in number, and its oldest entry goes for a
//! new one; nothing waits for a path that is to come; a datagram leaves a queue once.

pub(crate) mod packet;
mod queue;

use crate::errors::DatagramError;
use crate::frames::{self, MAX_DATAGRAM, MAX_DATAGRAM_HEADER};
use bytes::{Bytes, BytesMut};
use queue::Queue;

/// Longest datagram that fits every path: a packet of QUIC in the shortest packet of UDP that it takes a network to carry
/// (1,200 bytes; RFC 9000, section 14) has room for more.
pub const MIN_DATAGRAM: usize = 1_024;
/// What datagrams take of a record before messages of channels get their room: one of the longest, a quarter.
const SHARE: usize = MAX_DATAGRAM + MAX_DATAGRAM_HEADER;

/// What became of a session's datagrams, at this end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Put on their way. Whether they arrived nobody knows.
    pub sent: u64,
    /// Came, whole and for the first time, while somebody asked.
    pub received: u64,
    /// Not sent: newer ones came before the path took them, it was lost, or the session closed.
    pub late: u64,
    /// Received and not taken: newer ones came before the reader.
    pub overrun: u64,
    /// Came when nobody asked for any.
    pub unwanted: u64,
    /// Packets that were not what the peer sealed, or came again, or too late to tell.
    pub rejected: u64,
}

/// How the path carries datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carriage {
    /// There is no path.
    Nothing,
    /// It keeps an order: they go in records.
    Records,
    /// It has packets, which hold at most so many bytes.
    Packets { longest: usize },
}

/// The datagrams of a session.
#[derive(Debug)]
pub(crate) struct Datagrams {
    carriage: Carriage,
    outgoing: Queue,
    incoming: Queue,
    /// Who asked for them and has not gone.
    askers: usize,
    stats: DatagramStats,
}

impl Datagrams {
    /// Each queue takes `buffer` units.
    pub(crate) const fn new(buffer: u64) -> Self {
        Self {
            carriage: Carriage::Records,
            outgoing: Queue::new(buffer),
            incoming: Queue::new(buffer),
            askers: 0,
            stats: DatagramStats { sent: 0, received: 0, late: 0, overrun: 0, unwanted: 0, rejected: 0 },
        }
    }

    pub(crate) const fn stats(&self) -> DatagramStats {
        self.stats
    }

    pub(crate) const fn ask(&mut self) {
        self.askers += 1;
    }

    /// One who asked has gone; with the last one goes what nobody will take.
    pub(crate) fn leave(&mut self) {
        self.askers = self.askers.saturating_sub(1);
        if self.askers == 0 {
            self.stats.overrun += self.incoming.clear();
        }
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.askers > 0
    }

    /// A path carries the session now, in records until its driver says that it has packets.
    pub(crate) fn on_path(&mut self) {
        self.drop_outgoing();
        self.carriage = Carriage::Records;
    }

    /// No path does.
    pub(crate) fn on_lost(&mut self) {
        self.drop_outgoing();
        self.carriage = Carriage::Nothing;
    }

    /// The session closes: nothing is sent any more. What came stays for its reader.
    pub(crate) fn on_closing(&mut self) {
        self.on_lost();
    }

    fn drop_outgoing(&mut self) {
        self.stats.late += self.outgoing.clear();
    }

    /// The path has packets of at most `longest` bytes, or none. Packets that not even [`MIN_DATAGRAM`] fits are none.
    pub(crate) fn carry_in_packets(&mut self, longest: Option<usize>) {
        if self.carriage == Carriage::Nothing {
            return;
        }
        let longest = longest.filter(|longest| *longest >= packet::OVERHEAD + MIN_DATAGRAM);
        self.carriage = longest.map_or(Carriage::Records, |longest| Carriage::Packets { longest });
    }

    /// Longest datagram that the path takes; without a path the longest that any will.
    pub(crate) const fn longest(&self) -> usize {
        match self.carriage {
            Carriage::Nothing => MIN_DATAGRAM,
            Carriage::Records => MAX_DATAGRAM,
            Carriage::Packets { longest } => {
                let longest = longest - packet::OVERHEAD;
                if longest < MAX_DATAGRAM { longest } else { MAX_DATAGRAM }
            }
        }
    }

    /// Takes a datagram to be sent. Where there is no path it is late already.
    pub(crate) fn send(&mut self, datagram: Bytes) -> Result<(), DatagramError> {
        let (len, limit) = (datagram.len(), self.longest());
        if len > limit {
            return Err(DatagramError::TooLong { len, limit });
        }
        self.stats.late += match self.carriage {
            Carriage::Nothing => 1,
            Carriage::Records | Carriage::Packets { .. } => self.outgoing.push(datagram),
        };
        Ok(())
    }

    /// Whether one waits for a packet.
    pub(crate) fn has_for_packet(&self) -> bool {
        matches!(self.carriage, Carriage::Packets { .. }) && !self.outgoing.is_empty()
    }

    /// Whether one waits for room in a record.
    pub(crate) fn has_for_record(&self) -> bool {
        self.carriage == Carriage::Records && !self.outgoing.is_empty()
    }

    /// The next one for a packet. One that no packet holds any more is late.
    pub(crate) fn next_for_packet(&mut self) -> Option<Bytes> {
        if !matches!(self.carriage, Carriage::Packets { .. }) {
            return None;
        }
        while let Some(datagram) = self.outgoing.pop() {
            if datagram.len() <= self.longest() {
                self.stats.sent += 1;
                return Some(datagram);
            }
            self.stats.late += 1;
        }
        None
    }

    /// It could not be sealed.
    pub(crate) const fn on_unsealed(&mut self) {
        self.stats.sent -= 1;
        self.stats.late += 1;
    }

    /// Writes those that have a place in a record before messages have theirs. True if any.
    pub(crate) fn write_share(&mut self, out: &mut BytesMut, end: usize) -> bool {
        let end = end.min(out.len() + SHARE);
        self.write(out, end)
    }

    /// Writes what fits below `end` bytes of `out`. True if anything did.
    pub(crate) fn write(&mut self, out: &mut BytesMut, end: usize) -> bool {
        if self.carriage != Carriage::Records {
            return false;
        }
        let before = self.stats.sent;
        let room = |out: &BytesMut| end.saturating_sub(out.len()).saturating_sub(MAX_DATAGRAM_HEADER);
        while let Some(datagram) = self.outgoing.pop_if(room(out)) {
            frames::put_datagram(out, &datagram);
            self.stats.sent += 1;
        }
        self.stats.sent > before
    }

    /// One came. True if its reader may have waited for it.
    pub(crate) fn receive(&mut self, datagram: &[u8]) -> bool {
        if !self.is_wanted() {
            self.on_unwanted();
            return false;
        }
        self.stats.received += 1;
        let is_first = self.incoming.is_empty();
        // A copy: what it came in is much longer and would stay with it.
        self.stats.overrun += self.incoming.push(Bytes::copy_from_slice(datagram));
        is_first
    }

    /// One came that nobody asked for.
    pub(crate) const fn on_unwanted(&mut self) {
        self.stats.unwanted += 1;
    }

    /// A packet came that is of no use.
    pub(crate) const fn on_rejected(&mut self) {
        self.stats.rejected += 1;
    }

    /// The oldest that came.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.incoming.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(buffer: u64) -> Datagrams {
        let mut datagrams = Datagrams::new(buffer);
        datagrams.ask();
        datagrams
    }

    #[test]
    fn who_has_not_asked_keeps_nothing_and_who_leaves_takes_all_of_it_along() {
        let mut datagrams = Datagrams::new(1_000);
        assert!(!datagrams.receive(b"unasked"));
        datagrams.ask();
        datagrams.ask();
        assert!(datagrams.receive(b"one"), "somebody may have waited");
        assert!(!datagrams.receive(b"two"), "who waited was told");
        datagrams.leave();
        assert_eq!(datagrams.take().unwrap(), "one");
        datagrams.leave();
        assert_eq!(datagrams.take(), None);
        let stats = datagrams.stats();
        assert_eq!((stats.unwanted, stats.received, stats.overrun), (1, 2, 1));
    }

    #[test]
    fn the_oldest_go_for_the_newest_in_both_queues() {
        let mut datagrams = asked(10 * (64 + 4));
        for number in 0..25_u32 {
            datagrams.send(number.to_be_bytes().to_vec().into()).unwrap();
            datagrams.receive(&number.to_be_bytes());
        }
        let stats = datagrams.stats();
        assert_eq!((stats.late, stats.overrun), (15, 15));
        let mut out = BytesMut::new();
        assert!(datagrams.write(&mut out, 1 << 16));
        assert_eq!(out.len(), 10 * (1 + 1 + 4));
        let taken: Vec<_> = core::iter::from_fn(|| datagrams.take()).collect();
        let expected: Vec<_> =
            (15..25_u32).map(|number| Bytes::from(number.to_be_bytes().to_vec())).collect();
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_is_sent_without_a_path_or_waits_when_it_goes_is_late() {
        let mut datagrams = asked(1 << 16);
        datagrams.send(vec![1; MAX_DATAGRAM].into()).unwrap();
        datagrams.on_lost();
        assert_eq!(datagrams.longest(), MIN_DATAGRAM);
        datagrams.send(vec![2; MIN_DATAGRAM].into()).unwrap();
        assert!(datagrams.send(vec![2; MIN_DATAGRAM + 1].into()).is_err());
        datagrams.on_path();
        assert!(!datagrams.has_for_record() && !datagrams.has_for_packet());
        assert_eq!((datagrams.stats().late, datagrams.stats().sent), (2, 0));
    }

    #[test]
    fn packets_say_how_long_one_may_be_and_what_shrank_below_one_is_late() {
        let mut datagrams = asked(1 << 16);
        datagrams.carry_in_packets(Some(1_400));
        assert_eq!(datagrams.longest(), 1_400 - packet::OVERHEAD);
        for len in [1_375, 1_100] {
            datagrams.send(vec![0; len].into()).unwrap();
        }
        assert!(!datagrams.write(&mut BytesMut::new(), 1 << 16), "not in a record as well");
        datagrams.carry_in_packets(Some(1_200));
        assert_eq!(datagrams.next_for_packet().unwrap().len(), 1_100);
        assert_eq!((datagrams.stats().late, datagrams.stats().sent), (1, 1));
        // Packets that do not hold what always fits are none.
        datagrams.carry_in_packets(Some(MIN_DATAGRAM + packet::OVERHEAD - 1));
        assert_eq!(datagrams.longest(), MAX_DATAGRAM);
    }

    #[test]
    fn before_messages_datagrams_take_a_quarter_of_a_record_and_no_more() {
        let mut datagrams = asked(1 << 20);
        for _ in 0..100 {
            datagrams.send(vec![0; 1_000].into()).unwrap();
        }
        let mut out = BytesMut::new();
        assert!(datagrams.write_share(&mut out, crate::record::MAX_PAYLOAD));
        assert!((SHARE - 1_100..=SHARE).contains(&out.len()), "{}", out.len());
        const { assert!(SHARE <= crate::record::MAX_PAYLOAD / 4 + MAX_DATAGRAM_HEADER) }
    }
}
