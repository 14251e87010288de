//! Real keys of one end: hybrid agreement, sealed records, encoded messages.

use super::{CountedSecret, Packet};
use citadel_crypt::identity::{Identity, IdentityPublic};
use citadel_crypt::ratchets::rekey::{Message, Side, Version};
use citadel_crypt::ratchets::{Candidate, HybridAgreement, InitialSecrets, PathId, Ratchet, Toolset};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{Native, Suite};
use citadel_crypt::{SecrecyMode, wire};
use std::sync::{Arc, OnceLock};

/// The key agreement under test.
pub type Agreement = HybridAgreement;

/// What a record carries: one frame.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Rekey(Message<Agreement>),
    Data(u64),
}

const REKEY: u8 = 0;
const DATA: u8 = 1;

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Rekey(message) => (REKEY, wire::rekey::encode_message(message)),
            Self::Data(item) => (DATA, item.to_le_bytes().to_vec()),
        };
        [&[kind], body.as_slice()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, body) = bytes.split_first()?;
        match *kind {
            REKEY => wire::rekey::decode_message(Suite::DEFAULT, body).ok().map(Self::Rekey),
            DATA => body.try_into().ok().map(|bytes| Self::Data(u64::from_le_bytes(bytes))),
            _ => None,
        }
    }
}

/// The window of one end.
#[derive(Debug)]
pub struct EndKeys {
    toolset: Toolset,
}

/// Who the two ends are; made once, three identities for all worlds.
fn identity(number: usize) -> Arc<Identity> {
    static IDENTITIES: OnceLock<[Arc<Identity>; 3]> = OnceLock::new();
    IDENTITIES.get_or_init(|| std::array::from_fn(|_| Arc::new(Identity::generate())))[number].clone()
}

/// The identity that signs for an impostor: it has every key but the right one.
const STRANGER: usize = 2;

impl EndKeys {
    /// Both ends as a handshake leaves them. `impostor` has all keys of its side but not its identity.
    pub fn pair(mode: SecrecyMode, is_signing: bool, impostor: Option<Side>) -> [(Self, Agreement); 2] {
        [Side::Initiator, Side::Responder].map(|side| {
            let number = |side: Side| usize::from(side.number());
            let identities = is_signing.then(|| {
                let own = if impostor == Some(side) { STRANGER } else { number(side) };
                let peer: IdentityPublic = identity(number(side.peer())).public().clone();
                (identity(own), peer)
            });
            let initial = InitialSecrets {
                session_id: [1; 32],
                suite: Suite::DEFAULT,
                hs: Secret::copy_from(&[2; 32]),
                th0: [3; 32],
            };
            let (toolset, agreement) = initial.into_parts(Arc::new(Native), side, mode, identities);
            (Self { toolset }, agreement)
        })
    }

    /// Number of the suite.
    pub fn suite() -> u16 {
        Suite::DEFAULT.id()
    }

    /// Seals a frame: version bits, counter, ciphertext and tag.
    pub(super) fn seal(&mut self, frame: &[u8]) -> (u8, u64, Vec<u8>) {
        let bits = self.toolset.latest().low_bits();
        let mut body = frame.to_vec();
        let sealed = self.toolset.seal(PathId::FIRST, &[bits], &mut body).expect("far from every key limit");
        body.extend_from_slice(&sealed.tag);
        (bits, sealed.counter, body)
    }

    /// Opens a record under a committed version.
    pub(super) fn open(&mut self, version: Version, packet: &Packet) -> Option<Vec<u8>> {
        let mut body = packet.bytes.clone();
        let (aad, counter) = ([packet.version_bits], Some(packet.counter));
        let len = self.toolset.open(version, PathId::FIRST, counter, &aad, &mut body).ok()?;
        body.truncate(len);
        Some(body)
    }

    /// Opens a record under the candidate.
    pub(super) fn open_candidate(
        candidate: &mut CountedSecret<Candidate>,
        packet: &Packet,
    ) -> Option<Vec<u8>> {
        let mut body = packet.bytes.clone();
        let (aad, counter) = ([packet.version_bits], Some(packet.counter));
        let ratchet = candidate.inner_mut().ratchet_mut();
        let len = ratchet.open(PathId::FIRST, counter, &aad, &mut body).ok()?;
        body.truncate(len);
        Some(body)
    }

    /// A version was committed.
    pub(super) fn commit(&mut self, ratchet: Ratchet, earliest: Version) {
        self.toolset.commit(ratchet, earliest);
    }

    /// Keys below `earliest` go.
    pub(super) fn evict(&mut self, earliest: Version) {
        self.toolset.evict(earliest);
    }

    /// Fingerprint of the latest version.
    pub fn fingerprint(&self) -> [u8; 16] {
        self.toolset.fingerprint(self.toolset.latest()).expect("the latest version is live")
    }

    /// Versions with live receive keys.
    pub fn live(&self) -> Vec<Version> {
        (self.toolset.earliest().0..=self.toolset.latest().0).map(Version).collect()
    }
}
