//! Flips every bit of every flight of a handshake, one at a time, and plays it on: `cargo run -p citadel_tests --example tamper`.
//! Prints one line per flight with what its receiver and the other end made of it; exits with 1 if any change went through.

use citadel_crypt::handshake::HandshakeError;
use citadel_crypt::suite::Suite;
use citadel_tests::tamper::{Cast, Scene};
use std::collections::BTreeMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut went_through = 0;
    for suite in [Suite::DEFAULT, Suite::all()[4]] {
        for (psk, retry) in [(false, false), (true, true)] {
            let cast = Cast { suite, psk, retry };
            println!("{suite}, pre-shared key: {psk}, retry: {retry}");
            went_through += run(&Scene::record(cast));
        }
    }
    println!("changes that went through: {went_through}");
    if went_through == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(scene: &Scene) -> usize {
    let mut faults = 0;
    for (place, (_, flight)) in scene.flights.iter().enumerate() {
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for bit in 0..flight.len() * 8 {
            let mut spoilt = flight.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            match scene.judge(place, &spoilt) {
                Ok(ends) => {
                    let outcome = describe(ends.client_error(), ends.server_error());
                    *outcomes.entry(outcome).or_default() += 1;
                }
                Err(fault) => {
                    eprintln!("bit {bit}: {fault}");
                    faults += 1;
                }
            }
        }
        println!("  {} ({} bits)", scene.kind(place), flight.len() * 8);
        for (outcome, count) in outcomes {
            println!("    {count:>6}  {outcome}");
        }
    }
    faults
}

fn describe(client: Option<HandshakeError>, server: Option<HandshakeError>) -> String {
    let text =
        |end: Option<HandshakeError>| end.map_or_else(|| "established".to_owned(), |error| error.to_string());
    format!("client: {}; server: {}", text(client), text(server))
}
