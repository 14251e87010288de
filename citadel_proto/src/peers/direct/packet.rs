//! Probes: 64 bytes, fixed places, a MAC under a key of their direction and attempt.

use super::address::{self, ADDRESS_LEN};
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::kdf;
use core::borrow::Borrow;
use core::fmt;
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

/// Length of every probe, bytes: no answer is longer than what it answers.
pub const PACKET_LEN: usize = 64;
/// A probe.
pub type Packet = [u8; PACKET_LEN];

/// What the keys of an attempt are exported under from the session; the context is the attempt's number.
pub const DIRECT_LABEL: &str = "citadel/1 direct";

/// What is in front of the MAC.
pub(super) const BODY_LEN: usize = 48;

/// Which attempt a probe is of, to whoever gets it: random to everybody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(pub [u8; 8]);

/// What is exported for an attempt.
pub type KeyMaterial = Secret<80>;

/// A probe's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Probe {
    /// Do you hear me?
    Ping {
        /// Its number, used once.
        number: u64,
    },
    /// I heard that one.
    Pong {
        /// The ping's number.
        number: u64,
        /// Where it came from.
        seen: SocketAddr,
    },
    /// The first of a stream: it is one of this attempt.
    Hello {
        /// Its number, used once.
        number: u64,
    },
    /// So it is.
    Welcome {
        /// The hello's number.
        number: u64,
    },
}

const PING: u8 = 0x10;
const PONG: u8 = 0x11;
// 0x12 and 0x13 are requests of observation and their replies.
const HELLO: u8 = 0x14;
const WELCOME: u8 = 0x15;

/// Whether packets of this type have the tag of an attempt.
const fn is_tagged(kind: u8) -> bool {
    matches!(kind, PING | PONG | HELLO | WELCOME)
}

/// One direction.
pub struct Direction {
    key: Secret<32>,
    tag: Tag,
}

/// The keys of one end in one attempt.
pub struct ProbeKeys {
    sends: Direction,
    receives: Direction,
}

impl ProbeKeys {
    /// The keys of the end `side` of the session.
    pub fn new(side: Side, material: &KeyMaterial) -> Self {
        let bytes = material.expose();
        let part = |at: usize| {
            let mut key = Secret::zero();
            key.expose_mut().copy_from_slice(&bytes[at..at + 32]);
            key
        };
        let tag = |at: usize| {
            let mut tag = [0; 8];
            tag.copy_from_slice(&bytes[at..at + 8]);
            Tag(tag)
        };
        let of_initiator = Direction { key: part(0), tag: tag(64) };
        let of_responder = Direction { key: part(32), tag: tag(72) };
        match side {
            Side::Initiator => Self { sends: of_initiator, receives: of_responder },
            Side::Responder => Self { sends: of_responder, receives: of_initiator },
        }
    }

    /// What the peer's probes carry.
    pub const fn tag(&self) -> Tag {
        self.receives.tag
    }

    /// The bytes of a probe to the peer.
    pub fn seal(&self, probe: Probe) -> Packet {
        let mut body = [0; BODY_LEN];
        let number = match probe {
            Probe::Ping { number } => {
                body[0] = PING;
                number
            }
            Probe::Pong { number, seen } => {
                body[0] = PONG;
                body[17..17 + ADDRESS_LEN].copy_from_slice(&address::encode(seen));
                number
            }
            Probe::Hello { number } => {
                body[0] = HELLO;
                number
            }
            Probe::Welcome { number } => {
                body[0] = WELCOME;
                number
            }
        };
        body[1..9].copy_from_slice(&self.sends.tag.0);
        body[9..17].copy_from_slice(&number.to_be_bytes());
        with_mac(&self.sends.key, &body)
    }

    /// The probe of the peer that `bytes` are; none for anything else.
    pub fn open(&self, bytes: &[u8]) -> Option<Probe> {
        let body = checked(bytes, |body| {
            (body[1..9] == self.receives.tag.0 && is_tagged(body[0])).then_some(&self.receives.key)
        })?;
        let (number, address, rest) = fields(body)?;
        match (body[0], rest.iter().all(|byte| *byte == 0)) {
            (PONG, true) => Some(Probe::Pong { number, seen: address::decode(address)? }),
            (kind, true) if *address == [0; ADDRESS_LEN] => match kind {
                PING => Some(Probe::Ping { number }),
                HELLO => Some(Probe::Hello { number }),
                WELCOME => Some(Probe::Welcome { number }),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Debug for ProbeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeKeys(..)")
    }
}

impl Tag {
    /// The tag of what may be a packet of an attempt. Costs nothing.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let packet: &Packet = bytes.try_into().ok()?;
        let mut tag = [0; 8];
        tag.copy_from_slice(&packet[1..9]);
        is_tagged(packet[0]).then_some(Self(tag))
    }
}

/// Number, address and padding of a body.
pub(super) fn fields(body: &[u8; BODY_LEN]) -> Option<(u64, &[u8; ADDRESS_LEN], &[u8])> {
    let (_, rest) = body.split_at_checked(9)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (address, rest) = rest.split_first_chunk::<ADDRESS_LEN>()?;
    Some((u64::from_be_bytes(*number), address, rest))
}

/// `body` and its MAC.
pub(super) fn with_mac(key: &Secret<32>, body: &[u8; BODY_LEN]) -> Packet {
    let mut packet = [0; PACKET_LEN];
    packet[..BODY_LEN].copy_from_slice(body);
    packet[BODY_LEN..].copy_from_slice(&kdf::hmac(key, &[body])[..PACKET_LEN - BODY_LEN]);
    packet
}

/// The body of a packet of the right length whose MAC holds under the key that `key` finds for it.
pub(super) fn checked<'a, K: Borrow<Secret<32>>>(
    bytes: &'a [u8],
    key: impl FnOnce(&'a [u8; BODY_LEN]) -> Option<K>,
) -> Option<&'a [u8; BODY_LEN]> {
    let packet: &Packet = bytes.try_into().ok()?;
    let (body, mac) = packet.split_first_chunk::<BODY_LEN>()?;
    let expected = kdf::hmac(key(body)?.borrow(), &[body]);
    let is_authentic: bool = expected[..PACKET_LEN - BODY_LEN].ct_eq(mac).into();
    is_authentic.then_some(body)
}
