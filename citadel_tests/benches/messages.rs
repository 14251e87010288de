//! What a record costs: sealed and opened by a session's keys, against the bare AEAD with a counter for its nonce.
//!
//! `cargo bench -p citadel_tests --bench messages`. Every table is measured in alternation.

use ascon_aead::aead::{AeadInOut, KeyInit};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::{AeadAlgorithm, CryptoProvider, KemAlgorithm, Native, Suite};
use citadel_tests::measure::{Body, Target, Turns, alternate};
use citadel_tests::memory_pair::MemoryPair;
use criterion::{Criterion, Throughput};
use std::sync::Arc;
use std::time::Duration;

const SIZES: [usize; 4] = [64, 1_350, 16 * 1024, 64 * 1024];
const RECORDS_PER_ROUND: usize = 64;
const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(60);

const RAW: &str = "raw";
const BEST: &str = "BestEffort";
const PERFECT: &str = "Perfect";
const BEST_ROUNDS: &str = "BestEffort with rounds";
const PERFECT_ROUNDS: &str = "Perfect with rounds";

const AEADS: [AeadAlgorithm; 3] =
    [AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305, AeadAlgorithm::AsconAead128];

/// One key, a counter, nothing else.
enum Raw {
    AwsLc { key: LessSafeKey, counter: u64 },
    Ascon { key: Box<ascon_aead::AsconAead128>, counter: u128 },
}

impl Raw {
    fn new(aead: AeadAlgorithm) -> Self {
        let aws_lc = |algorithm: &'static Algorithm| {
            let key = UnboundKey::new(algorithm, &[7; 32]).expect("a key of 32 bytes");
            Self::AwsLc { key: LessSafeKey::new(key), counter: 0 }
        };
        match aead {
            AeadAlgorithm::ChaCha20Poly1305 => aws_lc(&CHACHA20_POLY1305),
            AeadAlgorithm::AsconAead128 => {
                let key = ascon_aead::AsconAead128::new_from_slice(&[7; 16]).expect("a key of 16 bytes");
                Self::Ascon { key: Box::new(key), counter: 0 }
            }
            _ => aws_lc(&AES_256_GCM),
        }
    }

    fn seal_and_open(&mut self, record: &mut Vec<u8>, len: usize) {
        record.resize(len, 0);
        let header = [0; 4];
        match self {
            Self::AwsLc { key, counter } => {
                *counter += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&counter.to_be_bytes());
                let nonce = || Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(header), record);
                record.extend_from_slice(tag.expect("below the limit").as_ref());
                let opened = key.open_in_place(nonce(), Aad::from(header), record).map(|text| text.len());
                assert_eq!(opened, Ok(len));
            }
            Self::Ascon { key, counter } => {
                *counter += 1;
                let nonce = counter.to_be_bytes().into();
                let tag = key.encrypt_inout_detached(&nonce, &header, record.as_mut_slice().into());
                let tag = tag.expect("below the limit");
                key.decrypt_inout_detached(&nonce, &header, record.as_mut_slice().into(), &tag)
                    .expect("what is sealed opens");
            }
        }
    }
}

fn suite(aead: AeadAlgorithm) -> Suite {
    Suite { kem: KemAlgorithm::MlKem768, aead }
}

fn session(aead: AeadAlgorithm, mode: SecrecyMode) -> MemoryPair {
    let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
    MemoryPair::new(&provider, suite(aead), mode)
}

/// Seals and opens records, with a round before each 64th if `rounds`; starts new keys well before any limit.
fn records<'a>(name: &str, aead: AeadAlgorithm, mode: SecrecyMode, len: usize, rounds: bool) -> Body<'a> {
    let mut pair = session(aead, mode);
    let mut record = Vec::with_capacity(len + 16);
    let mut sent = 0_usize;
    let every = if rounds { RECORDS_PER_ROUND } else { 1 << 19 };
    Body::new(name, move || {
        sent += 1;
        if sent.is_multiple_of(every) {
            pair.round(Side::Initiator);
        }
        pair.seal_and_open(&mut record, len);
    })
}

fn measure(aead: AeadAlgorithm, len: usize) -> Turns {
    let mut raw = Raw::new(aead);
    let mut record = Vec::with_capacity(len + 16);
    alternate(
        TURNS,
        TURN,
        vec![
            Body::new(RAW, move || raw.seal_and_open(&mut record, len)),
            records(BEST, aead, SecrecyMode::BestEffort, len, false),
            records(PERFECT, aead, SecrecyMode::Perfect, len, false),
            records(BEST_ROUNDS, aead, SecrecyMode::BestEffort, len, true),
            records(PERFECT_ROUNDS, aead, SecrecyMode::Perfect, len, true),
        ],
    )
}

/// Rates relative to `base`, as the targets are stated: times the other way round.
fn targets(turns: &Turns, aead: AeadAlgorithm, len: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = |least: f64, one: &str, base: &str| {
        let what = format!("{aead:?}, {len} B: {one} / {base}");
        rows.push(Target::AtLeast(least).row(&what, turns.ratio(base, one)));
    };
    if aead == AeadAlgorithm::Aes256Gcm {
        match len {
            1_350 => {
                row(0.5, PERFECT, BEST);
                row(0.8, PERFECT_ROUNDS, BEST_ROUNDS);
            }
            16_384 => {
                row(0.9, BEST, RAW);
                row(0.8, PERFECT, BEST);
            }
            65_536 => row(0.8, PERFECT, BEST),
            _ => {}
        }
    }
    rows
}

fn tables() {
    let mut rows = Vec::new();
    for aead in AEADS {
        for len in SIZES {
            let turns = measure(aead, len);
            let title = format!("{aead:?}, {len} B: seal and open");
            println!("\n{title:<48} {:>9} {:>7} {:>10}", "ns", "MiB/s", "rate/raw");
            for name in [RAW, BEST, PERFECT, BEST_ROUNDS, PERFECT_ROUNDS] {
                let nanos = turns.nanos(name);
                let rate = len as f64 / nanos * 1e9 / f64::from(1 << 20);
                println!("{name:<48} {nanos:>9.0} {rate:>7.0} {:>10.3}", turns.ratio(RAW, name));
            }
            rows.extend(targets(&turns, aead, len));
        }
    }
    println!(
        "\nrates against their targets; \"with rounds\": a round before every {RECORDS_PER_ROUND}th record"
    );
    for row in rows {
        println!("{row}");
    }
}

fn criterion_times(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal_and_open");
    for mode in [SecrecyMode::BestEffort, SecrecyMode::Perfect] {
        for len in [1_350, 16 * 1024] {
            let mut body = records("", AeadAlgorithm::Aes256Gcm, mode, len, false);
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(format!("{mode:?}/{len}"), |b| b.iter(|| (body.call)()));
        }
    }
    group.finish();
}

fn main() {
    tables();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    criterion_times(&mut criterion);
    criterion.final_summary();
}
