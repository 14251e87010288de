//! Frames of an opened record, into parser and session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::frames(data));
