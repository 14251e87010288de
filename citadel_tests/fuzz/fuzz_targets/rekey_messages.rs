//! Rekey messages, into parser and machines.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::rekey_messages(data));
