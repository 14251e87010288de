//! Writes the seeds of the fuzz targets: `cargo run -p citadel_tests --example fuzz_seeds`.
//!
//! The seeds are committed. They are made anew when a wire format changes.

use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, ClientProof, HandshakeConfig, Limits, Psk, PskHint, Refusal, RefusalCode, Request,
    ServerConfig, ServerProof, SessionKind, Trust, VerdictBody,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::SEED_LEN;
use citadel_tests::seeded::SeededProvider;
use citadel_tests::sources;
use citadel_tests::tamper::Pair;
use std::sync::Arc;
use std::{fs, io};

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = sources::root().join("citadel_tests/fuzz/seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn identity(provider: &SeededProvider) -> io::Result<Identity> {
    Identity::from_seed(provider, Secret::copy_from(&[7; SEED_LEN])).map_err(io::Error::other)
}

fn names() -> io::Result<()> {
    let identity = identity(&SeededProvider::new(7))?;
    let peer = identity.peer_id();
    write("addresses", "peer", peer.to_string().as_bytes())?;
    for (name, place) in
        [("name", "host-1.example:443"), ("v4", "127.0.0.1:0"), ("v6", "[fe80::1%eth0]:65535")]
    {
        write("addresses", name, format!("{peer}@{place}").as_bytes())?;
    }
    write("identities", "stored", &identity.to_bytes())?;
    write("identities", "public", identity.public().as_bytes())?;
    let signature = identity.sign("citadel/1 seed", &[b"seed"]).map_err(io::Error::other)?;
    write("identities", "signature", signature.as_bytes())
}

/// Every flight of one handshake with a pre-shared key and a `Retry`, and the bodies that stand encrypted in them.
fn flights() -> io::Result<()> {
    let provider = SeededProvider::new(7);
    let identity = Arc::new(identity(&provider)?);
    let common = HandshakeConfig::new(Arc::new(provider), Arc::clone(&identity), SessionKind::C2S);
    let psk = || Psk::new(PskHint([7; 16]), &[1; 32]).map_err(io::Error::other);
    let mut client = ClientConfig::new(common.clone(), Trust::Peer(identity.peer_id()));
    client.psk = Some(Arc::new(psk()?));
    let mut server = ServerConfig::new(common).map_err(io::Error::other)?;
    server.psks = Arc::from([psk()?]);
    let pair = Pair::new(client, &Arc::new(server), b"source", true, Timestamp::from_nanos(1_000_000_000));
    for (number, (_, flight)) in pair.map_err(io::Error::other)?.run().flights.iter().enumerate() {
        write("flights", &format!("flight_{number}"), flight)?;
    }
    let signature = identity.sign("citadel/1 seed", &[]).map_err(io::Error::other)?;
    let (public, request) = (identity.public().clone(), Request::Identity.encode());
    let proof = ServerProof { identity: public.clone(), signature: signature.clone(), mac: [3; 32] };
    write("flights", "server_proof", &proof.encode())?;
    let proof = ClientProof { identity: public, signature, request: request.clone().into(), mac: [4; 32] };
    write("flights", "client_proof", &proof.encode())?;
    write("flights", "request", &request)?;
    write("flights", "refusal", &Refusal { code: RefusalCode::BUSY }.encode())?;
    write("flights", "accepted", &VerdictBody::Accepted { limits: Limits::default() }.encode())
}

fn main() -> io::Result<()> {
    names()?;
    flights()
}
