//! A peer with the right keys and the wrong manners: it seals whatever it is told to.

use super::Pair;
use bytes::BytesMut;
use citadel_crypt::handshake::{Instance, Limits};
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::ratchets::{PathId, Toolset};
use citadel_crypt::suite::{Native, TAG_LEN};
use citadel_crypt::{SecrecyMode, Timestamp};
use citadel_proto::record::{Header, KIND_FRAMES, RawRecord};
use citadel_proto::session::{Input, Output, SessionConfig, SessionMachine};
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, CloseReport};
use std::sync::Arc;

/// The initiator as an authenticated attacker, and its victim.
pub struct Rogue {
    toolset: Toolset,
    path: PathId,
    /// The victim.
    pub victim: SessionMachine,
    /// What the victim's session is called.
    pub instance: Instance,
    /// The victim's end.
    pub closed: Option<CloseReport>,
}

impl Rogue {
    /// A session right after its handshake; the victim takes `limits`.
    pub fn new(limits: Limits) -> Self {
        Self::with_config(&SessionConfig { limits, ..SessionConfig::default() })
    }

    /// The same with everything else of the victim's configuration.
    pub fn with_config(config: &SessionConfig) -> Self {
        let limits = config.limits;
        let pair = Pair::new(SecrecyMode::BestEffort, limits);
        let (established, identity) = pair.responder;
        let instance = established.instance;
        let victim = SessionMachine::new(established, Arc::new(Native), identity, config, Timestamp::ZERO);
        let (rogue, _) = pair.initiator;
        let (toolset, _) = rogue.initial.into_parts(Arc::new(Native), Side::Initiator, rogue.mode, None);
        Self { toolset, path: PathId::FIRST, victim, instance, closed: None }
    }

    /// A record with `payload` under kind `kind`.
    pub fn seal(&mut self, kind: u8, payload: &[u8]) -> RawRecord {
        let mut body = BytesMut::from(&[kind][..]);
        body.extend_from_slice(payload);
        let version_bits = self.toolset.latest().low_bits();
        let header = Header { version_bits, body_len: body.len() + TAG_LEN }.encode();
        let sealed = self.toolset.seal(self.records(), &header, &mut body).expect("keys are fresh");
        body.extend_from_slice(&sealed.tag);
        RawRecord { header, body }
    }

    /// The lane of its path's records: each path has two, the other is for packets.
    const fn records(&self) -> PathId {
        PathId(self.path.0 * 2)
    }

    /// Another path, proven as far as the victim knows.
    pub fn attach(&mut self) {
        self.path = PathId(self.path.0 + 1);
        self.toolset.add_path(self.records()).expect("ids rise");
        self.victim.handle(Timestamp::ZERO, Input::PathAttached { path: self.path });
        self.drain();
    }

    /// Everything that the victim has to say goes nowhere.
    pub fn let_it_speak(&mut self) {
        let mut out = BytesMut::new();
        while self.victim.poll_transmit(Timestamp::ZERO, &mut out, 1 << 20) {
            out.clear();
            self.drain();
        }
    }

    /// Gives the victim a record of frames.
    pub fn send(&mut self, frames: &[u8]) {
        let raw = self.seal(KIND_FRAMES, frames);
        self.give(raw);
    }

    /// Gives the victim a record as it is.
    pub fn give(&mut self, raw: RawRecord) {
        self.victim.handle(Timestamp::ZERO, Input::Record(raw));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.victim.poll_output() {
            assert!(self.closed.is_none(), "an output after Closed: {output:?}");
            if let Output::Closed(report) = output {
                self.closed = Some(report);
            }
        }
    }

    /// Whether the victim goes on as if nothing had happened.
    pub fn is_unharmed(&self) -> bool {
        self.victim.stage() == Stage::Running
    }

    /// Lets the victim say its last and end; returns its reason. Nothing of it may be left.
    pub fn reason(mut self) -> CloseReason {
        let mut out = BytesMut::new();
        self.victim.poll_transmit(Timestamp::ZERO, &mut out, 1 << 20);
        self.drain();
        self.victim.handle(Timestamp::ZERO, Input::PathFlushed);
        self.drain();
        assert_eq!(self.victim.stage(), Stage::Closed);
        assert_eq!(self.victim.poll_timeout(), None);
        assert_eq!(self.victim.fingerprint(self.victim.version()), None, "a key is left");
        self.closed.expect("the last output was Closed").local
    }
}
