//! Requests of a session about its account, and the answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::account_messages(data));
