//! What a device of one party signs for another.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::peer_statements(data));
