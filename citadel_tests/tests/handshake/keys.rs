//! The transcript chain and the keys, computed again from the flights with other crates and the constants written anew.

use crate::setup::{CLIENT, SERVER, Setup};
use citadel_crypt::handshake::{ClientProof, HelloGuard, HelloReply, Limits, ServerProof, Trust};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{CryptoProvider, Suite};
use citadel_tests::seeded::SeededProvider;
use citadel_tests::tamper::recompute::{FlightSeal, binder_key, expand, extract, mac, transcript};
use rstest::rstest;
use std::sync::Arc;

fn open(hs: &[u8; 32], label: &str, th1: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    FlightSeal::new(hs, label, th1).open(aad, sealed).unwrap()
}

#[rstest]
fn the_chain_is_the_one_of_the_document(
    #[values(false, true)] retry: bool,
    #[values(false, true)] psk: bool,
) {
    let mut setup = Setup { under_load: retry, ..Setup::default() };
    setup.client.common.suites = vec![Suite::DEFAULT];
    setup.server.common.suites = vec![Suite::DEFAULT];
    if psk {
        setup = setup.with_psk(&[9; 32], &[9; 32]);
    }
    let ends = setup.run();
    let flights: Vec<Vec<u8>> = ends.flights.iter().map(|(_, flight)| flight.clone()).collect();
    let (client, server) = ends.unwrap();
    let hs = client.initial.hs.expose();
    assert_eq!(hs, server.initial.hs.expose());

    let [hello, reply, proof, verdict] = &flights[flights.len() - 4..] else { unreachable!("four flights") };
    let clear = &reply[..reply.len() - (1984 + 3373 + 32 + 16)];
    let first = transcript(&[b"citadel/1 hello", &flights[0]]);
    let th1 = if retry {
        transcript(&[b"citadel/1 hs", &first, &flights[1], hello, clear])
    } else {
        transcript(&[b"citadel/1 hs", hello, clear])
    };

    let sealed = HelloReply::parse(reply).unwrap().sealed;
    let server_proof = ServerProof::parse(&open(hs, "citadel/1 flight reply", &th1, b"", &sealed)).unwrap();
    let (id_s, sig_s) = (SERVER.public().to_bytes(), server_proof.signature.to_bytes());
    assert_eq!(server_proof.identity, *SERVER.public());
    SERVER.public().verify("citadel/1 server", &[&th1, &id_s], &server_proof.signature).unwrap();
    let th2 = transcript(&[b"citadel/1 th2", &th1, &id_s, &sig_s]);
    assert_eq!(server_proof.mac, mac(&expand(hs, "citadel/1 mac server", &th1), &th2));

    let client_proof =
        ClientProof::parse(&open(hs, "citadel/1 flight proof", &th1, b"", &proof[1..])).unwrap();
    let (id_c, sig_c) = (CLIENT.public().to_bytes(), client_proof.signature.to_bytes());
    let signed: [&[u8]; 3] = [&th2, &server_proof.mac, &id_c];
    CLIENT.public().verify("citadel/1 client", &signed, &client_proof.signature).unwrap();
    let th3 = transcript(&[b"citadel/1 th3", &th2, &server_proof.mac, &id_c, &sig_c, &[0, 0, 0]]);
    assert_eq!(client_proof.mac, mac(&expand(hs, "citadel/1 mac client", &th1), &th3));

    let th0 = transcript(&[b"citadel/1 th0", &th3, &client_proof.mac]);
    let session = transcript(&[b"citadel/1 session", &th0]);
    assert_eq!((client.initial.th0, server.initial.th0), (th0, th0));
    assert_eq!((client.session_id, server.session_id), (session, session));
    let body = open(hs, "citadel/1 flight verdict", &th1, &th0, &verdict[1..]);
    assert_eq!((body.len(), body[0]), (256, 0));
}

#[test]
fn the_binder_is_the_one_of_the_document() {
    let ends = Setup::default().with_psk(&[9; 33], &[9; 33]).run();
    let hello = &ends.flights[0].1;
    let (partial, binder) = hello.split_at(hello.len() - 32);
    assert_eq!(binder, mac(&binder_key(&[9; 33]), &transcript(&[b"citadel/1 psk binder", partial])));
}

#[test]
fn two_sessions_share_nothing() {
    let (one, _) = Setup::default().run().unwrap();
    let (two, _) = Setup::default().run().unwrap();
    assert_ne!(one.session_id, two.session_id);
    assert_ne!(one.instance, two.instance);
    assert_ne!(one.initial.hs.expose(), two.initial.hs.expose());
}

/// A client of the seeded provider against a native server; its twin draws the same keys again.
#[rstest]
fn the_secret_is_of_both_halves_and_the_pre_shared_key(#[values(false, true)] psk: bool) {
    let mut setup = Setup::default();
    if psk {
        setup = setup.with_psk(&[9; 32], &[9; 32]);
    }
    setup.client.common.provider = Arc::new(SeededProvider::new(7));
    setup.client.common.suites = vec![Suite::DEFAULT];
    let ends = setup.run();
    let reply = HelloReply::parse(&ends.flights[1].1).unwrap();
    let (client, _) = ends.unwrap();

    let twin = SeededProvider::new(7);
    twin.random(&mut [0; 32]).unwrap();
    let (dh, _) = twin.dh_generate().unwrap();
    let (kem, _) = twin.kem_generate(Suite::DEFAULT.kem).unwrap();
    let secrets =
        [*kem.decapsulate(&reply.ciphertext).unwrap().expose(), *dh.agree(&reply.share).unwrap().expose()];
    let key: &[u8] = if psk { &[9; 32] } else { &[0; 32] };
    let early = extract(b"citadel/1 psk", key);
    assert_eq!(*client.initial.hs.expose(), extract(&early, secrets.as_flattened()));
}

/// Frozen: all flights and the secrets of a handshake of two seeded providers. A change here is one of the protocol.
#[test]
fn a_frozen_handshake_stays_as_it_is() {
    let mut setup = Setup { under_load: true, ..Setup::default() }.with_psk(&[9; 32], &[9; 32]);
    let [client, server] = [11, 12].map(|seed| {
        let provider = Arc::new(SeededProvider::new(seed));
        let identity = Arc::new(Identity::generate_with(&*provider).unwrap());
        (provider, identity)
    });
    setup.client.trust = Trust::Peer(server.1.peer_id());
    setup.server.guard = Arc::new(HelloGuard::new(&*server.0).unwrap());
    for (common, (provider, identity)) in
        [(&mut setup.client.common, client), (&mut setup.server.common, server)]
    {
        common.provider = provider;
        common.identity = identity;
        common.suites = vec![Suite::DEFAULT];
        // Limits travel; defaults may change.
        common.limits = Limits {
            max_message: 64 << 20,
            session_credit: 4 << 20,
            channel_credit: 1 << 20,
            max_channels: 16,
        };
    }
    let ends = setup.run();
    let flights: Vec<&[u8]> = ends.flights.iter().map(|(_, flight)| &flight[..]).collect();
    let hash = transcript(&flights);
    let (client, _) = ends.unwrap();
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let frozen = [hash, *client.initial.hs.expose(), client.initial.th0, client.session_id].map(hex);
    assert_eq!(frozen, FROZEN);
}

/// Hash of the flights, hs, th0, session id.
const FROZEN: [&str; 4] = [
    "2c5a3cf2a1cb2a483ac737cb2ff4202be5db59dceab93ec9707d729232980ede",
    "595a69ad383f9fd6ae7da63849c996a626438f1cfe559af12888b50049dd8086",
    "e67b854f2615577f85bcbf8fba22a69d277e6e57b2b3492794c7f1bdad5e4018",
    "66498bbaf7b5df6cd03da102c6122bd3999dce8859cb7455bc432eb1aadd54f5",
];
