//! Every fuzz entry over the committed seeds and over seeded mutations of them, without a fuzzer.

use citadel_tests::fuzz_entries::ENTRIES;
use citadel_tests::sources;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fs;

const MUTATIONS_PER_SEED: u64 = 400;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = sources::root().join("citadel_tests/fuzz/seeds").join(name);
    let entries = fs::read_dir(&folder).expect("every entry has a folder of seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a readable seed")).collect()
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// Up to four edits: a bit, a byte of interest, a cut, a repeated or inserted stretch, a stretch of another seed.
fn mutate(rng: &mut ChaCha8Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=below(rng, 4) {
        let at = below(rng, data.len());
        match below(rng, 6) {
            0 if !data.is_empty() => data[at] ^= 1 << below(rng, 8),
            1 if !data.is_empty() => data[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][below(rng, 6)],
            2 => data.truncate(at),
            3 => {
                let stretch = data[at..(at + below(rng, 16)).min(data.len())].to_vec();
                data.splice(at..at, stretch);
            }
            4 => {
                data.extend((0..below(rng, 64)).map(|_| rng.next_u32().to_le_bytes()[0]).collect::<Vec<_>>())
            }
            _ => {
                let from = below(rng, other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from.min(other.len())..]);
            }
        }
    }
    data
}

#[test]
fn every_entry_takes_its_seeds_and_their_mutations() {
    for (name, entry) in ENTRIES {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut rng = ChaCha8Rng::seed_from_u64(0xC17A_DE15);
        entry(&[]);
        for (number, seed) in seeds.iter().enumerate() {
            entry(seed);
            for _ in 0..MUTATIONS_PER_SEED {
                let other = &seeds[(number + 1) % seeds.len()];
                entry(&mutate(&mut rng, seed, other));
            }
        }
    }
}

#[test]
fn every_entry_has_a_target_and_every_target_an_entry() {
    let manifest = sources::read("citadel_tests/fuzz/Cargo.toml").expect("the manifest");
    let bins = manifest.matches("[[bin]]").count();
    let targets = sources::files("citadel_tests/fuzz/fuzz_targets", &[".rs"]);
    assert_eq!((bins, targets.len()), (ENTRIES.len(), ENTRIES.len()));
    for (name, _) in ENTRIES {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")));
        let call = format!("citadel_tests::fuzz_entries::{name}(data)");
        assert!(targets.iter().any(|target| target.text.contains(&call)), "no target calls {name}");
    }
}
