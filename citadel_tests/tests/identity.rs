//! Identities, their files, peer ids and node addresses, as a user meets them.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use citadel_crypt::addr::{AddrError, NodeAddr, PeerId};
use citadel_crypt::identity::{HybridSignature, Identity, IdentityError, IdentityPublic};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoError, Native};
use citadel_tests::{canary, seeded};
use proptest::prelude::*;
use sha3::Digest;
use std::fs;
use std::path::{Path, PathBuf};

/// A fresh directory below the target directory, removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        canary::watch();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("node.identity")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn fixed_identity() -> Identity {
    Identity::from_seed(&Native, Secret::copy_from(&core::array::from_fn(|i| i as u8))).unwrap()
}

#[test]
fn the_file_is_made_once_and_found_again() {
    let directory = Directory::new("made-once");
    let made = Identity::load_or_create(directory.file()).unwrap();
    let found = Identity::load_or_create(directory.file()).unwrap();
    assert_eq!(made.peer_id(), found.peer_id());
    assert_eq!(fs::read(directory.file()).unwrap(), *made.to_bytes());
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn creators_at_once_all_get_the_identity_in_the_file() {
    let directory = Directory::new("at-once");
    let path = directory.file();
    let barrier = std::sync::Barrier::new(8);
    let ids = std::thread::scope(|scope| {
        let create = || {
            barrier.wait();
            Identity::load_or_create(&path).unwrap().peer_id()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let kept = Identity::load_or_create(&path).unwrap().peer_id();
    assert!(ids.iter().all(|id| *id == kept));
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("mode");
    Identity::load_or_create(directory.file()).unwrap();
    let mode = || fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    for open in [0o640, 0o604, 0o620] {
        fs::set_permissions(directory.file(), fs::Permissions::from_mode(open)).unwrap();
        let refused = Identity::load_or_create(directory.file());
        assert!(matches!(refused, Err(IdentityError::Permissions { mode }) if mode == open));
    }
}

#[cfg(unix)]
#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let directory = Directory::new("damaged");
    let good = fixed_identity().to_bytes();
    let mut damaged = good.clone();
    damaged[40] ^= 1;
    for content in [&good[..good.len() - 1], &[&good[..], b"x"].concat(), b"", &damaged] {
        let mut file = fs::File::options();
        let mut file =
            file.write(true).create(true).truncate(true).mode(0o600).open(directory.file()).unwrap();
        file.write_all(content).unwrap();
        assert!(Identity::load_or_create(directory.file()).is_err());
        assert_eq!(fs::read(directory.file()).unwrap(), content);
    }
    assert!(matches!(Identity::load_or_create(&directory.0), Err(IdentityError::NotAFile)));
    let nowhere = directory.0.join("missing").join("node.identity");
    assert!(matches!(Identity::load_or_create(nowhere), Err(IdentityError::Io(_))));
}

#[test]
fn stored_bytes_come_back_and_every_changed_byte_is_noticed() {
    let identity = fixed_identity();
    let bytes = identity.to_bytes();
    assert_eq!(Identity::from_bytes(&bytes).unwrap().public(), identity.public());
    for i in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[i] ^= 1;
        let expected = if i < 19 { "not a stored" } else { "checksum" };
        assert!(Identity::from_bytes(&changed).unwrap_err().to_string().contains(expected), "byte {i}");
    }
}

#[test]
fn nothing_printed_shows_the_secret() {
    let identity = fixed_identity();
    assert_eq!(format!("{identity:?}"), format!("Identity({}, ..)", identity.peer_id()));
}

#[test]
fn public_keys_and_signatures_travel_as_bytes_of_one_length() {
    let identity = fixed_identity();
    let signature = identity.sign("citadel/1 server", &[b"hello"]).unwrap();
    let public = IdentityPublic::from_bytes(&identity.public().to_bytes()).unwrap();
    let again = HybridSignature::from_bytes(&signature.to_bytes()).unwrap();
    assert_eq!(public.peer_id(), identity.peer_id());
    assert_eq!(public.verify("citadel/1 server", &[b"hello"], &again), Ok(()));
    assert_eq!((public.as_bytes().len(), again.as_bytes().len()), (1984, 3373));
    assert_eq!(IdentityPublic::from_bytes(&[0; 1983]).err(), Some(CryptoError::PeerValue));
    assert_eq!(HybridSignature::from_bytes(&[0; 3374]).err(), Some(CryptoError::PeerValue));
}

/// The signed bytes, written out again: composite, use and a hash over composite, use, signer and parts.
#[test]
fn what_is_signed_names_the_composite_the_use_and_the_signer() {
    const COMPOSITE: &[u8] = b"citadel/1 Ed25519+ML-DSA-65";
    const USE: &str = "citadel/1 rekey offer";
    let identity = fixed_identity();
    let mut hash = sha3::Sha3_256::new();
    for field in [COMPOSITE, USE.as_bytes(), &identity.peer_id().0, b"first", b""] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    let message = [COMPOSITE, b"\0", USE.as_bytes(), b"\0", &hash.finalize()].concat();
    let signature = identity.sign(USE, &[b"first", b""]).unwrap();
    let public = identity.public().as_bytes().try_into().unwrap();
    assert!(seeded::verify(public, &message, signature.as_bytes().try_into().unwrap()));
}

/// Frozen: another text, fingerprint or key for this seed would lock every user out of their pins.
#[test]
fn the_peer_id_of_a_fixed_seed_never_changes() {
    let id = fixed_identity().peer_id();
    assert_eq!(id.to_string(), "r3zupzo3casd3nxqlbnc6xrla5i5w2ldt43igjd3qohpgws6e4kwmf5v");
    let other = PeerId([7; 32]);
    let code = "57098 68423 83717 04794 39245 62612 56062 29586 51823 59590 82511 33906";
    assert_eq!(id.verification_code(&other), code);
    assert_eq!(other.verification_code(&id), code);
}

#[test]
fn every_single_typing_error_in_a_peer_id_is_caught() {
    let text = fixed_identity().peer_id().to_string();
    assert_eq!(text.to_uppercase().parse(), Ok(fixed_identity().peer_id()));
    for i in 0..text.len() {
        for c in "abcdefghijklmnopqrstuvwxyz234567".chars().filter(|c| *c != text.as_bytes()[i] as char) {
            let mut wrong = text.clone();
            wrong.replace_range(i..=i, &c.to_string());
            assert_eq!(wrong.parse::<PeerId>(), Err(AddrError::PeerIdChecksum), "character {i}");
        }
    }
    assert_eq!(text[1..].parse::<PeerId>(), Err(AddrError::PeerIdLength));
    assert_eq!(text.replace(&text[..1], "0").parse::<PeerId>(), Err(AddrError::PeerIdCharacter));
    assert_eq!("é".repeat(28).parse::<PeerId>(), Err(AddrError::PeerIdCharacter));
}

#[test]
fn node_addresses_name_peer_host_and_port() {
    let id = PeerId([9; 32]);
    for (place, host, port) in [
        ("127.0.0.1:4000", "127.0.0.1", 4000),
        ("example.org:1", "example.org", 1),
        ("xn--bcher-kva.example:65535", "xn--bcher-kva.example", 65535),
        ("[::1]:80", "::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ] {
        let addr: NodeAddr = format!("{id}@{place}").parse().unwrap();
        assert_eq!((addr.peer(), addr.host(), addr.port()), (id, host, port));
        assert_eq!(addr.to_string(), format!("{id}@{place}"));
    }
    for (text, expected) in [
        ("127.0.0.1:4000".to_string(), AddrError::MissingPeer),
        (format!("{id}@"), AddrError::Port),
        (format!("{id}@example.org"), AddrError::Port),
        (format!("{id}@example.org:65536"), AddrError::Port),
        (format!("{id}@example.org:+1"), AddrError::Port),
        (format!("{id}@:1"), AddrError::Host),
        (format!("{id}@::1:1"), AddrError::Host),
        (format!("{id}@[127.0.0.1]:1"), AddrError::Host),
        (format!("{id}@[::1:1"), AddrError::Host),
        (format!("{id}@a b:1"), AddrError::Host),
        (format!("{id}@x@y:1"), AddrError::Host),
    ] {
        assert_eq!(text.parse::<NodeAddr>(), Err(expected), "{text}");
    }
    let socket = "[fe80::1%3]:7".parse().unwrap();
    assert_eq!(NodeAddr::from_socket(id, socket).to_string(), format!("{id}@[fe80::1%3]:7"));
}

proptest! {
    #[test]
    fn what_is_printed_is_understood(bytes: [u8; 32], socket: std::net::SocketAddr) {
        let addr = NodeAddr::from_socket(PeerId(bytes), socket);
        prop_assert_eq!(addr.to_string().parse::<NodeAddr>(), Ok(addr));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,80}", tail in "[@:\\[\\]a-z0-9.%]{0,40}") {
        let _ = text.parse::<PeerId>();
        let _ = text.parse::<NodeAddr>();
        let _ = format!("{}@{tail}", PeerId([1; 32])).parse::<NodeAddr>();
    }
}
