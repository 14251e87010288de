//! The greeting of a stream, which proves it: 64 bytes there and 64 back, under the keys of the attempt, before anything else.
//!
//! Who dialled says hello; who has taken the stream knows by it that the peer of an attempt is there, answers, and the one that
//! dialled knows it as well. Whoever cannot say hello costs 64 bytes of buffer, and one MAC if he has heard of an attempt's tag.

use super::address::MAX_STREAMS;
use super::packet::{Packet, Probe, ProbeKeys};
use std::sync::Arc;

/// The greetings of one end in one attempt.
#[derive(Debug)]
pub struct Greeting {
    keys: Arc<ProbeKeys>,
    /// Which of the peer's hellos counted, a bit each.
    used: u64,
}

impl Greeting {
    /// Of an attempt with these keys.
    pub const fn new(keys: Arc<ProbeKeys>) -> Self {
        Self { keys, used: 0 }
    }

    /// What goes first on the stream that was dialled as this end's `number`th, from 0.
    pub fn hello(&self, number: u64) -> Packet {
        self.keys.seal(Probe::Hello { number })
    }

    /// Whether a packet is the answer to that hello, to ask while this goes on.
    pub fn is_welcome(&self, number: u64) -> impl Fn(&Packet) -> bool + Send + Sync + 'static {
        let keys = Arc::clone(&self.keys);
        move |packet| keys.open(packet) == Some(Probe::Welcome { number })
    }

    /// The answer to what came first on a stream, if it is a hello of the peer in this attempt. Each counts once.
    pub fn welcome(&mut self, packet: &Packet) -> Option<Packet> {
        let Some(Probe::Hello { number }) = self.keys.open(packet) else { return None };
        let bit =
            u32::try_from(number).ok().filter(|at| usize::try_from(*at).is_ok_and(|at| at < MAX_STREAMS));
        let bit = 1_u64 << bit?;
        let is_new = self.used & bit == 0;
        self.used |= bit;
        is_new.then(|| self.keys.seal(Probe::Welcome { number }))
    }
}
