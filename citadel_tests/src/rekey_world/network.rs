//! Packets in flight: two links with delay, loss, reordering, and a script for single messages.

use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::{MessageKind, RoundId, Side};
use core::time::Duration;
use std::fmt;

/// What becomes of one sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// As the link does it.
    Deliver,
    /// Never arrives.
    Drop,
    /// Arrives this much later than the link would have it.
    Delay(Duration),
    /// Is sealed and sent a second time, this much later (a copied record would be refused as a replay).
    Twice(Duration),
}

/// What the script is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Who sends.
    pub from: Side,
    /// Kind of a rekey message, none for data.
    pub kind: Option<MessageKind>,
    /// The round of a rekey message.
    pub round: Option<RoundId>,
    /// How many rekey messages this side sent before.
    pub nth: usize,
}

/// One direction of the network.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Time on the way.
    pub delay: Duration,
    /// Up to this much more, at random; on an unordered link that reorders.
    pub spread: Duration,
    /// Lost packets in a thousand.
    pub loss: u32,
    /// Whether packets keep their order.
    pub ordered: bool,
}

impl Link {
    /// Ordered, nothing lost, 5 ms.
    pub const RELIABLE: Self =
        Self { delay: Duration::from_millis(5), spread: Duration::ZERO, loss: 0, ordered: true };
    /// Unordered, up to 20 ms apart, every twentieth packet lost.
    pub const LOSSY: Self =
        Self { delay: Duration::from_millis(5), spread: Duration::from_millis(20), loss: 50, ordered: false };
}

/// A sealed record on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: Side,
    /// The 8 low bits of the version it is sealed under.
    pub version_bits: u8,
    /// Its counter under that version.
    pub counter: u64,
    /// What was sealed.
    pub bytes: Vec<u8>,
    arrives: Timestamp,
    order: u64,
}

/// A script: asked for every sending, in order.
pub type Script = Box<dyn FnMut(&Sent) -> Fate>;

/// Both directions.
pub struct Network {
    link: Link,
    script: Script,
    random: u64,
    in_flight: Vec<Packet>,
    sent: u64,
    rekey_sent: [usize; 2],
}

impl Network {
    /// A network with the same link in both directions.
    pub fn new(link: Link, seed: u64) -> Self {
        Self {
            link,
            script: Box::new(|_| Fate::Deliver),
            random: seed | 1,
            in_flight: Vec::new(),
            sent: 0,
            rekey_sent: [0; 2],
        }
    }

    /// From here on `script` decides about every sending.
    pub fn set_script(&mut self, script: impl FnMut(&Sent) -> Fate + 'static) {
        self.script = Box::new(script);
        self.rekey_sent = [0; 2];
    }

    /// Asks the script.
    pub(super) fn fate(&mut self, from: Side, message: Option<(MessageKind, RoundId)>) -> Fate {
        let count = &mut self.rekey_sent[usize::from(from.number())];
        let sent = Sent { from, kind: message.map(|m| m.0), round: message.map(|m| m.1), nth: *count };
        *count += usize::from(message.is_some());
        (self.script)(&sent)
    }

    /// Takes a record, to arrive `extra` later than usual.
    pub(super) fn send(&mut self, now: Timestamp, extra: Duration, from: Side, record: (u8, u64, Vec<u8>)) {
        let (version_bits, counter, bytes) = record;
        self.sent += 1;
        if self.draw() % 1000 < u64::from(self.link.loss) {
            return;
        }
        let spread = u64::try_from(self.link.spread.as_nanos()).unwrap_or(u64::MAX);
        let drawn = Duration::from_nanos(self.draw() % spread.max(1));
        let mut arrives = now + self.link.delay + drawn + extra;
        if self.link.ordered {
            let last = self.in_flight.iter().filter(|p| p.from == from).map(|p| p.arrives).max();
            arrives = arrives.max(last.unwrap_or(Timestamp::ZERO));
        }
        let order = self.sent;
        self.in_flight.push(Packet { from, version_bits, counter, bytes, arrives, order });
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        self.in_flight.iter().map(|p| p.arrives).min()
    }

    /// The packet that arrives first, if it does by `now`.
    pub(super) fn arrive(&mut self, now: Timestamp) -> Option<Packet> {
        let first = self.in_flight.iter().enumerate().min_by_key(|(_, p)| (p.arrives, p.order));
        let (index, _) = first.filter(|(_, p)| p.arrives <= now)?;
        Some(self.in_flight.remove(index))
    }

    /// The packets in flight, oldest first; what a test takes out or puts in is its own affair.
    pub fn in_flight_mut(&mut self) -> &mut Vec<Packet> {
        &mut self.in_flight
    }

    /// Packets in flight.
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// xorshift64*: reproducible, good enough to shuffle packets.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({} in flight of {} sent)", self.in_flight.len(), self.sent)
    }
}
