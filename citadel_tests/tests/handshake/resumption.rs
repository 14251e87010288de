//! The proof of a resumption: good for one session, one handshake and one path.

use crate::setup::Setup;
use citadel_crypt::handshake::{ClientRequest, Established, Instance, Request, ResumeRequest, ResumptionKey};
use citadel_crypt::identity::Identity;
use citadel_tests::tamper::Ends;
use hmac::{Hmac, KeyInit, Mac};
use sha3::{Digest, Sha3_256};
use std::sync::Arc;

fn session() -> (Box<Established>, Box<Established>) {
    Setup::default().run().unwrap()
}

fn ask(request: impl Into<ClientRequest>) -> Ends {
    let mut setup = Setup::default();
    setup.client.request = request.into();
    setup.run()
}

fn resume(end: &Established, path: u64) -> ClientRequest {
    ClientRequest::Resume { instance: end.instance, path, key: Arc::clone(&end.resumption) }
}

/// What the server got, and whether `key` holds for it.
fn judged(ends: &Ends, key: &ResumptionKey) -> (ResumeRequest, bool) {
    match &ends.requested {
        Some((Request::Resume(request), binding)) => (*request, key.verify(binding, request)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_ends_of_a_session_hold_one_key_and_every_session_another() {
    let (client, server) = session();
    assert_eq!(client.resumption, server.resumption);
    let (other, _) = session();
    assert_ne!(client.resumption, other.resumption);
    assert_eq!(format!("{:?}", client.resumption), "ResumptionKey(..)");
}

#[test]
fn a_proof_of_the_sessions_key_holds_in_its_handshake() {
    let (client, server) = session();
    let (request, holds) = judged(&ask(resume(&client, 7)), &server.resumption);
    assert!(holds);
    assert_eq!((request.instance, request.path), (client.instance, 7));
}

#[test]
fn another_sessions_key_does_not_hold() {
    let (client, _) = session();
    let (_, other) = session();
    assert!(!judged(&ask(resume(&client, 7)), &other.resumption).1);
}

#[test]
fn a_proof_that_was_overheard_holds_in_no_other_handshake() {
    let (client, server) = session();
    let (overheard, holds) = judged(&ask(resume(&client, 7)), &server.resumption);
    assert!(holds);
    let (replayed, holds) = judged(&ask(Request::Resume(overheard)), &server.resumption);
    assert_eq!(replayed, overheard);
    assert!(!holds);
}

#[test]
fn a_proof_holds_for_its_path_its_instance_and_its_client_only() {
    let (client, server) = session();
    let ends = ask(resume(&client, 7));
    let (request, _) = judged(&ends, &server.resumption);
    let (_, binding) = ends.requested.unwrap();
    let changed = [
        ResumeRequest { path: 8, ..request },
        ResumeRequest { path: 6, ..request },
        ResumeRequest { instance: Instance([0; 16]), ..request },
        ResumeRequest { proof: [0; 32], ..request },
    ];
    for request in changed {
        assert!(!server.resumption.verify(&binding, &request), "{request:?}");
    }
    // The same key under another identity has another binding: the proof goes nowhere with a stolen key alone.
    let mut setup = Setup::default();
    setup.client.common.identity = Arc::new(Identity::generate());
    setup.client.request = resume(&client, 7);
    let ends = setup.run();
    assert!(judged(&ends, &server.resumption).1, "the key is right");
    assert_ne!(ends.asked[0].1, client_id(), "and who asks is known, and is someone else");
}

fn client_id() -> citadel_crypt::addr::PeerId {
    crate::setup::CLIENT.peer_id()
}

/// The proof again with other crates: HMAC-SHA-256 over SHA3-256 of length-prefixed fields.
#[test]
fn the_proof_is_what_the_protocol_page_says() {
    let transcript = |fields: &[&[u8]]| -> [u8; 32] {
        let hasher = fields.iter().fold(Sha3_256::new(), |hasher, field| {
            hasher.chain_update((field.len() as u64).to_le_bytes()).chain_update(field)
        });
        hasher.finalize().into()
    };
    let (client, _) = session();
    let ends = ask(resume(&client, 7));
    let (request, _) = judged(&ends, &client.resumption);
    let (_, binding) = ends.requested.unwrap();
    let hash =
        transcript(&[b"citadel/1 resume proof", &binding.hash(), &request.instance.0, &7_u64.to_le_bytes()]);
    let key = resumption_key(&client);
    let proof =
        Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(hash).finalize().into_bytes();
    assert_eq!(request.proof, &proof[..]);
}

/// HKDF-Expand of hs over label, suite, version 0 and th0, each behind its length.
fn resumption_key(end: &Established) -> [u8; 32] {
    let suite = end.initial.suite.id().to_le_bytes();
    let version = 0_u64.to_le_bytes();
    let fields: [&[u8]; 4] = [b"citadel/1 resumption", &suite, &version, &end.initial.th0];
    let mut info = Vec::new();
    for field in fields {
        info.extend_from_slice(&(field.len() as u64).to_le_bytes());
        info.extend_from_slice(field);
    }
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::from_prk(end.initial.hs.expose()).unwrap().expand(&info, &mut key).unwrap();
    key
}
