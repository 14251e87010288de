//! Writes the seeds of the fuzz targets: `cargo run -p citadel_tests --example fuzz_seeds`.
//!
//! The seeds are committed. They are made anew when a wire format changes.

use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{Native, sign::SEED_LEN};
use citadel_tests::sources;
use std::{fs, io};

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = sources::root().join("citadel_tests/fuzz/seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn names() -> io::Result<()> {
    let identity =
        Identity::from_seed(&Native, Secret::copy_from(&[7; SEED_LEN])).map_err(io::Error::other)?;
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

fn main() -> io::Result<()> {
    names()
}
