//! Peer ids and node addresses.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::addresses(data));
