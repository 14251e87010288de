//! Pairs of established sessions, by the handshake machines alone.

use crate::canary;
use citadel_crypt::SecrecyMode;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, Established, Grant, HandshakeConfig, Input, Limits, Output, ServerConfig,
    ServerHandshake, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use std::sync::Arc;

/// Both ends of one handshake.
pub struct Pair {
    /// What the initiator holds, and its identity.
    pub initiator: (Established, Arc<Identity>),
    /// What the responder holds, and its identity.
    pub responder: (Established, Arc<Identity>),
}

/// A fresh identity.
pub fn identity() -> Arc<Identity> {
    Arc::new(Identity::generate())
}

fn common(identity: &Arc<Identity>, mode: SecrecyMode, limits: Limits) -> HandshakeConfig {
    canary::watch();
    let config = HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), SessionKind::C2S);
    HandshakeConfig { mode, limits, ..config }
}

/// A client that dials `server`.
pub fn client_config(
    own: &Arc<Identity>,
    server: &Identity,
    mode: SecrecyMode,
    limits: Limits,
) -> ClientConfig {
    ClientConfig::new(common(own, mode, limits), Trust::Peer(server.peer_id()))
}

/// A server.
pub fn server_config(own: &Arc<Identity>, mode: SecrecyMode, limits: Limits) -> Arc<ServerConfig> {
    Arc::new(ServerConfig::new(common(own, mode, limits)).expect("randomness is there"))
}

impl Pair {
    /// Runs a handshake in which both ends announce `limits`.
    pub fn new(mode: SecrecyMode, limits: Limits) -> Self {
        let (alice, bob) = (identity(), identity());
        let now = Timestamp::ZERO;
        let mut client = ClientHandshake::new(client_config(&alice, &bob, mode, limits), now).unwrap();
        let mut server =
            ServerHandshake::new(server_config(&bob, mode, limits), b"world", false, now).unwrap();
        let (mut initiator, mut responder) = (None, None);
        while initiator.is_none() {
            while let Some(output) = client.poll_output() {
                match output {
                    Output::Send(flight) => {
                        let _ = server.handle(now, Input::Flight(&flight));
                    }
                    Output::Established(established) => initiator = Some(*established),
                    other => panic!("client: {other:?}"),
                }
            }
            while let Some(output) = server.poll_output() {
                match output {
                    Output::Send(flight) => {
                        let _ = client.handle(now, Input::Flight(&flight));
                    }
                    Output::Request { .. } => {
                        let _ = server.handle(now, Input::Accept(Grant::default()));
                    }
                    Output::Established(established) => responder = Some(*established),
                    other => panic!("server: {other:?}"),
                }
            }
        }
        Self {
            initiator: (initiator.unwrap(), alice),
            responder: (responder.expect("the server is established first"), bob),
        }
    }
}
