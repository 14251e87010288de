//! Every label of the protocol, in one place: two uses never share one (R-CRY-4).

/// Declares the labels and the list that the test walks.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $value;)*

        /// All of them.
        pub const ALL: &[&str] = &[$($value),*];
    };
}

labels! {
    /// Hash of one `Hello`, for the cookie and the transcript after a `Retry`.
    HELLO = "citadel/1 hello";
    /// Transcript of the first two flights.
    HANDSHAKE = "citadel/1 hs";
    /// Keys of the encrypted part of `HelloReply`.
    FLIGHT_REPLY = "citadel/1 flight reply";
    /// Keys of the client's proof.
    FLIGHT_PROOF = "citadel/1 flight proof";
    /// Keys of the verdict.
    FLIGHT_VERDICT = "citadel/1 flight verdict";
    /// MAC key of the server's proof.
    MAC_SERVER = "citadel/1 mac server";
    /// MAC key of the client's proof.
    MAC_CLIENT = "citadel/1 mac client";
    /// Signature of the server over th1.
    SIGN_SERVER = "citadel/1 server";
    /// Signature of the client over th2.
    SIGN_CLIENT = "citadel/1 client";
    /// Transcript after the server's proof.
    TH2 = "citadel/1 th2";
    /// Transcript after the client's proof.
    TH3 = "citadel/1 th3";
    /// Final handshake transcript.
    TH0 = "citadel/1 th0";
    /// Session id.
    SESSION = "citadel/1 session";
    /// Extract salt of a pre-shared key.
    PSK = "citadel/1 psk";
    /// Key of a pre-shared key's binder.
    PSK_BINDER = "citadel/1 psk binder";
    /// Cookie of a `Retry`.
    COOKIE = "citadel/1 cookie";
    /// Transcript of a rekey round.
    REKEY_TH = "citadel/1 rekey th";
    /// Signature over an offer.
    REKEY_OFFER = "citadel/1 rekey offer";
    /// Signature over an answer.
    REKEY_ANSWER = "citadel/1 rekey answer";
    /// Root key of a version.
    ROOT = "citadel/1 root";
    /// Traffic secret of the initiator's records.
    TRAFFIC_INITIATOR = "citadel/1 traffic initiator";
    /// Traffic secret of the responder's records.
    TRAFFIC_RESPONDER = "citadel/1 traffic responder";
    /// Chain seed of the initiator's records.
    CHAIN_INITIATOR = "citadel/1 chain initiator";
    /// Chain seed of the responder's records.
    CHAIN_RESPONDER = "citadel/1 chain responder";
    /// Confirmation key of the Leader.
    CONFIRM_A = "citadel/1 confirm a";
    /// Confirmation key of the Loser.
    CONFIRM_B = "citadel/1 confirm b";
    /// Exporter secret.
    EXPORTER = "citadel/1 exporter";
    /// One exported value.
    EXPORT = "citadel/1 export";
    /// Proof key of a resumption.
    RESUMPTION = "citadel/1 resumption";
    /// What ties the proof of a resumption to the handshake it travels in.
    RESUME_BINDING = "citadel/1 resume binding";
    /// What the proof of a resumption is over.
    RESUME_PROOF = "citadel/1 resume proof";
    /// Fingerprint of a version, for diagnostics.
    FINGERPRINT = "citadel/1 fingerprint";
    /// Key (or seed of its chain of record keys) and IV of one path.
    PATH = "citadel/1 path";
    /// Seeds of the two halves of a range of paths.
    NEXT_PATH = "citadel/1 next path";
    /// The hybrid signature scheme itself: stands before every signed message (R-CRY-2).
    SIGN_COMPOSITE = "citadel/1 Ed25519+ML-DSA-65";
    /// Checksum of a stored identity.
    IDENTITY_CHECKSUM = "citadel/1 identity checksum";
    /// Fingerprint of an identity.
    PEER_ID = "citadel/1 peer id";
    /// Checksum of a printed peer id.
    PEER_ID_CHECKSUM = "citadel/1 peer id checksum";
    /// Verification code of two identities.
    VERIFY = "citadel/1 verify";
    /// Signature over a request to be peers.
    PEER_REQUEST = "citadel/1 peer request";
    /// Hash of a whole request, which its acceptance names.
    PEER_REQUEST_HASH = "citadel/1 peer request hash";
    /// Signature over the acceptance of such a request.
    PEER_ACCEPTANCE = "citadel/1 peer acceptance";
    /// Signature that brings a device to its account.
    PEER_VOUCH = "citadel/1 peer vouch";
    /// Signature that takes a device from its account.
    PEER_DISOWN = "citadel/1 peer disown";
    /// Checksum of a file of pins.
    PINS_CHECKSUM = "citadel/1 pins checksum";
    /// Key of a client at a server's observation port.
    OBSERVER = "citadel/1 observer";
    /// Extract salt of the key that seals stored secrets.
    STORE = "citadel/1 store";
    /// Key of one sealed record.
    STORE_RECORD = "citadel/1 store record";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_two_labels_are_equal_and_all_name_the_protocol() {
        let set: BTreeSet<_> = super::ALL.iter().collect();
        assert_eq!(set.len(), super::ALL.len());
        assert!(super::ALL.iter().all(|label| label.starts_with("citadel/1 ")));
    }
}
