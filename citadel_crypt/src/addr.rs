//! Names that users handle: peer ids and the addresses of nodes.

use crate::labels;
use crate::suite::hash::sha3_512;
use crate::transcript::Transcript;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::net::{Ipv6Addr, SocketAddr};

/// Fingerprint of a node's identity: what a user compares, pins and dials.
///
/// As text: 56 lower-case base32 characters (RFC 4648 alphabet, no padding) of the 32 bytes and 3 checksum bytes, so a
/// typing error is caught before anything is dialled. Upper case is understood.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

const CHECKSUM_LEN: usize = 3;
const PEER_ID_CHARS: usize = (32 + CHECKSUM_LEN) * 8 / 5;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl PeerId {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What two users compare, by voice or on screen, to know that nobody stands between them: 60 digits in 12 groups,
    /// the same from both ends (R-P2P-7). Each group is 5 bytes of SHA3-512(label ‖ smaller id ‖ larger id), as a
    /// big-endian number modulo 100,000.
    pub fn verification_code(&self, other: &Self) -> String {
        let (small, large) = (self.min(other), self.max(other));
        let hash = sha3_512(&[labels::VERIFY.as_bytes(), &small.0, &large.0]);
        let group = |bytes: &[u8]| {
            let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        };
        hash.chunks_exact(5).map(group).collect::<Vec<_>>().join(" ")
    }

    fn checksum(&self) -> [u8; CHECKSUM_LEN] {
        let hash = Transcript::new(labels::PEER_ID_CHECKSUM).field(&self.0).finish();
        [hash[0], hash[1], hash[2]]
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 32 + CHECKSUM_LEN];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.checksum());
        let mut text = String::with_capacity(PEER_ID_CHARS);
        for group in bytes.chunks_exact(5) {
            let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            text.extend((0..8).rev().map(|i| ALPHABET[(bits >> (5 * i) & 31) as usize] as char));
        }
        f.pad(&text)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let mut bytes = [0; 32 + CHECKSUM_LEN];
        if text.len() != PEER_ID_CHARS {
            return Err(AddrError::PeerIdLength);
        }
        for (group, out) in text.as_bytes().chunks_exact(8).zip(bytes.chunks_exact_mut(5)) {
            let mut bits = 0u64;
            for c in group {
                let digit = match c.to_ascii_lowercase() {
                    c @ b'a'..=b'z' => c - b'a',
                    c @ b'2'..=b'7' => c - b'2' + 26,
                    _ => return Err(AddrError::PeerIdCharacter),
                };
                bits = bits << 5 | u64::from(digit);
            }
            out.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        let mut peer = Self([0; 32]);
        peer.0.copy_from_slice(&bytes[..32]);
        if peer.checksum() == bytes[32..] { Ok(peer) } else { Err(AddrError::PeerIdChecksum) }
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// Where a node is reached and who must answer there: `PEER_ID@HOST:PORT`, an IPv6 host in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    peer: PeerId,
    host: String,
    port: u16,
}

impl NodeAddr {
    /// An address of its parts. `host` is a DNS name (ASCII; internationalized names in their `xn--` form), an IPv4
    /// address or an IPv6 address without brackets.
    ///
    /// # Errors
    /// [`AddrError::Host`] when `host` is none of these.
    pub fn new(peer: PeerId, host: impl Into<String>, port: u16) -> Result<Self, AddrError> {
        let host = host.into();
        if is_ipv6(&host) || is_name(&host) { Ok(Self { peer, host, port }) } else { Err(AddrError::Host) }
    }

    /// The address of a socket.
    pub fn from_socket(peer: PeerId, socket: SocketAddr) -> Self {
        let host = match socket {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            other => other.ip().to_string(),
        };
        Self { peer, host, port: socket.port() }
    }

    /// Who must answer.
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// Name or address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}@[{}]:{}", self.peer, self.host, self.port)
        } else {
            write!(f, "{}@{}:{}", self.peer, self.host, self.port)
        }
    }
}

impl fmt::Debug for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeAddr({self})")
    }
}

impl FromStr for NodeAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (peer, place) = text.split_once('@').ok_or(AddrError::MissingPeer)?;
        let peer = peer.parse()?;
        let (host, port) = place.rsplit_once(':').ok_or(AddrError::Port)?;
        if !port.bytes().all(|c| c.is_ascii_digit()) {
            return Err(AddrError::Port);
        }
        let port = port.parse().map_err(|_| AddrError::Port)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| is_ipv6(host)),
            None => Some(host).filter(|host| is_name(host)),
        };
        Self::new(peer, host.ok_or(AddrError::Host)?, port)
    }
}

impl Serialize for NodeAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Why a text is not a peer id or the address of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// There is no `@`: without a peer id nobody can be dialled (R-EST-1).
    #[error("expected PEER_ID@HOST:PORT, found no `@`")]
    MissingPeer,
    /// The peer id has another length than 56 characters.
    #[error("a peer id has {PEER_ID_CHARS} characters")]
    PeerIdLength,
    /// The peer id holds a character that is not base32.
    #[error("a peer id holds only letters and the digits 2 to 7")]
    PeerIdCharacter,
    /// The checksum does not fit: a typing error.
    #[error("the peer id is mistyped: its checksum does not fit")]
    PeerIdChecksum,
    /// The host is neither a DNS name nor an address; an IPv6 address without brackets is one case.
    #[error("the host is not a DNS name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// The port is missing or not a number from 0 to 65535.
    #[error("the port is missing or not a number from 0 to 65535")]
    Port,
}

fn is_ipv6(host: &str) -> bool {
    let (address, scope) = host.split_once('%').unwrap_or((host, "0"));
    let scope_is_plain = (1..=32).contains(&scope.len()) && scope.bytes().all(|c| c.is_ascii_alphanumeric());
    address.parse::<Ipv6Addr>().is_ok() && scope_is_plain
}

fn is_name(host: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(is_plain)
}
