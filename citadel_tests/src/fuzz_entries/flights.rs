//! Handshake flights: what strangers send before anything is authenticated.

use crate::seeded::SeededProvider;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, ClientProof, HandshakeConfig, Hello, HelloReply, Input, Refusal, Request,
    Retry, ServerConfig, ServerHandshake, ServerProof, SessionKind, Trust, VerdictBody,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::SEED_LEN;
use std::sync::{Arc, LazyLock};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

static COMMON: LazyLock<HandshakeConfig> = LazyLock::new(|| {
    let provider = SeededProvider::new(1);
    let seed = Secret::copy_from(&[7; SEED_LEN]);
    let identity = Identity::from_seed(&provider, seed).expect("every seed makes a key");
    HandshakeConfig::new(Arc::new(provider), Arc::new(identity), SessionKind::C2S)
});
static SERVER: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| Arc::new(ServerConfig::new(COMMON.clone()).expect("a seeded provider has randomness")));

/// Writes again what parses: the same bytes.
fn has_one_form<T, E>(data: &[u8], parse: impl Fn(&[u8]) -> Result<T, E>, encode: impl Fn(&T) -> Vec<u8>) {
    if let Ok(value) = parse(data) {
        assert_eq!(encode(&value), data, "what parses has one form");
    }
}

/// Any flight, or any body that stands encrypted in one, into its parser and into both machines.
pub fn flights(data: &[u8]) {
    has_one_form(data, Hello::parse, Hello::encode);
    has_one_form(data, Retry::parse, Retry::encode);
    has_one_form(data, HelloReply::parse, HelloReply::encode);
    has_one_form(data, Refusal::parse, Refusal::encode);
    has_one_form(data, ServerProof::parse, ServerProof::encode);
    has_one_form(data, ClientProof::parse, |proof| proof.encode().to_vec());
    has_one_form(data, VerdictBody::parse, VerdictBody::encode);
    has_one_form(data, Request::parse, |request| request.encode().to_vec());
    for under_load in [false, true] {
        if let Ok(mut server) = ServerHandshake::new(Arc::clone(&SERVER), b"source", under_load, NOW) {
            let _ = server.handle(NOW, Input::Flight(data));
            while server.poll_output().is_some() {}
        }
    }
    let config = ClientConfig::new(COMMON.clone(), Trust::DangerousAnyone);
    if let Ok(mut client) = ClientHandshake::new(config, NOW) {
        while client.poll_output().is_some() {}
        let _ = client.handle(NOW, Input::Flight(data));
        while client.poll_output().is_some() {}
    }
}
