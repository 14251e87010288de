//! One recorded handshake, played again with one flight spoilt.

use super::{Ends, Pair, Tape};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, Established, FlightKind, Handled, HandshakeConfig, HandshakeError, Ignored, Psk, PskHint,
    ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::Suite;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);
const SOURCE: &[u8] = b"192.0.2.1:4433";

/// Who plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cast {
    /// The only suite of both ends.
    pub suite: Suite,
    /// With a pre-shared key.
    pub psk: bool,
    /// With a `Retry`.
    pub retry: bool,
}

/// A recorded handshake.
pub struct Scene {
    client: ClientConfig,
    server: Arc<ServerConfig>,
    tapes: [Arc<Tape>; 2],
    retry: bool,
    /// Every flight in its order.
    pub flights: Vec<(Side, Vec<u8>)>,
    /// The client's result.
    pub established: Box<Established>,
}

impl Scene {
    /// Records one handshake of `cast`.
    pub fn record(cast: Cast) -> Self {
        let tapes = [Arc::new(Tape::default()), Arc::new(Tape::default())];
        let common = |tape: &Arc<Tape>| {
            let provider: Arc<Tape> = Arc::clone(tape);
            let identity = Identity::generate_with(&*provider).expect("the native provider works");
            let mut common = HandshakeConfig::new(provider, Arc::new(identity), SessionKind::C2S);
            common.suites = vec![cast.suite];
            common
        };
        let mut server = ServerConfig::new(common(&tapes[1])).expect("the native provider works");
        let trust = Trust::Peer(server.common.identity.peer_id());
        let mut client = ClientConfig::new(common(&tapes[0]), trust);
        if cast.psk {
            let psk = || Psk::new(PskHint([7; 16]), &[9; 32]).expect("32 bytes are enough");
            client.psk = Some(Arc::new(psk()));
            server.psks = Arc::from([psk()]);
        }
        // What was drawn for identities and cookies is not part of the handshake.
        for tape in &tapes {
            tape.cut();
        }
        let server = Arc::new(server);
        let pair = Pair::new(client.clone(), &server, SOURCE, cast.retry, NOW);
        let ends = pair.expect("the configuration is sensible").run();
        let flights = ends.flights.clone();
        let (established, _) = ends.unwrap();
        Self { client, server, tapes, retry: cast.retry, flights, established }
    }

    /// The client's identity.
    pub fn client(&self) -> &Identity {
        &self.client.common.identity
    }

    /// The server's identity.
    pub fn server(&self) -> &Identity {
        &self.server.common.identity
    }

    /// Kind of the flight at `place`.
    pub fn kind(&self, place: usize) -> FlightKind {
        FlightKind::of(&self.flights[place].1)
    }

    /// Plays it again with `spoilt` in the place of one flight.
    pub fn play(&self, place: usize, spoilt: &[u8]) -> Ends {
        for tape in &self.tapes {
            tape.rewind();
        }
        let pair = Pair::new(self.client.clone(), &self.server, SOURCE, self.retry, NOW);
        pair.expect("the configuration is sensible")
            .run_over(&mut |number, _, flight| vec![if number == place { spoilt.to_vec() } else { flight }])
    }

    /// Plays it with `spoilt` and says what is wrong with the outcome, if anything is.
    ///
    /// # Errors
    /// What must not have happened.
    pub fn judge(&self, place: usize, spoilt: &[u8]) -> Result<Ends, String> {
        let ends = self.play(place, spoilt);
        let kind = self.kind(place);
        let fault = |text: &str| {
            Err(format!("{kind}: {text}: client {:?}, server {:?}", ends.client_error(), ends.server_error()))
        };
        if ends.client.is_none() || ends.server.is_none() {
            return fault("an end did not end");
        }
        if matches!(ends.client, Some(Ok(_))) {
            return fault("the client believes in a session");
        }
        for error in [ends.client_error(), ends.server_error()].into_iter().flatten() {
            if matches!(error, HandshakeError::Unavailable | HandshakeError::Config(_)) {
                return fault("the peer's bytes became our fault");
            }
        }
        let reveals = |(_, flight): &(Side, Vec<u8>)| FlightKind::of(flight) == FlightKind::Proof;
        let before_proof = !matches!(kind, FlightKind::Proof | FlightKind::Verdict);
        if before_proof && ends.flights.iter().any(reveals) {
            return fault("the client showed itself");
        }
        if kind != FlightKind::Verdict && (!ends.asked.is_empty() || matches!(ends.server, Some(Ok(_)))) {
            return fault("the server acted on it");
        }
        let sealed = matches!(kind, FlightKind::HelloReply | FlightKind::Proof | FlightKind::Verdict);
        // A flight that was accepted before, in this place once more, is ignored; it changes nothing.
        if sealed && !matches!(ends.handled[place].1, Handled::Failed(_) | Handled::Ignored(Ignored::Repeat))
        {
            return fault("its receiver took it");
        }
        Ok(ends)
    }
}
