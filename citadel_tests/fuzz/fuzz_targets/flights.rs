//! Handshake flights and the bodies in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::flights(data));
