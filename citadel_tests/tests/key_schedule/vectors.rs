//! Frozen vectors, made with the seeded provider: if this fails, peers of another build no longer understand us.

use super::session::{End, pair, round};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::ratchets::PathId;
use citadel_crypt::suite::Suite;
use sha3::{Digest, Sha3_256};
use std::fmt::Write;

const FROZEN: &str = include_str!("../data/key_schedule.txt");
const PATHS: [PathId; 2] = [PathId(0), PathId(5)];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Suites of every build.
fn suites() -> impl Iterator<Item = Suite> {
    Suite::all().iter().copied().filter(|suite| suite.id() < 0x0300)
}

fn session(suite: Suite, mode: SecrecyMode, native_records: bool) -> [End; 2] {
    let mut ends = pair(suite, mode, native_records);
    for end in &mut ends {
        end.tools.add_path(PATHS[1]).unwrap();
    }
    ends
}

/// Name and value, line by line, of a session with an unsigned and a signed round.
fn lines(suite: Suite, mode: SecrecyMode) -> Vec<(String, Vec<u8>)> {
    let mut ends = session(suite, mode, false);
    let mut lines = Vec::new();
    for version in 0..3_usize {
        let mut line = |name: &str, value: &[u8]| {
            lines.push((format!("{suite} {mode:?} v{version} {name}"), value.to_vec()));
        };
        if version > 0 {
            let messages = round(&mut ends, version - 1, version == 2);
            for (name, bytes) in [("offer", &messages.offer), ("answer", &messages.answer)] {
                line(&format!("SHA3-256 of {name}"), &Sha3_256::digest(bytes));
            }
            line("finish", &messages.finish);
        }
        let [initiator, responder] = &mut ends;
        line("fingerprint", &initiator.tools.fingerprint(initiator.tools.latest()).unwrap());
        let mut exported = [0; 16];
        initiator.tools.export_at(initiator.tools.latest(), "label", b"context", &mut exported).unwrap();
        line("export", &exported);
        for path in PATHS {
            line(&format!("initiator on {path}"), &initiator.seal(path, b"from the initiator"));
            line(&format!("responder on {path}"), &responder.seal(path, b"from the responder"));
        }
    }
    lines
}

#[test]
fn the_seeded_provider_makes_the_frozen_vectors() {
    let mut text = String::new();
    for suite in suites() {
        for mode in [BestEffort, Perfect] {
            for (name, value) in lines(suite, mode) {
                if suite == Suite::DEFAULT || name.contains("v2 finger") || name.contains("v2 init") {
                    writeln!(text, "{name} = {}", hex(&value)).unwrap();
                }
            }
        }
    }
    for (made, frozen) in text.lines().zip(FROZEN.lines()) {
        assert_eq!(made, frozen);
    }
    assert_eq!(text.lines().count(), FROZEN.lines().count());
}

#[test]
fn the_native_provider_opens_the_frozen_records() {
    let mut opened = 0;
    for suite in suites() {
        for mode in [BestEffort, Perfect] {
            let mut ends = session(suite, mode, true);
            for version in 0..3_usize {
                if version > 0 {
                    round(&mut ends, version - 1, version == 2);
                }
                for path in PATHS {
                    for (sender, receiver) in [("initiator", 1), ("responder", 0)] {
                        let name = format!("{suite} {mode:?} v{version} {sender} on {path} = ");
                        let record = FROZEN.lines().find_map(|line| line.strip_prefix(&name));
                        let Some(record) = record else { continue };
                        let text = ends[receiver].open(path, &unhex(record));
                        assert_eq!(text, format!("from the {sender}").into_bytes());
                        opened += 1;
                    }
                }
            }
        }
    }
    // 2 modes × 3 versions × 2 paths × 2 sides of the default suite; 2 modes × 2 paths of the five others.
    assert_eq!(opened, 24 + 20);
}
