//! Sessions begin and are taken up again: real handshakes over the network of the world, and what a server decides.

use super::crypto::identity;
use super::end::{End, Session};
use super::path::{Path, Role};
use super::tap::Tap;
use super::world::{Event, World};
use super::{Pace, Side};
use bytes::{Buf, BufMut};
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, ClientRequest, Established, Grant, Handled, HandshakeError, Input, Output,
    RefusalCode, Refused, Request, ResumeBinding, ResumeRequest, ResumptionKey, ServerHandshake, Trust,
};
use citadel_crypt::identity::IdentityPublic;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::Version;
use citadel_proto::PathLoss;
use citadel_proto::session::{Input as SessionInput, PathRefused, SessionMachine};
use core::time::Duration;
use std::sync::Arc;

/// How long a client waits for a connection that does not come.
const CONNECT: Duration = Duration::from_secs(1);
/// A handshake's first two flights are sent twice this often in a hundred: a path may repeat them.
const REPEATS: u64 = 10;

impl World {
    /// A new session for a line that has none.
    pub(super) fn dial_fresh(&mut self, line: usize) {
        let session = self.sessions.len();
        self.sessions.push(Session::new(session, line, &self.setup.config));
        self.lines[line].session = Some(session);
        self.on_dial(session, false);
    }

    /// The client tries to get a path: for the first time, for a session without one, or a second one.
    pub(super) fn on_dial(&mut self, session: usize, is_second: bool) {
        let (now, line) = (self.now, self.sessions[session].line);
        let is_current = self.lines[line].session == Some(session);
        let resumes = match self.end(session, Side::Client) {
            Some(end) if end.machine.is_detached() || is_second => {
                let Some(path) = end.machine.next_path_id() else { return };
                Some(path)
            }
            Some(_) => return,
            None if is_current && !is_second => None,
            None => return,
        };
        let client = self.lines[line].client;
        if !self.clients[client].is_up {
            self.sessions[session].failures += 1;
            let at = now + CONNECT + self.dice.time(CONNECT);
            self.schedule(at, Event::Dial(session, false));
            return;
        }
        self.log.line(now, format_args!("s{session} client dials, path {resumes:?}"));
        let path = Path::new(self, session, resumes);
        let at = now + path.round_trip;
        self.paths.push(path);
        self.schedule(at, Event::Connected(self.paths.len() - 1));
    }

    /// Both ends start their handshake machines.
    pub(super) fn on_connected(&mut self, path: usize) {
        let (now, session, resumes) = (self.now, self.paths[path].session, self.paths[path].resumes);
        let client = self.lines[self.sessions[session].line].client;
        let request = match (resumes, self.end(session, Side::Client)) {
            (None, _) => Request::Identity.into(),
            (Some(path), Some(end)) => ClientRequest::Resume {
                instance: end.machine.instance(),
                path: path.0,
                key: Arc::clone(&end.resumption),
            },
            (Some(_), None) => unreachable!("only a session is taken up again"),
        };
        if !self.clients[client].is_up {
            (self.paths[path].ends[0].role, self.paths[path].ends[1].role) = (Role::Over, Role::Over);
            return self.on_dial_failed(session);
        }
        let common = Self::handshake(&self.setup, &self.provider, &self.clients[client].identity);
        let config =
            ClientConfig { request, ..ClientConfig::new(common, Trust::Peer(identity(0).peer_id())) };
        let client = ClientHandshake::new(config, now).expect("the configuration is right");
        let source = client_source(path);
        let server = ServerHandshake::new(Arc::clone(&self.server), &source, false, now);
        let server = server.expect("the configuration is right");
        let due = [client.poll_timeout(), server.poll_timeout()];
        self.paths[path].ends[0].role = Role::Client(Box::new(client));
        self.paths[path].ends[1].role = Role::Server(Box::new(server));
        for (side, due) in [Side::Client, Side::Server].into_iter().zip(due) {
            if let Some((at, _)) = due {
                self.schedule(at, Event::HandshakeDue(path, side));
            }
        }
        self.drain_handshake(path, Side::Client);
    }

    pub(super) fn on_handshake_due(&mut self, path: usize, side: Side) {
        self.handle_handshake(path, side, Input::Timeout);
        self.drain_handshake(path, side);
    }

    fn handle_handshake(&mut self, path: usize, side: Side, input: Input<'_>) -> Option<Handled> {
        match &mut self.paths[path].ends[side.index()].role {
            Role::Client(machine) => Some(machine.handle(self.now, input)),
            Role::Server(machine) => Some(machine.handle(self.now, input)),
            _ => None,
        }
    }

    /// Whole flights in the inbox, as long as the end waits for any.
    pub(super) fn take_flights(&mut self, path: usize, side: Side) {
        loop {
            let end = &mut self.paths[path].ends[side.index()];
            if !matches!(end.role, Role::Client(_) | Role::Server(_)) {
                return;
            }
            let Some(len) = end.inbox.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) else {
                return;
            };
            if len > 1 << 16 {
                return self.fail_handshake(path, side);
            }
            if end.inbox.len() < 4 + len {
                return;
            }
            end.inbox.advance(4);
            let flight = end.inbox.split_to(len);
            self.handle_handshake(path, side, Input::Flight(&flight));
            self.drain_handshake(path, side);
        }
    }

    fn drain_handshake(&mut self, path: usize, side: Side) {
        loop {
            let output = match &mut self.paths[path].ends[side.index()].role {
                Role::Client(machine) => machine.poll_output(),
                Role::Server(machine) => machine.poll_output(),
                _ => return,
            };
            match output {
                None => return,
                Some(Output::Send(flight)) => self.send_flight(path, side, &flight),
                Some(Output::Request { peer, request, binding }) => {
                    let answer = self.decide(path, &peer, &request, &binding);
                    let input = match answer {
                        Ok(grant) => Input::Accept(grant),
                        Err(code) => Input::Refuse(Refused::new(code)),
                    };
                    self.handle_handshake(path, side, input);
                }
                Some(Output::Established(established)) => self.on_established(path, side, *established),
                Some(Output::Failed(error)) => self.on_handshake_failed(path, side, error),
                Some(other) => unreachable!("{other:?}"),
            }
        }
    }

    fn send_flight(&mut self, path: usize, side: Side, flight: &[u8]) {
        use citadel_crypt::handshake::FlightKind;
        let is_answered = matches!(FlightKind::of(flight), FlightKind::Hello | FlightKind::HelloReply);
        let times = if is_answered && self.dice.percent(REPEATS) { 2 } else { 1 };
        let out = &mut self.paths[path].ends[side.index()].out;
        for _ in 0..times {
            out.put_u32(u32::try_from(flight.len()).expect("flights are short"));
            out.extend_from_slice(flight);
        }
        self.flush_handshake(path, side);
    }

    /// The server's decision: anyone may have a session, and take up the own one.
    fn decide(
        &mut self,
        path: usize,
        peer: &IdentityPublic,
        request: &Request,
        binding: &ResumeBinding,
    ) -> Result<Grant, RefusalCode> {
        let grant = Grant { cid: None, resume: self.setup.config.resume };
        let resume = match request {
            Request::Resume(resume) => resume,
            _ => return Ok(grant),
        };
        let verdict = self.judge(path, peer, resume, binding);
        let session = self.paths[path].session;
        self.log.line(
            self.now,
            format_args!("s{session} server: path {} is asked for: {verdict:?}", resume.path),
        );
        verdict.map(|()| grant)
    }

    fn judge(
        &mut self,
        path: usize,
        peer: &IdentityPublic,
        resume: &ResumeRequest,
        binding: &ResumeBinding,
    ) -> Result<(), RefusalCode> {
        let session = *self.hub.get(&resume.instance).ok_or(RefusalCode::RESUME_UNKNOWN)?;
        let client = self.lines[self.sessions[session].line].client;
        let is_own = self.clients[client].identity.peer_id() == peer.peer_id();
        assert_eq!(session, self.paths[path].session, "an instance of another session");
        let end = self.end(session, Side::Server).ok_or(RefusalCode::RESUME_UNKNOWN)?;
        assert!(is_own && end.resumption.verify(binding, resume), "both are honest");
        end.machine.accepts_path(PathId(resume.path)).map_err(|refused| match refused {
            PathRefused::Closing => RefusalCode::RESUME_CLOSING,
            PathRefused::Reused => RefusalCode::RESUME_SUPERSEDED,
            _ => RefusalCode::RESUME_EXPIRED,
        })
    }

    fn on_established(&mut self, path: usize, side: Side, established: Established) {
        let (session, resumes) = (self.paths[path].session, self.paths[path].resumes);
        self.paths[path].ends[side.index()].role = Role::Session;
        match resumes {
            None => self.begin(session, path, side, established),
            Some(id) => self.resume(session, path, side, id),
        }
        if !matches!(self.paths[path].ends[side.index()].role, Role::Over) {
            self.take_inbox(path, side);
        }
    }

    /// The first path of a session.
    fn begin(&mut self, session: usize, path: usize, side: Side, established: Established) {
        let own = match side {
            Side::Client => {
                Arc::clone(&self.clients[self.lines[self.sessions[session].line].client].identity)
            }
            Side::Server => identity(0),
        };
        let key = ResumptionKey::of(&established.initial);
        let ((provider, tape), config, now) = (Tap::new(&self.provider), &self.setup.config, self.now);
        let machine = SessionMachine::new(established, provider, own, config, now);
        let first = machine.fingerprint(Version(0)).expect("version 0 is there");
        if side == Side::Server {
            self.hub.insert(machine.instance(), session);
        }
        let end = End::new(machine, tape, key, path);
        self.sessions[session].ends[side.index()] = Some(end);
        self.sessions[session].book.on_version(Version(0), first);
        self.sessions[session].failures = 0;
        self.log.line(self.now, format_args!("{} established", self.sessions[session].name(side)));
        let pace = if self.whim.percent(20) { Pace::Millis(10) } else { Pace::Eager };
        self.with_app(session, side, |app, cx| app.start(cx, pace));
        self.attend(session, side);
    }

    /// Another path of a session.
    fn resume(&mut self, session: usize, path: usize, side: Side, id: PathId) {
        let now = self.now;
        let Some(end) = self.end(session, side) else { return self.drop_path(path, side) };
        end.machine.handle(now, SessionInput::PathAttached { path: id });
        if end.machine.path() == Some(id) {
            let before = end.path.replace(path);
            end.is_dirty = false;
            self.sessions[session].book.ledger(side).on_path();
            if let Some(before) = before.filter(|before| *before != path) {
                self.drop_path(before, side);
            }
            self.sessions[session].failures = 0;
        } else {
            assert_ne!(side, Side::Server, "a path was granted and is not taken");
            self.drop_path(path, side);
        }
        self.attend(session, side);
    }

    fn fail_handshake(&mut self, path: usize, side: Side) {
        self.drop_path(path, side);
        if side == Side::Client {
            let session = self.paths[path].session;
            self.on_dial_failed(session);
        }
    }

    fn on_handshake_failed(&mut self, path: usize, side: Side, error: HandshakeError) {
        let session = self.paths[path].session;
        self.log.line(self.now, format_args!("{} no path: {error}", self.sessions[session].name(side)));
        let is_disturbed = self.sessions[session].book.is_disturbed;
        let refusal = match error {
            HandshakeError::Refused { code, authenticated: true, .. } => Some(code),
            _ => None,
        };
        let is_refused = matches!(error, HandshakeError::Refused { .. } | HandshakeError::Rejected(_));
        assert!(is_disturbed || is_refused, "a handshake on a whole path failed: {error}");
        self.flush_handshake(path, side);
        self.drop_path(path, side);
        if side == Side::Client {
            match refusal {
                Some(code) if code != RefusalCode::RESUME_SUPERSEDED => self.abandon(session, code),
                _ => self.on_dial_failed(session),
            }
        }
    }

    /// The server will not take the session up again.
    fn abandon(&mut self, session: usize, code: RefusalCode) {
        let now = self.now;
        let Some(end) = self.end(session, Side::Client) else { return };
        if end.machine.is_detached() {
            let loss = match code {
                RefusalCode::RESUME_UNKNOWN => PathLoss::ResumeUnknown,
                RefusalCode::RESUME_EXPIRED => PathLoss::ResumeExpired,
                RefusalCode::RESUME_CLOSING => PathLoss::ResumeClosing,
                _ => PathLoss::ResumeRefused,
            };
            end.machine.handle(now, SessionInput::Abandoned(loss));
            self.attend(session, Side::Client);
        }
    }

    /// An attempt of the client came to nothing.
    pub(super) fn on_dial_failed(&mut self, session: usize) {
        self.sessions[session].failures += 1;
        let line = self.sessions[session].line;
        let is_current = self.lines[line].session == Some(session);
        match self.end(session, Side::Client) {
            Some(end) if end.machine.is_detached() => self.dial_later(session),
            // The server may hold what nobody will use; it ends by itself.
            None if is_current => self.lines[line].session = None,
            _ => {}
        }
    }

    pub(super) fn on_closed(&mut self, session: usize, side: Side) {
        if side == Side::Server {
            self.hub.retain(|_, number| *number != session);
        }
    }
}

fn client_source(path: usize) -> [u8; 8] {
    (path as u64).to_be_bytes()
}
