//! The responder.
//!
//! ```text
//! new ─▶ AwaitHello ─ on_hello: Retry ─▶ AwaitHello        (once)
//!             │ on_hello: HelloReply
//!             ▼
//!        AwaitProof ─ on_proof: client proven ─▶ AwaitDecision ─ on_decision: verdict ─▶ Established
//! every state ─ refusal, deadline, any flight that does not hold ─▶ Failed
//! ```
//! Cheap checks come before dear ones: form, kind, protocols and cookie cost hashes, the binder two more; only then
//! key agreement and a signature. Nothing is done for a client before its flight 3 holds.

use super::codec::tag;
use super::config::ServerConfig;
use super::error::{Failure, HandshakeError, RefusalCode};
use super::established::Agreed;
use super::grant::{Grant, Refused};
use super::guard::{Admission, Admitted};
use super::hello::BINDER_LEN;
use super::io::{FlightKind, Handled, HandshakeTimer, Ignored, Input, Output};
use super::keys::{self, FlightKey, HandshakeKeys};
use super::proof::{ClientProof, ServerProof, split_proof};
use super::psk;
use super::reply::{HelloReply, Refusal};
use super::request::{Request, RequestError};
use super::resume::ResumeBinding;
use super::verdict::VerdictBody;
use super::{ConfigError, Limits};
use crate::identity::IdentityPublic;
use crate::ratchets::rekey::Side;
use crate::secret::Secret;
use crate::suite::{CryptoError, kdf};
use crate::{SecrecyMode, Timestamp, labels};
use std::collections::VecDeque;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The server's end of a handshake.
pub struct ServerHandshake {
    config: Arc<ServerConfig>,
    source: Box<[u8]>,
    under_load: bool,
    deadline: Timestamp,
    phase: Phase,
    outputs: VecDeque<Output>,
}

enum Phase {
    /// Nothing came yet, or a `Retry` is out and this is the digest of the `Hello` that it answered.
    AwaitHello(Option<[u8; 32]>),
    /// `HelloReply` is out.
    AwaitProof(Box<Replied>),
    /// The client is proven; the application decides.
    AwaitDecision(Box<Proven>),
    Established,
    Failed(HandshakeError),
}

/// A server that has proven itself to whoever holds the other keys.
struct Replied {
    keys: HandshakeKeys,
    agreed: Agreed,
    th2: [u8; 32],
    mac_s: [u8; 32],
    peer_limits: Limits,
    /// Flight 1, to know its repeat.
    hello: Vec<u8>,
}

/// A client whose signature and MAC hold.
struct Proven {
    hs: Secret<32>,
    th0: [u8; 32],
    verdict: FlightKey,
    agreed: Agreed,
    peer: IdentityPublic,
    peer_limits: Limits,
    /// Flight 3, to know its repeat.
    proof: Box<[u8]>,
}

impl ServerHandshake {
    /// Waits for a `Hello` from `source`: an address, or the peer whose lane it comes by. `under_load` asks for a
    /// cookie. The deadline counts from `now`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(
        config: Arc<ServerConfig>,
        source: &[u8],
        under_load: bool,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        config.common.validate()?;
        let deadline = now + config.common.deadline;
        let phase = Phase::AwaitHello(None);
        Ok(Self { config, source: source.into(), under_load, deadline, phase, outputs: VecDeque::new() })
    }

    /// Takes an input; outputs are to be drained before the next one.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Handled {
        match self.phase {
            Phase::Established => return Handled::Ignored(Ignored::Over),
            Phase::Failed(error) => return Handled::Failed(error),
            _ if now >= self.deadline => {
                return self.advance(|machine, phase| {
                    Err(machine.refusal(
                        phase,
                        RefusalCode::DEADLINE.into(),
                        HandshakeError::DeadlineExceeded,
                    ))
                });
            }
            _ => {}
        }
        match input {
            Input::Timeout => Handled::Done,
            Input::Flight(flight) if self.is_repeat(flight) => Handled::Ignored(Ignored::Repeat),
            Input::Flight(flight) => self.advance(|machine, phase| machine.on_flight(now, phase, flight)),
            Input::Accept(_) | Input::Refuse(_) if !matches!(self.phase, Phase::AwaitDecision(_)) => {
                Handled::Ignored(Ignored::NotAsked)
            }
            Input::Accept(grant) => self.advance(|machine, phase| machine.on_accept(phase, grant.as_sent())),
            Input::Refuse(refused) => self.advance(|machine, phase| {
                Err(machine.refusal(phase, refused, HandshakeError::Rejected(refused.code)))
            }),
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
            Err(Failure { error, tell }) => {
                self.outputs.extend(tell.map(Output::Send));
                self.outputs.push_back(Output::Failed(error));
                self.phase = Phase::Failed(error);
                Handled::Failed(error)
            }
        }
    }

    fn is_repeat(&self, flight: &[u8]) -> bool {
        match &self.phase {
            Phase::AwaitHello(None) | Phase::Established | Phase::Failed(_) => false,
            Phase::AwaitHello(Some(digest)) => *digest == keys::hello_digest(flight),
            Phase::AwaitProof(replied) => replied.hello == flight,
            Phase::AwaitDecision(proven) => *proven.proof == *flight,
        }
    }

    fn on_flight(&mut self, now: Timestamp, phase: Phase, flight: &[u8]) -> Result<Phase, Failure> {
        match (phase, FlightKind::of(flight)) {
            (_, FlightKind::Refusal) => {
                let refusal =
                    Refusal::parse(flight).map_err(HandshakeError::malformed(FlightKind::Refusal))?;
                Err(Failure::silent(HandshakeError::unproven_refusal(refusal.code)))
            }
            (Phase::AwaitHello(retried), FlightKind::Hello) => Ok(self.on_hello(now, retried, flight)?),
            (Phase::AwaitProof(replied), FlightKind::Proof) => self.on_proof(*replied, flight),
            (_, FlightKind::Unknown) => Err(HandshakeError::Malformed(FlightKind::Unknown).into()),
            (_, kind) => Err(HandshakeError::Unexpected(kind).into()),
        }
    }

    fn on_hello(
        &mut self,
        now: Timestamp,
        retried: Option<[u8; 32]>,
        flight: &[u8],
    ) -> Result<Phase, HandshakeError> {
        let accepted = self.config.common.allowed_suites();
        match self.config.guard.check(now, &self.source, flight, &accepted, self.under_load) {
            Admission::Reject(RefusalCode::MALFORMED) => Err(HandshakeError::Malformed(FlightKind::Hello)),
            Admission::Reject(code) => Err(HandshakeError::Rejected(code)),
            Admission::Retry(_) if retried.is_some() => Err(HandshakeError::Unexpected(FlightKind::Hello)),
            Admission::Retry(retry) => {
                self.outputs.push_back(Output::Send(retry));
                Ok(Phase::AwaitHello(Some(keys::hello_digest(flight))))
            }
            Admission::Pass(admitted) => {
                let agreed = choose(&self.config, &admitted)?;
                let early = early_secret(&self.config, &admitted)?;
                let (reply, replied) = reply(&self.config, *admitted, agreed, &early)?;
                self.outputs.push_back(Output::Send(reply));
                Ok(Phase::AwaitProof(Box::new(replied)))
            }
        }
    }

    fn on_proof(&mut self, replied: Replied, flight: &[u8]) -> Result<Phase, Failure> {
        let (proven, request, binding) = replied.verify(&self.config, flight)?;
        let request = match Request::parse(&request) {
            Ok(request) => request,
            Err(RequestError::Malformed) => {
                let error = HandshakeError::Malformed(FlightKind::Proof);
                return Err(proven.refuse(RefusalCode::MALFORMED.into(), error));
            }
            Err(RequestError::Unknown(_)) => {
                let error = HandshakeError::Rejected(RefusalCode::REQUEST);
                return Err(proven.refuse(RefusalCode::REQUEST.into(), error));
            }
        };
        self.outputs.push_back(Output::Request { peer: proven.peer.clone(), request, binding });
        Ok(Phase::AwaitDecision(Box::new(proven)))
    }

    fn on_accept(&mut self, phase: Phase, grant: Grant) -> Result<Phase, Failure> {
        let Phase::AwaitDecision(proven) = phase else { return Ok(phase) };
        let Proven { hs, th0, verdict, agreed, peer, peer_limits, .. } = *proven;
        let body = VerdictBody::Accepted { limits: self.config.common.limits, grant };
        let flight = seal_verdict(verdict, &th0, body).map_err(|_| HandshakeError::Unavailable)?;
        self.outputs.push_back(Output::Send(flight));
        let established = agreed.into_established(Side::Responder, peer, (peer_limits, grant), hs, th0);
        self.outputs.push_back(Output::Established(Box::new(established)));
        Ok(Phase::Established)
    }

    /// How a failure is told in this phase: sealed once there is a proven client to tell.
    fn refusal(&self, phase: Phase, refused: Refused, error: HandshakeError) -> Failure {
        match phase {
            Phase::AwaitDecision(proven) => proven.refuse(refused, error),
            _ => error.into(),
        }
    }
}

/// Checks the binder of an offered key. An unknown hint runs through the same steps with a random key.
fn early_secret(config: &ServerConfig, admitted: &Admitted) -> Result<Secret<32>, HandshakeError> {
    let Some(offer) = &admitted.hello.psk else {
        return if config.require_psk {
            Err(HandshakeError::Rejected(RefusalCode::PSK_REQUIRED))
        } else {
            Ok(keys::no_psk())
        };
    };
    let mut early = Secret::zero();
    config.common.provider.random(early.expose_mut()).map_err(|_| HandshakeError::Unavailable)?;
    psk::select(&config.psks, offer.hint, &mut early);
    let partial = &admitted.bytes[..admitted.bytes.len() - BINDER_LEN];
    if keys::verify_binder(&early, admitted.retry.as_ref(), partial, &offer.binder) {
        Ok(early)
    } else {
        Err(HandshakeError::Rejected(RefusalCode::PSK))
    }
}

fn choose(config: &ServerConfig, admitted: &Admitted) -> Result<Agreed, HandshakeError> {
    let (common, hello) = (&config.common, &admitted.hello);
    if hello.kind != common.kind {
        return Err(HandshakeError::Rejected(RefusalCode::KIND));
    }
    let app_protocol = hello.app_protocols.iter().find(|name| common.app_protocols.contains(name)).cloned();
    if app_protocol.is_none() && !(hello.app_protocols.is_empty() && common.app_protocols.is_empty()) {
        return Err(HandshakeError::Rejected(RefusalCode::APP_PROTOCOL));
    }
    let mode = match (common.mode, hello.mode) {
        (SecrecyMode::BestEffort, SecrecyMode::BestEffort) => SecrecyMode::BestEffort,
        _ => SecrecyMode::Perfect,
    };
    Ok(Agreed {
        kind: hello.kind,
        suite: admitted.suite,
        mode,
        window: hello.window.min(common.window),
        app_protocol,
        psk: hello.psk.is_some(),
    })
}

/// Flight 2: key agreement, then identity, signature and MAC, sealed.
fn reply(
    config: &ServerConfig,
    admitted: Admitted,
    agreed: Agreed,
    early: &Secret<32>,
) -> Result<(Vec<u8>, Replied), HandshakeError> {
    let provider = &*config.common.provider;
    let unavailable = |_: CryptoError| HandshakeError::Unavailable;
    let Admitted { bytes, hello, suite, retry } = admitted;
    let (ciphertext, ss_kem) =
        provider.kem_encapsulate(suite.kem, &hello.kem_key).map_err(HandshakeError::from_share)?;
    let (dh, share) = provider.dh_generate().map_err(unavailable)?;
    let ss_dh = dh.agree(&hello.share).map_err(HandshakeError::from_share)?;
    let mut random = [0; 32];
    provider.random(&mut random).map_err(unavailable)?;
    let mut reply = HelloReply {
        suite: suite.id(),
        mode: agreed.mode,
        window: agreed.window,
        app_protocol: agreed.app_protocol.clone(),
        psk: agreed.psk,
        random,
        share,
        ciphertext,
        sealed: Vec::new(),
    };
    let th1 = keys::th1(retry.as_ref(), &bytes, &reply.encode_clear());
    let keys = HandshakeKeys::derive(early, &ss_kem, &ss_dh, th1, suite);
    let identity = config.common.identity.public().clone();
    let id_s = identity.as_bytes();
    let signature = config.common.identity.sign(labels::SIGN_SERVER, &[&th1, id_s]).map_err(unavailable)?;
    let th2 = keys::th2(&th1, id_s, signature.as_bytes());
    let mac_s = kdf::hmac(&keys.mac_key(labels::MAC_SERVER), &[&th2]);
    reply.sealed = ServerProof { identity, signature, mac: mac_s }.encode();
    let flight_key = keys.flight(provider, labels::FLIGHT_REPLY).map_err(unavailable)?;
    flight_key.seal(&[], &mut reply.sealed).map_err(unavailable)?;
    Ok((reply.encode(), Replied { keys, agreed, th2, mac_s, peer_limits: hello.limits, hello: bytes }))
}

impl Replied {
    /// Flight 3: seal, signature and MAC of the client; returns the request's bytes, and what a resumption is bound to.
    fn verify(
        self,
        config: &ServerConfig,
        flight: &[u8],
    ) -> Result<(Proven, Zeroizing<Vec<u8>>, ResumeBinding), HandshakeError> {
        let provider = &*config.common.provider;
        let unproven = |error| HandshakeError::from_proof(FlightKind::Proof, error);
        let malformed = || HandshakeError::malformed(FlightKind::Proof);
        let mut body = Zeroizing::new(split_proof(flight).map_err(malformed())?.to_vec());
        self.keys
            .flight(provider, labels::FLIGHT_PROOF)
            .and_then(|key| key.open(&[], &mut body))
            .map_err(unproven)?;
        let ClientProof { identity, signature, request, mac } =
            ClientProof::parse(&body).map_err(malformed())?;
        let id_c = identity.as_bytes();
        identity
            .verify(labels::SIGN_CLIENT, &[&self.th2, &self.mac_s, id_c], &signature)
            .map_err(unproven)?;
        let th3 = keys::th3(&self.th2, &self.mac_s, id_c, signature.as_bytes(), &request);
        if !kdf::verify_hmac(&self.keys.mac_key(labels::MAC_CLIENT), &[&th3], &mac) {
            return Err(HandshakeError::NotAuthentic(FlightKind::Proof));
        }
        let verdict =
            self.keys.flight(provider, labels::FLIGHT_VERDICT).map_err(|_| HandshakeError::Unavailable)?;
        let binding = ResumeBinding::new(&self.th2, &self.mac_s, &identity);
        let proven = Proven {
            hs: self.keys.into_hs(),
            th0: keys::th0(&th3, &mac),
            verdict,
            agreed: self.agreed,
            peer: identity,
            peer_limits: self.peer_limits,
            proof: flight.into(),
        };
        Ok((proven, request, binding))
    }
}

impl Proven {
    /// Refuses in a sealed verdict, so that the client knows who said so.
    fn refuse(self, refused: Refused, error: HandshakeError) -> Failure {
        let flight = seal_verdict(self.verdict, &self.th0, VerdictBody::Refused(refused));
        Failure { error, tell: flight.ok() }
    }
}

/// Flight 4. th0 is its associated data: who opens it has seen the same handshake to the end.
fn seal_verdict(key: FlightKey, th0: &[u8; 32], body: VerdictBody) -> Result<Vec<u8>, CryptoError> {
    let mut body = body.encode();
    key.seal(th0, &mut body)?;
    let mut flight = Vec::with_capacity(1 + body.len());
    flight.push(tag::VERDICT);
    flight.extend_from_slice(&body);
    Ok(flight)
}
