//! Two handshake machines and the wire between them.

use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, Established, Grant, Handled, HandshakeError, Input, Output, RefusalCode,
    Refused, Request, ResumeBinding, ServerConfig, ServerHandshake,
};
use citadel_crypt::ratchets::rekey::Side;
use std::sync::Arc;

/// What an application says when it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Yes.
    Accept,
    /// Yes, with this.
    Grant(Grant),
    /// No, with this code.
    Refuse(RefusalCode),
    /// No, with this.
    Refused(Refused),
    /// Nothing.
    Silence,
}

/// Gets every flight in its order, with its number from 0 and its sender, and may do anything to it: what it leaves in
/// the list is delivered.
pub type Wire<'a> = dyn FnMut(usize, Side, Vec<u8>) -> Vec<Vec<u8>> + 'a;

/// Two machines on a virtual clock.
pub struct Pair {
    client: ClientHandshake,
    server: ServerHandshake,
    now: Timestamp,
    client_says: Answer,
    server_says: Answer,
    ends: Ends,
}

/// How it ended. An end that waits for ever is run into its deadline.
#[derive(Default)]
pub struct Ends {
    /// The client's end.
    pub client: Option<Result<Box<Established>, HandshakeError>>,
    /// The server's end.
    pub server: Option<Result<Box<Established>, HandshakeError>>,
    /// What each side sent, in order, before the wire did anything to it.
    pub flights: Vec<(Side, Vec<u8>)>,
    /// Whom each application was asked about.
    pub asked: Vec<(Side, PeerId)>,
    /// What the server's application was asked for, and what the proof of a resumption was to be bound to.
    pub requested: Option<(Request, ResumeBinding)>,
    /// What each delivered flight did to its receiver.
    pub handled: Vec<(Side, Handled)>,
}

impl Pair {
    /// A client and a server that sees it at `source`.
    ///
    /// # Errors
    /// What the client's start says; a server's configuration error as one too.
    pub fn new(
        client: ClientConfig,
        server: &Arc<ServerConfig>,
        source: &[u8],
        under_load: bool,
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        let client = ClientHandshake::new(client, now)?;
        let server = ServerHandshake::new(Arc::clone(server), source, under_load, now)?;
        let (client_says, server_says) = (Answer::Accept, Answer::Accept);
        Ok(Self { client, server, now, client_says, server_says, ends: Ends::default() })
    }

    /// What the client's application says.
    #[must_use]
    pub const fn client_says(mut self, answer: Answer) -> Self {
        self.client_says = answer;
        self
    }

    /// What the server's application says.
    #[must_use]
    pub const fn server_says(mut self, answer: Answer) -> Self {
        self.server_says = answer;
        self
    }

    /// Runs without interference.
    pub fn run(self) -> Ends {
        self.run_over(&mut |_, _, flight| vec![flight])
    }

    /// Runs over `wire` until both ends are at an end.
    pub fn run_over(mut self, wire: &mut Wire<'_>) -> Ends {
        loop {
            while self.step(wire) {}
            let client = self.client.poll_timeout().map(|(when, _)| (when, Side::Initiator));
            let server = self.server.poll_timeout().map(|(when, _)| (when, Side::Responder));
            let Some((when, side)) = client.into_iter().chain(server).min() else {
                return self.ends;
            };
            self.now = self.now.max(when);
            let _ = self.input(side, Input::Timeout);
        }
    }

    fn input(&mut self, side: Side, input: Input<'_>) -> Handled {
        match side {
            Side::Initiator => self.client.handle(self.now, input),
            Side::Responder => self.server.handle(self.now, input),
        }
    }

    /// Acts on one output of either side; false when there is none.
    fn step(&mut self, wire: &mut Wire<'_>) -> bool {
        let (side, output) = if let Some(output) = self.client.poll_output() {
            (Side::Initiator, output)
        } else if let Some(output) = self.server.poll_output() {
            (Side::Responder, output)
        } else {
            return false;
        };
        match output {
            Output::Send(flight) => {
                let number = self.ends.flights.len();
                self.ends.flights.push((side, flight.clone()));
                for delivered in wire(number, side, flight) {
                    let handled = self.input(side.peer(), Input::Flight(&delivered));
                    self.ends.handled.push((side.peer(), handled));
                }
            }
            Output::Ask { peer } => {
                self.ends.asked.push((side, peer.peer_id()));
                self.answer(side);
            }
            Output::Request { peer, request, binding } => {
                self.ends.asked.push((side, peer.peer_id()));
                self.ends.requested = Some((request, binding));
                self.answer(side);
            }
            Output::Established(established) => self.end(side, Ok(established)),
            Output::Failed(error) => self.end(side, Err(error)),
        }
        true
    }

    fn answer(&mut self, side: Side) {
        let answer = match side {
            Side::Initiator => self.client_says,
            Side::Responder => self.server_says,
        };
        let _ = match answer {
            Answer::Accept => self.input(side, Input::Accept(Grant::default())),
            Answer::Grant(grant) => self.input(side, Input::Accept(grant)),
            Answer::Refused(refused) => self.input(side, Input::Refuse(refused)),
            Answer::Refuse(code) => self.input(side, Input::Refuse(code.into())),
            Answer::Silence => Handled::Done,
        };
    }

    fn end(&mut self, side: Side, end: Result<Box<Established>, HandshakeError>) {
        let place = match side {
            Side::Initiator => &mut self.ends.client,
            Side::Responder => &mut self.ends.server,
        };
        assert!(place.is_none(), "{side:?} ended twice");
        *place = Some(end);
    }
}

impl Ends {
    /// Both results of a handshake that must succeed.
    pub fn unwrap(self) -> (Box<Established>, Box<Established>) {
        match (self.client, self.server) {
            (Some(Ok(client)), Some(Ok(server))) => (client, server),
            (client, server) => {
                unreachable!(
                    "client {:?}, server {:?}",
                    client.map(|end| end.err()),
                    server.map(|end| end.err())
                )
            }
        }
    }

    /// Why the client failed; `None` if it did not.
    pub fn client_error(&self) -> Option<HandshakeError> {
        self.client.as_ref().and_then(|end| end.as_ref().err().copied())
    }

    /// Why the server failed; `None` if it did not.
    pub fn server_error(&self) -> Option<HandshakeError> {
        self.server.as_ref().and_then(|end| end.as_ref().err().copied())
    }

    /// Whether both ends believe in a session.
    pub fn both_established(&self) -> bool {
        matches!((&self.client, &self.server), (Some(Ok(_)), Some(Ok(_))))
    }
}
