//! Requests of a handshake, to a server with accounts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::account_entries(data));
