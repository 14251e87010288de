//! The initiator.
//!
//! ```text
//!            new ─ Hello ─▶ AwaitReply ─ on_retry ─▶ AwaitReply            (once)
//!                               │ on_reply: proof holds, policy says yes: flight 3
//!           Trust::Ask          ├───────────────────▶ AwaitVerdict ─ on_verdict ─▶ Established
//!        AwaitTrust ◀───────────┘                          ▲
//!             └─ on_decision: yes, flight 3 ───────────────┘
//! every state ─ refusal, deadline, any flight that does not hold ─▶ Failed
//! ```

use super::codec::tag;
use super::config::{ClientConfig, Trust};
use super::error::{Failure, HandshakeError};
use super::established::Agreed;
use super::grant::Refused;
use super::hello::{BINDER_LEN, Hello, PskOffer};
use super::io::{FlightKind, Handled, HandshakeTimer, Ignored, Input, Output};
use super::keys::{self, FlightKey, HandshakeKeys, RetryTrace};
use super::proof::{ClientProof, ServerProof};
use super::reply::{HelloReply, Refusal, Retry};
use super::resume::ResumeBinding;
use super::verdict::{VerdictBody, split_verdict};
use crate::identity::IdentityPublic;
use crate::ratchets::rekey::Side;
use crate::secret::Secret;
use crate::suite::{CryptoError, DhKey, KemKey, Suite, kdf};
use crate::{SecrecyMode, Timestamp, labels};
use std::collections::VecDeque;

/// The client's end of a handshake.
pub struct ClientHandshake {
    config: ClientConfig,
    deadline: Timestamp,
    phase: Phase,
    outputs: VecDeque<Output>,
}

enum Phase {
    /// `Hello` is out.
    AwaitReply(Box<Offered>),
    /// The server is proven; the application decides.
    AwaitTrust(Box<Proven>),
    /// Flight 3 is out.
    AwaitVerdict(Box<Committed>),
    Established,
    Failed(HandshakeError),
}

/// What the client keeps of its offer.
struct Offered {
    hello: Hello,
    bytes: Vec<u8>,
    dh: Box<dyn DhKey>,
    kem: Box<dyn KemKey>,
    /// The suite whose KEM key is out.
    first: Suite,
    retry: Option<RetryTrace>,
}

/// A server whose signature and MAC hold.
struct Proven {
    keys: HandshakeKeys,
    agreed: Agreed,
    th2: [u8; 32],
    mac_s: [u8; 32],
    peer: IdentityPublic,
    /// Flight 2, to know its repeat.
    reply: Box<[u8]>,
}

/// A client that has proven itself.
struct Committed {
    hs: Secret<32>,
    th0: [u8; 32],
    verdict: FlightKey,
    agreed: Agreed,
    peer: IdentityPublic,
    reply: Box<[u8]>,
}

impl ClientHandshake {
    /// Starts: makes keys, and has the `Hello` as its first output. The deadline counts from `now`.
    ///
    /// # Errors
    /// [`HandshakeError::Config`], [`HandshakeError::Unavailable`].
    pub fn new(config: ClientConfig, now: Timestamp) -> Result<Self, HandshakeError> {
        config.validate()?;
        let offered = Offered::new(&config)?;
        let deadline = now + config.common.deadline;
        let outputs = VecDeque::from([Output::Send(offered.bytes.clone())]);
        Ok(Self { config, deadline, phase: Phase::AwaitReply(Box::new(offered)), outputs })
    }

    /// Takes an input; outputs are to be drained before the next one.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Handled {
        match self.phase {
            Phase::Established => return Handled::Ignored(Ignored::Over),
            Phase::Failed(error) => return Handled::Failed(error),
            // After flight 3 the server may already read records; a refusal would be noise to it.
            Phase::AwaitVerdict(_) if now >= self.deadline => {
                return self.fail(Failure::silent(HandshakeError::DeadlineExceeded));
            }
            _ if now >= self.deadline => return self.fail(HandshakeError::DeadlineExceeded.into()),
            _ => {}
        }
        match input {
            Input::Timeout => Handled::Done,
            Input::Flight(flight) if self.is_repeat(flight) => Handled::Ignored(Ignored::Repeat),
            Input::Flight(flight) => self.advance(|machine, phase| machine.on_flight(phase, flight)),
            Input::Accept(_) | Input::Refuse(_) if !matches!(self.phase, Phase::AwaitTrust(_)) => {
                Handled::Ignored(Ignored::NotAsked)
            }
            Input::Accept(_) => self.advance(|machine, phase| machine.on_decision(phase, true)),
            Input::Refuse(_) => self.advance(|machine, phase| machine.on_decision(phase, false)),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<(Timestamp, HandshakeTimer)> {
        match self.phase {
            Phase::Established | Phase::Failed(_) => None,
            _ => Some((self.deadline, HandshakeTimer::Deadline)),
        }
    }

    /// Why it failed, if it did.
    pub const fn error(&self) -> Option<HandshakeError> {
        match self.phase {
            Phase::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Runs a transition, which owns the phase meanwhile: what it drops is wiped, whatever comes of it.
    fn advance(&mut self, step: impl FnOnce(&mut Self, Phase) -> Result<Phase, Failure>) -> Handled {
        let phase = core::mem::replace(&mut self.phase, Phase::Failed(HandshakeError::Unavailable));
        match step(self, phase) {
            Ok(next) => {
                self.phase = next;
                Handled::Done
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, Failure { error, tell }: Failure) -> Handled {
        self.outputs.extend(tell.map(Output::Send));
        self.outputs.push_back(Output::Failed(error));
        self.phase = Phase::Failed(error);
        Handled::Failed(error)
    }

    fn is_repeat(&self, flight: &[u8]) -> bool {
        match &self.phase {
            Phase::AwaitReply(offered) => offered.retry.as_ref().is_some_and(|trace| trace.retry == flight),
            Phase::AwaitTrust(proven) => *proven.reply == *flight,
            Phase::AwaitVerdict(committed) => *committed.reply == *flight,
            Phase::Established | Phase::Failed(_) => false,
        }
    }

    fn on_flight(&mut self, phase: Phase, flight: &[u8]) -> Result<Phase, Failure> {
        match (phase, FlightKind::of(flight)) {
            (_, FlightKind::Refusal) => {
                let refusal =
                    Refusal::parse(flight).map_err(HandshakeError::malformed(FlightKind::Refusal))?;
                Err(Failure::silent(HandshakeError::unproven_refusal(refusal.code)))
            }
            (Phase::AwaitReply(offered), FlightKind::Retry) => Ok(self.on_retry(offered, flight)?),
            (Phase::AwaitReply(offered), FlightKind::HelloReply) => Ok(self.on_reply(*offered, flight)?),
            (Phase::AwaitVerdict(committed), kind) => {
                self.on_verdict(*committed, kind, flight).map_err(Failure::silent)
            }
            (_, FlightKind::Unknown) => Err(HandshakeError::Malformed(FlightKind::Unknown).into()),
            (_, kind) => Err(HandshakeError::Unexpected(kind).into()),
        }
    }

    fn on_retry(&mut self, mut offered: Box<Offered>, flight: &[u8]) -> Result<Phase, HandshakeError> {
        if offered.retry.is_some() {
            return Err(HandshakeError::Unexpected(FlightKind::Retry));
        }
        let retry = Retry::parse(flight).map_err(HandshakeError::malformed(FlightKind::Retry))?;
        offered.retry(&self.config, &retry, flight)?;
        self.outputs.push_back(Output::Send(offered.bytes.clone()));
        Ok(Phase::AwaitReply(offered))
    }

    fn on_reply(&mut self, offered: Offered, flight: &[u8]) -> Result<Phase, HandshakeError> {
        let proven = offered.verify(&self.config, flight)?;
        let peer_id = proven.peer.peer_id();
        match self.config.trust {
            Trust::Peer(expected) if expected != peer_id => {
                Err(HandshakeError::WrongPeer { expected, actual: peer_id })
            }
            Trust::Peer(_) | Trust::DangerousAnyone => self.prove(proven),
            Trust::Ask => {
                self.outputs.push_back(Output::Ask { peer: proven.peer.clone() });
                Ok(Phase::AwaitTrust(Box::new(proven)))
            }
        }
    }

    fn on_decision(&mut self, phase: Phase, yes: bool) -> Result<Phase, Failure> {
        match phase {
            Phase::AwaitTrust(proven) if yes => Ok(self.prove(*proven)?),
            Phase::AwaitTrust(proven) => Err(HandshakeError::Untrusted(proven.peer.peer_id()).into()),
            other => Ok(other),
        }
    }

    /// Sends flight 3. Only a [`Proven`] server that policy let through comes here.
    fn prove(&mut self, proven: Proven) -> Result<Phase, HandshakeError> {
        let (flight, committed) = proven.answer(&self.config).map_err(|_| HandshakeError::Unavailable)?;
        self.outputs.push_back(Output::Send(flight));
        Ok(Phase::AwaitVerdict(Box::new(committed)))
    }

    fn on_verdict(
        &mut self,
        committed: Committed,
        kind: FlightKind,
        flight: &[u8],
    ) -> Result<Phase, HandshakeError> {
        if kind != FlightKind::Verdict {
            return Err(HandshakeError::Unexpected(kind));
        }
        let mut body =
            split_verdict(flight).map_err(HandshakeError::malformed(FlightKind::Verdict))?.to_vec();
        committed
            .verdict
            .open(&committed.th0, &mut body)
            .map_err(|error| HandshakeError::from_proof(FlightKind::Verdict, error))?;
        match VerdictBody::parse(&body).map_err(HandshakeError::malformed(FlightKind::Verdict))? {
            VerdictBody::Refused(Refused { code, retry_after }) => {
                Err(HandshakeError::Refused { code, authenticated: true, retry_after })
            }
            VerdictBody::Accepted { limits, grant } => {
                let Committed { hs, th0, agreed, peer, .. } = committed;
                let established = agreed.into_established(Side::Initiator, peer, (limits, grant), hs, th0);
                self.outputs.push_back(Output::Established(Box::new(established)));
                Ok(Phase::Established)
            }
        }
    }
}

impl Offered {
    fn new(config: &ClientConfig) -> Result<Self, HandshakeError> {
        let common = &config.common;
        let suites = common.allowed_suites();
        let first = *suites.first().ok_or(super::ConfigError::NoSuite)?;
        let unavailable = |_: CryptoError| HandshakeError::Unavailable;
        let mut random = [0; 32];
        common.provider.random(&mut random).map_err(unavailable)?;
        let (dh, share) = common.provider.dh_generate().map_err(unavailable)?;
        let (kem, kem_key) = common.provider.kem_generate(first.kem).map_err(unavailable)?;
        let hello = Hello {
            kind: common.kind,
            mode: common.mode,
            window: common.window,
            limits: common.limits,
            random,
            suites: suites.iter().map(|suite| suite.id()).collect(),
            app_protocols: common.app_protocols.clone(),
            share,
            kem_key,
            cookie: Vec::new(),
            psk: None,
        };
        let mut offered = Self { hello, bytes: Vec::new(), dh, kem, first, retry: None };
        offered.write(config);
        Ok(offered)
    }

    /// Writes the flight, the binder last: it covers everything before it.
    fn write(&mut self, config: &ClientConfig) {
        self.hello.psk =
            config.psk.as_ref().map(|psk| PskOffer { hint: psk.hint(), binder: [0; BINDER_LEN] });
        self.bytes = self.hello.encode();
        if let (Some(psk), Some(offer)) = (&config.psk, &mut self.hello.psk) {
            let partial = self.bytes.len() - BINDER_LEN;
            offer.binder = keys::binder(psk.early(), self.retry.as_ref(), &self.bytes[..partial]);
            self.bytes[partial..].copy_from_slice(&offer.binder);
        }
    }

    /// Writes the second `Hello`: the named suite first, its KEM key, the cookie. All else stays.
    fn retry(&mut self, config: &ClientConfig, retry: &Retry, flight: &[u8]) -> Result<(), HandshakeError> {
        let place = self.hello.suites.iter().position(|id| *id == retry.suite);
        let (Some(place), Some(suite)) = (place, Suite::from_id(retry.suite)) else {
            return Err(HandshakeError::NotOffered);
        };
        self.hello.suites[..=place].rotate_right(1);
        if suite.kem != self.first.kem {
            let generated = config.common.provider.kem_generate(suite.kem);
            (self.kem, self.hello.kem_key) = generated.map_err(|_| HandshakeError::Unavailable)?;
        }
        self.first = suite;
        self.hello.cookie.clone_from(&retry.cookie);
        self.retry = Some(RetryTrace { first: keys::hello_digest(&self.bytes), retry: flight.to_vec() });
        self.write(config);
        Ok(())
    }

    /// What the server chose, if it was offered: nothing weaker than asked for, nothing that was not there.
    fn choice(&self, reply: &HelloReply) -> Result<Agreed, HandshakeError> {
        let suite = Suite::from_id(reply.suite)
            .filter(|suite| self.hello.suites.contains(&suite.id()) && suite.kem == self.first.kem)
            .filter(|suite| self.retry.is_none() || *suite == self.first)
            .ok_or(HandshakeError::NotOffered)?;
        let app_offered = match &reply.app_protocol {
            None => self.hello.app_protocols.is_empty(),
            Some(chosen) => self.hello.app_protocols.contains(chosen),
        };
        let mode_holds = reply.mode == SecrecyMode::Perfect || self.hello.mode == SecrecyMode::BestEffort;
        let psk_holds = reply.psk == self.hello.psk.is_some();
        if !app_offered || !mode_holds || !psk_holds || reply.window > self.hello.window {
            return Err(HandshakeError::NotOffered);
        }
        Ok(Agreed {
            kind: self.hello.kind,
            suite,
            mode: reply.mode,
            window: reply.window,
            app_protocol: reply.app_protocol.clone(),
            psk: reply.psk,
        })
    }

    /// Flight 2: secrets, then seal, signature and MAC of the server.
    fn verify(self, config: &ClientConfig, flight: &[u8]) -> Result<Proven, HandshakeError> {
        let reply = HelloReply::parse(flight).map_err(HandshakeError::malformed(FlightKind::HelloReply))?;
        let agreed = self.choice(&reply)?;
        let th1 = keys::th1(self.retry.as_ref(), &self.bytes, &reply.encode_clear());
        let ss_kem = self.kem.decapsulate(&reply.ciphertext).map_err(HandshakeError::from_share)?;
        let ss_dh = self.dh.agree(&reply.share).map_err(HandshakeError::from_share)?;
        let no_psk;
        let early = match &config.psk {
            Some(psk) => psk.early(),
            None => {
                no_psk = keys::no_psk();
                &no_psk
            }
        };
        let keys = HandshakeKeys::derive(early, &ss_kem, &ss_dh, th1, agreed.suite);
        let unproven = |error| HandshakeError::from_proof(FlightKind::HelloReply, error);
        let mut body = reply.sealed;
        let flight_key = keys.flight(&*config.common.provider, labels::FLIGHT_REPLY).map_err(unproven)?;
        flight_key.open(&[], &mut body).map_err(unproven)?;
        let proof = ServerProof::parse(&body).map_err(HandshakeError::malformed(FlightKind::HelloReply))?;
        let id_s = proof.identity.as_bytes();
        proof.identity.verify(labels::SIGN_SERVER, &[&th1, id_s], &proof.signature).map_err(unproven)?;
        let th2 = keys::th2(&th1, id_s, proof.signature.as_bytes());
        if !kdf::verify_hmac(&keys.mac_key(labels::MAC_SERVER), &[&th2], &proof.mac) {
            return Err(HandshakeError::NotAuthentic(FlightKind::HelloReply));
        }
        Ok(Proven { keys, agreed, th2, mac_s: proof.mac, peer: proof.identity, reply: flight.into() })
    }
}

impl Proven {
    /// Flight 3, and what is left to wait with.
    fn answer(self, config: &ClientConfig) -> Result<(Vec<u8>, Committed), CryptoError> {
        let provider = &*config.common.provider;
        let identity = config.common.identity.public().clone();
        let id_c = identity.as_bytes();
        let signature = config.common.identity.sign(labels::SIGN_CLIENT, &[&self.th2, &self.mac_s, id_c])?;
        let request = config.request.encode(&ResumeBinding::new(&self.th2, &self.mac_s, &identity));
        let th3 = keys::th3(&self.th2, &self.mac_s, id_c, signature.as_bytes(), &request);
        let mac = kdf::hmac(&self.keys.mac_key(labels::MAC_CLIENT), &[&th3]);
        let th0 = keys::th0(&th3, &mac);
        let mut body = ClientProof { identity, signature, request, mac }.encode();
        self.keys.flight(provider, labels::FLIGHT_PROOF)?.seal(&[], &mut body)?;
        let mut flight = Vec::with_capacity(1 + body.len());
        flight.push(tag::PROOF);
        flight.extend_from_slice(&body);
        let verdict = self.keys.flight(provider, labels::FLIGHT_VERDICT)?;
        let hs = self.keys.into_hs();
        Ok((flight, Committed { hs, th0, verdict, agreed: self.agreed, peer: self.peer, reply: self.reply }))
    }
}
