//! Configurations that the tests start from.

use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, HandshakeConfig, HandshakeError, Psk, PskHint, ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use citadel_tests::tamper::{Ends, Pair};
use std::sync::{Arc, LazyLock};

pub(crate) static CLIENT: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(Identity::generate()));
pub(crate) static SERVER: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(Identity::generate()));

pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);
pub(crate) const SOURCE: &[u8] = b"192.0.2.1:4433";
pub(crate) const HINT: PskHint = PskHint([7; 16]);

/// Both ends, to be changed by a test and run.
pub(crate) struct Setup {
    pub(crate) client: ClientConfig,
    pub(crate) server: ServerConfig,
    pub(crate) under_load: bool,
}

impl Setup {
    pub(crate) fn new(kind: SessionKind) -> Self {
        let common =
            |identity: &Arc<Identity>| HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), kind);
        let client = ClientConfig::new(common(&CLIENT), Trust::Peer(SERVER.peer_id()));
        let server = ServerConfig::new(common(&SERVER)).unwrap();
        Self { client, server, under_load: false }
    }

    pub(crate) fn with_psk(mut self, client: &[u8], server: &[u8]) -> Self {
        self.client.psk = Some(Arc::new(Psk::new(HINT, client).unwrap()));
        self.server.psks = Arc::from([Psk::new(HINT, server).unwrap()]);
        self
    }

    pub(crate) fn pair(self) -> Pair {
        self.try_pair().unwrap()
    }

    pub(crate) fn try_pair(self) -> Result<Pair, HandshakeError> {
        Pair::new(self.client, &Arc::new(self.server), SOURCE, self.under_load, NOW)
    }

    pub(crate) fn run(self) -> Ends {
        self.pair().run()
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new(SessionKind::C2S)
    }
}
