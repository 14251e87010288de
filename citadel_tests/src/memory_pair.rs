//! Both ends of a session in one place, without a driver: what rounds and records cost by themselves.

use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::{
    Input, Message, Output, RekeyConfig, RekeyMachine, RekeyStats, Side, Timestamp, Version,
};
use citadel_crypt::ratchets::{HybridAgreement, InitialSecrets, PathId, Toolset};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoProvider, Suite};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

struct End {
    machine: RekeyMachine<HybridAgreement>,
    toolset: Toolset,
    inbox: VecDeque<(Version, Message<HybridAgreement>)>,
}

/// Two ends that share a session and a path.
pub struct MemoryPair {
    ends: [End; 2],
    now: Timestamp,
}

/// The keys that both ends of a session in memory start from.
pub fn initial_secrets(suite: Suite) -> InitialSecrets {
    InitialSecrets { session_id: [1; 32], suite, hs: Secret::copy_from(&[2; 32]), th0: [3; 32] }
}

impl MemoryPair {
    /// A session of `suite` whose rounds are never signed.
    pub fn new(provider: &Arc<dyn CryptoProvider>, suite: Suite, mode: SecrecyMode) -> Self {
        let end = |side| {
            let initial = initial_secrets(suite);
            let (toolset, agreement) = initial.into_parts(Arc::clone(provider), side, mode, None);
            let config = RekeyConfig { reauth: None, ..RekeyConfig::new(side, suite.id()) };
            let machine = RekeyMachine::new(config, agreement, Timestamp::ZERO);
            End { machine, toolset, inbox: VecDeque::new() }
        };
        Self { ends: [end(Side::Initiator), end(Side::Responder)], now: Timestamp::ZERO }
    }

    /// Latest version of the initiator.
    pub fn version(&self) -> Version {
        self.ends[0].machine.latest()
    }

    /// Counters of one end.
    pub fn stats(&self, side: Side) -> RekeyStats {
        self.ends[usize::from(side.number())].machine.stats()
    }

    /// One round that `side` asks for, until both ends are idle.
    pub fn round(&mut self, side: Side) {
        self.input(side, Input::Trigger);
        self.deliver_all(|_| {});
    }

    /// As [`round`](Self::round); returns the messages in the order in which they arrived.
    pub fn recorded_round(&mut self, side: Side) -> Vec<Message<HybridAgreement>> {
        let mut messages = Vec::new();
        self.input(side, Input::Trigger);
        self.deliver_all(|message| messages.push(message.clone()));
        messages
    }

    /// One round that both ends ask for at once.
    pub fn contended_round(&mut self) {
        self.input(Side::Initiator, Input::Trigger);
        self.input(Side::Responder, Input::Trigger);
        self.deliver_all(|_| {});
    }

    /// `len` bytes from the initiator to the responder, encrypted and decrypted in place.
    pub fn seal_and_open(&mut self, record: &mut Vec<u8>, len: usize) {
        record.resize(len, 0);
        let [sender, receiver] = &mut self.ends;
        let version = sender.toolset.latest();
        let header = [version.low_bits(), 0, 0, 0];
        let sealed = sender.toolset.seal(PathId::FIRST, &header, record).expect("far below every limit");
        record.extend_from_slice(&sealed.tag);
        let opened = receiver.toolset.open(version, PathId::FIRST, None, &header, record);
        assert_eq!(opened, Ok(len), "what is sealed opens");
    }

    fn input(&mut self, side: Side, input: Input<HybridAgreement>) {
        // A second a round trip: drains end, and no round is repeated because messages are delivered at once.
        self.now = self.now + Duration::from_millis(250);
        let (one, other) = self.ends.split_at_mut(1);
        let (end, peer) = match side {
            Side::Initiator => (&mut one[0], &mut other[0]),
            Side::Responder => (&mut other[0], &mut one[0]),
        };
        let _verdict = end.machine.handle(self.now, input);
        while let Some(output) = end.machine.poll_output() {
            match output {
                Output::Send { under, message } => peer.inbox.push_back((under, message)),
                Output::Committed { ratchet, earliest, .. } => end.toolset.commit(ratchet, earliest),
                Output::Evict { earliest } => end.toolset.evict(earliest),
                Output::Event(_) | Output::Halted | Output::Close(_) => {}
            }
        }
    }

    fn deliver_all(&mut self, mut seen: impl FnMut(&Message<HybridAgreement>)) {
        let before = self.version();
        loop {
            let sides = [Side::Responder, Side::Initiator];
            let next = sides.into_iter().find_map(|side| {
                let (under, message) = self.ends[usize::from(side.number())].inbox.pop_front()?;
                seen(&message);
                Some((side, Input::Message { under, message }))
            });
            let Some((side, input)) = next else { break };
            self.input(side, input);
        }
        assert_eq!(self.version(), before.next(), "a round raises the version by one");
    }
}
