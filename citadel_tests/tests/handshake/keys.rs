//! The transcript chain and the keys, computed again from the flights with other crates and the constants written anew.

use crate::setup::{CLIENT, SERVER, Setup};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use citadel_crypt::handshake::{ClientProof, HelloReply, ServerProof};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rstest::rstest;
use sha2::Sha256;
use sha3::{Digest, Sha3_256};

/// SHA3-256 over length-prefixed fields, the label first.
fn transcript(fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha3_256::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

fn expand<const N: usize>(hs: &[u8], label: &str, th1: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    let info =
        [&(label.len() as u64).to_le_bytes()[..], label.as_bytes(), &0x0101u16.to_le_bytes(), th1].concat();
    Hkdf::<Sha256>::from_prk(hs).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn mac(key: &[u8; 32], hash: &[u8; 32]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(hash);
    mac.finalize().into_bytes().into()
}

fn open(hs: &[u8], label: &str, th1: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let material: [u8; 48] = expand(hs, label, th1);
    let key = Aes256Gcm::new_from_slice(&material[..32]).unwrap();
    let nonce = Nonce::try_from(&material[32..44]).unwrap();
    key.decrypt(&nonce, Payload { msg: sealed, aad }).unwrap()
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
    let (_, early) = Hkdf::<Sha256>::extract(Some(b"citadel/1 psk"), &[9; 33]);
    let mut key = [0; 32];
    early.expand(b"citadel/1 psk binder", &mut key).unwrap();
    assert_eq!(binder, mac(&key, &transcript(&[b"citadel/1 psk binder", partial])));
}

#[test]
fn two_sessions_share_nothing() {
    let (one, _) = Setup::default().run().unwrap();
    let (two, _) = Setup::default().run().unwrap();
    assert_ne!(one.session_id, two.session_id);
    assert_ne!(one.instance, two.instance);
    assert_ne!(one.initial.hs.expose(), two.initial.hs.expose());
}
