//! What the other end of a session sends: rekey messages, and the standalone manager's records and frames.

use crate::memory_pair::initial_secrets;
use crate::seeded::SeededProvider;
use bytes::BytesMut;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::HybridAgreement;
use citadel_crypt::ratchets::record::{Frame, RecordHeader};
use citadel_crypt::ratchets::rekey::{Input, RekeyConfig, RekeyMachine, Side, Timestamp, Version};
use citadel_crypt::suite::{CryptoProvider, Suite};
use citadel_crypt::wire::rekey::{decode_message, encode_message};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<dyn CryptoProvider>> = LazyLock::new(|| Arc::new(SeededProvider::new(1)));

fn machine(side: Side) -> RekeyMachine<HybridAgreement> {
    let suite = Suite::DEFAULT;
    let mode = SecrecyMode::BestEffort;
    let (_, agreement) = initial_secrets(suite).into_parts(Arc::clone(&PROVIDER), side, mode, None);
    let config = RekeyConfig { reauth: None, ..RekeyConfig::new(side, suite.id()) };
    RekeyMachine::new(config, agreement, Timestamp::ZERO)
}

/// A rekey message, into its parser and into machines that are idle and that have an offer out.
pub fn rekey_messages(data: &[u8]) {
    for suite in Suite::all() {
        if let Ok(message) = decode_message(*suite, data) {
            assert_eq!(encode_message(&message), data, "a rekey message has one form");
        }
    }
    for (side, offers) in [(Side::Initiator, false), (Side::Responder, false), (Side::Initiator, true)] {
        let Ok(message) = decode_message(Suite::DEFAULT, data) else { return };
        let mut machine = machine(side);
        if offers {
            machine.handle(Timestamp::ZERO, Input::Trigger);
            while machine.poll_output().is_some() {}
        }
        machine.handle(Timestamp::from_nanos(1), Input::Message { under: Version(0), message });
        while machine.poll_output().is_some() {}
    }
}

/// A record's header and a control record's body, of the standalone manager.
pub fn manager_records(data: &[u8]) {
    if let Ok(header) = RecordHeader::decode(data) {
        assert!(data.starts_with(&header.encode()), "a header has one form");
    }
    if let Ok(frame) = Frame::decode(data) {
        let mut body = BytesMut::new();
        frame.encode(&mut body);
        assert_eq!(&body[..], data, "a frame has one form");
        assert!(body.len() <= frame.max_len());
    }
}
