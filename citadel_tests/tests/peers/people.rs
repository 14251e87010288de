//! Who meets in these tests: devices with known keys, their parties, what they say.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::Native;
use citadel_proto::peers::{
    Acceptance, Disown, Party, PeerRequest, RequestHash, Standpoint, Statement, StatementNumber, Vouch,
};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A device by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Device(pub(crate) usize);

/// Of Alice's account.
pub(crate) const ALICE: Device = Device(0);
/// Of Bob's account.
pub(crate) const BOB: Device = Device(1);
/// Of Bob's account as well, once somebody vouches for it.
pub(crate) const BOBS_PHONE: Device = Device(2);
/// Of nobody's.
pub(crate) const MALLORY: Device = Device(3);

static IDENTITIES: LazyLock<Vec<Identity>> = LazyLock::new(|| {
    let identity = |seed: u8| Identity::from_seed(&Native, Secret::copy_from(&[seed; 64])).unwrap();
    (1..=6).map(identity).collect()
});

impl Device {
    pub(crate) fn identity(self) -> &'static Identity {
        &IDENTITIES[self.0]
    }

    pub(crate) fn peer(self) -> PeerId {
        self.identity().peer_id()
    }

    pub(crate) fn signs(self, statement: impl Into<Statement>) -> Vec<u8> {
        statement.into().sign(self.identity()).unwrap()
    }
}

pub(crate) const SERVER: PeerId = PeerId([0xA0; 32]);
pub(crate) const OTHER_SERVER: PeerId = PeerId([0xA1; 32]);
pub(crate) const ALICES: Party = Party::Account(Cid(0xA11CE));
pub(crate) const BOBS: Cid = Cid(0xB0B);
pub(crate) const BOBS_PARTY: Party = Party::Account(BOBS);

/// What Alice's device knows when it hears of Bob.
pub(crate) fn at_alice() -> Standpoint {
    let siblings = BTreeSet::new();
    Standpoint { server: SERVER, own: ALICES, device: ALICE.peer(), siblings, other: BOBS_PARTY }
}

/// What Bob's device knows when it hears of Alice.
pub(crate) fn at_bob() -> Standpoint {
    let siblings = BTreeSet::new();
    Standpoint { server: SERVER, own: BOBS_PARTY, device: BOB.peer(), siblings, other: ALICES }
}

/// Alice asks Bob.
pub(crate) fn request(expected: Option<PeerId>) -> PeerRequest {
    let number = StatementNumber(3);
    PeerRequest { server: SERVER, from: ALICES, to: BOBS_PARTY, nonce: [7; 16], number, expected }
}

/// Bob asks Alice.
pub(crate) fn request_back(expected: Option<PeerId>) -> PeerRequest {
    let number = StatementNumber(4);
    PeerRequest { server: SERVER, from: BOBS_PARTY, to: ALICES, nonce: [8; 16], number, expected }
}

/// Bob accepts the request of Alice that these bytes are.
pub(crate) fn acceptance(request: &[u8]) -> Acceptance {
    Acceptance {
        server: SERVER,
        from: BOBS_PARTY,
        to: ALICES,
        request: RequestHash::of(request),
        requester: ALICE.peer(),
        number: StatementNumber(5),
    }
}

/// Alice accepts the request of Bob that these bytes are.
pub(crate) fn acceptance_back(request: &[u8]) -> Acceptance {
    Acceptance {
        server: SERVER,
        from: ALICES,
        to: BOBS_PARTY,
        request: RequestHash::of(request),
        requester: BOB.peer(),
        number: StatementNumber(6),
    }
}

/// A device of Bob's account brings another.
pub(crate) fn vouch(device: Device, number: u64) -> Vouch {
    Vouch { server: SERVER, account: BOBS, device: device.peer(), number: StatementNumber(number) }
}

/// A device of Bob's account takes another away.
pub(crate) fn disown(device: Device, number: u64) -> Disown {
    Disown { server: SERVER, account: BOBS, device: device.peer(), number: StatementNumber(number) }
}
