//! Records and frames of the standalone manager.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::manager_records(data));
