//! The transcript chain and the keys, computed again from the flights with other crates and the constants written anew.

use crate::setup::{CLIENT, SERVER, Setup};
use citadel_crypt::handshake::{ClientProof, HelloReply, ServerProof};
use citadel_tests::tamper::recompute::{FlightSeal, binder_key, expand, mac, transcript};
use rstest::rstest;

fn open(hs: &[u8; 32], label: &str, th1: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    FlightSeal::new(hs, label, th1).open(aad, sealed).unwrap()
}

#[rstest]
fn the_chain_is_the_one_of_the_document(
    #[values(false, true)] retry: bool,
    #[values(false, true)] psk: bool,
) {
    let mut setup = Setup { under_load: retry, ..Setup::default() };
    setup.client.common.suites = vec![citadel_crypt::suite::Suite::DEFAULT];
    setup.server.common.suites = vec![citadel_crypt::suite::Suite::DEFAULT];
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
