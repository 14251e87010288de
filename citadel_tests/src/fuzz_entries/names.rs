//! Names and keys that users carry about: peer ids, node addresses, stored and public identities, signatures.

use citadel_crypt::addr::{NodeAddr, PeerId};
use citadel_crypt::identity::{HybridSignature, Identity, IdentityPublic};

/// A peer id or a node address as text.
pub fn addresses(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(peer) = text.parse::<PeerId>() {
        assert_eq!(
            peer.to_string(),
            text.to_ascii_lowercase(),
            "a peer id has one spelling but for its case"
        );
    }
    if let Ok(addr) = text.parse::<NodeAddr>() {
        let again = addr.to_string().parse::<NodeAddr>();
        assert_eq!(again.as_ref(), Ok(&addr), "a printed address is the address");
    }
}

/// A stored identity, a public one, a signature.
pub fn identities(data: &[u8]) {
    if let Ok(identity) = Identity::from_bytes(data) {
        assert_eq!(&identity.to_bytes()[..], data, "a stored identity has one form");
    }
    if let Ok(public) = IdentityPublic::from_bytes(data) {
        assert_eq!(public.as_bytes(), data);
    }
    if let Ok(signature) = HybridSignature::from_bytes(data) {
        assert_eq!(signature.as_bytes(), data);
    }
}
