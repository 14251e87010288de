//! An attacker who ran the key agreement itself: the seals are right, what is inside them is not. So the signature and
//! the MAC are tried alone, each bit of them.

use citadel_crypt::handshake::{
    ClientProof, FlightKind, Handled, HandshakeError, HelloReply, RefusalCode, ServerProof,
};
use citadel_crypt::identity::{HybridSignature, Identity};
use citadel_crypt::suite::Suite;
use citadel_tests::tamper::recompute::{FlightSeal, expand, mac, transcript};
use citadel_tests::tamper::{Cast, Scene};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const CAST: Cast = Cast { suite: Suite::DEFAULT, psk: false, retry: false };
const REPLY: usize = 1;
const PROOF: usize = 2;

/// A scene of which the attacker has the keys.
struct Inside {
    scene: Scene,
    hs: [u8; 32],
    th1: [u8; 32],
    clear: Vec<u8>,
    server: ServerProof,
    client: ClientProof,
}

impl Inside {
    fn new() -> Self {
        let scene = Scene::record(CAST);
        let hs = *scene.established.initial.hs.expose();
        let [hello, reply, proof] = [0, REPLY, PROOF].map(|place| scene.flights[place].1.clone());
        let parsed = HelloReply::parse(&reply).unwrap();
        let clear = parsed.encode_clear();
        let th1 = transcript(&[b"citadel/1 hs", &hello, &clear]);
        let open = |label, sealed: &[u8]| FlightSeal::new(&hs, label, &th1).open(b"", sealed).unwrap();
        let server = ServerProof::parse(&open("citadel/1 flight reply", &parsed.sealed)).unwrap();
        let client = ClientProof::parse(&open("citadel/1 flight proof", &proof[1..])).unwrap();
        Self { scene, hs, th1, clear, server, client }
    }

    fn reply(&self, plaintext: &[u8]) -> Vec<u8> {
        let seal = FlightSeal::new(&self.hs, "citadel/1 flight reply", &self.th1);
        [&self.clear[..], &seal.seal(b"", plaintext)].concat()
    }

    fn proof(&self, plaintext: &[u8]) -> Vec<u8> {
        let seal = FlightSeal::new(&self.hs, "citadel/1 flight proof", &self.th1);
        [&[4][..], &seal.seal(b"", plaintext)].concat()
    }

    fn th2(&self) -> [u8; 32] {
        let (id, signature) = (self.server.identity.to_bytes(), self.server.signature.to_bytes());
        transcript(&[b"citadel/1 th2", &self.th1, &id, &signature])
    }

    /// A client's proof with a right MAC over whatever it says.
    fn proof_with_mac(&self, mut proof: ClientProof) -> Vec<u8> {
        let (id, signature) = (proof.identity.to_bytes(), proof.signature.to_bytes());
        let th2 = self.th2();
        let th3 = transcript(&[b"citadel/1 th3", &th2, &self.server.mac, &id, &signature, &proof.request]);
        proof.mac = mac(&expand(&self.hs, "citadel/1 mac client", &self.th1), &th3);
        self.proof(&proof.encode())
    }

    /// A server's proof with a right MAC over whatever it says.
    fn reply_with_mac(&self, mut proof: ServerProof) -> Vec<u8> {
        let (id, signature) = (proof.identity.to_bytes(), proof.signature.to_bytes());
        let th2 = transcript(&[b"citadel/1 th2", &self.th1, &id, &signature]);
        proof.mac = mac(&expand(&self.hs, "citadel/1 mac server", &self.th1), &th2);
        self.reply(&proof.encode())
    }

    fn client_hears(&self, reply: &[u8]) -> Option<HandshakeError> {
        self.scene.judge(REPLY, reply).unwrap().client_error()
    }

    fn server_hears(&self, proof: &[u8]) -> Option<HandshakeError> {
        self.scene.judge(PROOF, proof).unwrap().server_error()
    }
}

const UNPROVEN_REPLY: Option<HandshakeError> = Some(HandshakeError::NotAuthentic(FlightKind::HelloReply));
const UNPROVEN_PROOF: Option<HandshakeError> = Some(HandshakeError::NotAuthentic(FlightKind::Proof));

fn spoil(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let mut chance = ChaCha20Rng::seed_from_u64(0x1d5);
    (0..bytes.len()).map(move |byte| {
        let mut spoilt = bytes.to_vec();
        spoilt[byte] ^= 1 << (chance.next_u32() % 8);
        (byte, spoilt)
    })
}

#[test]
fn what_is_sealed_again_unchanged_is_accepted() {
    let inside = Inside::new();
    assert_eq!(inside.reply(&inside.server.encode()), inside.scene.flights[REPLY].1);
    assert_eq!(inside.reply_with_mac(inside.server.clone()), inside.scene.flights[REPLY].1);
    assert_eq!(inside.proof_with_mac(inside.client.clone()), inside.scene.flights[PROOF].1);
}

#[test]
fn every_byte_of_the_servers_proof_counts() {
    let inside = Inside::new();
    for (byte, spoilt) in spoil(&inside.server.encode()) {
        assert_eq!(inside.client_hears(&inside.reply(&spoilt)), UNPROVEN_REPLY, "byte {byte}");
    }
}

#[test]
fn every_byte_of_the_clients_proof_counts() {
    let inside = Inside::new();
    let malformed = Some(HandshakeError::Malformed(FlightKind::Proof));
    for (byte, spoilt) in spoil(&inside.client.encode()) {
        let heard = inside.server_hears(&inside.proof(&spoilt));
        assert!(heard == UNPROVEN_PROOF || heard == malformed, "byte {byte}: {heard:?}");
    }
}

#[test]
fn a_right_mac_does_not_make_up_for_a_wrong_signature() {
    let inside = Inside::new();
    for half in [0, 63, 64, 64 + 3308] {
        let spoil = |signature: &HybridSignature| {
            let mut bytes = signature.to_bytes();
            bytes[half] ^= 1;
            HybridSignature::from_bytes(&bytes).unwrap()
        };
        let mut server = inside.server.clone();
        server.signature = spoil(&server.signature);
        assert_eq!(inside.client_hears(&inside.reply_with_mac(server)), UNPROVEN_REPLY, "byte {half}");
        let mut client = inside.client.clone();
        client.signature = spoil(&client.signature);
        assert_eq!(inside.server_hears(&inside.proof_with_mac(client)), UNPROVEN_PROOF, "byte {half}");
    }
}

#[test]
fn a_stripped_signature_is_no_signature() {
    let inside = Inside::new();
    let empty = HybridSignature::from_bytes(&[0; HybridSignature::LEN]).unwrap();
    let server = ServerProof { signature: empty.clone(), ..inside.server.clone() };
    assert_eq!(inside.client_hears(&inside.reply_with_mac(server)), UNPROVEN_REPLY);
    let client = ClientProof { signature: empty, ..inside.client.clone() };
    assert_eq!(inside.server_hears(&inside.proof_with_mac(client)), UNPROVEN_PROOF);
    for cut in [HybridSignature::LEN, 64, 3309] {
        let mut plaintext = inside.server.encode();
        plaintext.drain(1984..1984 + cut);
        assert!(inside.client_hears(&inside.reply(&plaintext)).is_some());
        let mut plaintext = inside.client.encode().to_vec();
        plaintext.drain(1984..1984 + cut);
        plaintext.resize(6 * 1024, 0);
        assert!(inside.server_hears(&inside.proof(&plaintext)).is_some());
    }
}

#[test]
fn a_signature_of_the_other_role_does_not_count() {
    let inside = Inside::new();
    let id = inside.server.identity.to_bytes();
    let signature = inside.scene.server().sign("citadel/1 client", &[&inside.th1, &id]).unwrap();
    let server = ServerProof { signature, ..inside.server.clone() };
    assert_eq!(inside.client_hears(&inside.reply_with_mac(server)), UNPROVEN_REPLY);
    let id = inside.client.identity.to_bytes();
    let signature =
        inside.scene.client().sign("citadel/1 server", &[&inside.th2(), &inside.server.mac, &id]).unwrap();
    let client = ClientProof { signature, ..inside.client.clone() };
    assert_eq!(inside.server_hears(&inside.proof_with_mac(client)), UNPROVEN_PROOF);
}

#[test]
fn a_stranger_with_all_keys_is_a_stranger() {
    let inside = Inside::new();
    let stranger = Identity::generate();
    let id = stranger.public().to_bytes();
    let signature = stranger.sign("citadel/1 server", &[&inside.th1, &id]).unwrap();
    let server = ServerProof { identity: stranger.public().clone(), signature, mac: [0; 32] };
    let expected = inside.scene.server().peer_id();
    let error = HandshakeError::WrongPeer { expected, actual: stranger.peer_id() };
    assert_eq!(inside.client_hears(&inside.reply_with_mac(server)), Some(error));
}

#[test]
fn the_servers_identity_cannot_be_put_under_the_strangers_signature() {
    let inside = Inside::new();
    let stranger = Identity::generate();
    let id = inside.server.identity.to_bytes();
    let signature = stranger.sign("citadel/1 server", &[&inside.th1, &id]).unwrap();
    let server = ServerProof { signature, ..inside.server.clone() };
    assert_eq!(inside.client_hears(&inside.reply_with_mac(server)), UNPROVEN_REPLY);
}

#[test]
fn an_unknown_request_is_refused_in_a_sealed_verdict() {
    let inside = Inside::new();
    let client = ClientProof { request: vec![200, 2, 0, 1, 2].into(), ..inside.client.clone() };
    let flight = inside.proof_with_mac(client.clone());
    let ends = inside.scene.play(PROOF, &flight);
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(RefusalCode::REQUEST)));
    assert!(ends.asked.is_empty());

    let (id, signature) = (client.identity.to_bytes(), client.signature.to_bytes());
    let th3 =
        transcript(&[b"citadel/1 th3", &inside.th2(), &inside.server.mac, &id, &signature, &client.request]);
    let mac_c = mac(&expand(&inside.hs, "citadel/1 mac client", &inside.th1), &th3);
    let th0 = transcript(&[b"citadel/1 th0", &th3, &mac_c]);
    let seal = FlightSeal::new(&inside.hs, "citadel/1 flight verdict", &inside.th1);
    let verdict = seal.open(&th0, &ends.flights[3].1[1..]).unwrap();
    assert_eq!(verdict[..3], [1, 11, 0]);
    // The honest client has another th0 and takes no verdict that is not about its own handshake.
    assert_eq!(ends.handled[3].1, Handled::Failed(HandshakeError::NotAuthentic(FlightKind::Verdict)));
}

#[test]
fn dirty_padding_is_refused() {
    let inside = Inside::new();
    let mut plaintext = inside.client.encode().to_vec();
    *plaintext.last_mut().unwrap() = 1;
    let malformed = Some(HandshakeError::Malformed(FlightKind::Proof));
    assert_eq!(inside.server_hears(&inside.proof(&plaintext)), malformed);
    let longer = [&inside.client.encode()[..], &[0; 1024]].concat();
    assert_eq!(inside.server_hears(&inside.proof(&longer)), malformed);
}
