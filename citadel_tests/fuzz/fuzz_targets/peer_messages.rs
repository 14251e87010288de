//! What a client and a server say of peers, and the first message of a lane.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| citadel_tests::fuzz_entries::peer_messages(data));
