//! A server's observation port: where a client's packets come from, without a state for any client.

use super::address;
use super::packet::{BODY_LEN, Packet, checked, fields, with_mac};
use citadel_crypt::Timestamp;
use citadel_crypt::labels;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::kdf;
use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;

/// How long a token holds. 10 min: longer than the longest pause between attempts.
pub const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// Replies that may go at once, and in a second. 1,000 in a second: every client of a large server once in its shortest pause.
const BURST: u32 = 200;
const EVERY: Duration = Duration::from_millis(1);

const REQUEST: u8 = 0x12;
const REPLY: u8 = 0x13;

/// Names a client's right to ask; worth nothing without its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    /// Random.
    pub id: [u8; 8],
    /// When it is over, on the server's clock.
    pub expires: Timestamp,
}

impl Token {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.id);
        bytes[8..].copy_from_slice(&self.expires.as_nanos().to_be_bytes());
        bytes
    }

    /// The token that `bytes` are.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, expires @ ..] = *bytes;
        Self { id: [a, b, c, d, e, f, g, h], expires: Timestamp::from_nanos(u64::from_be_bytes(expires)) }
    }
}

/// What a server makes every client's key of.
pub struct ObserverSecret(Secret<32>);

impl ObserverSecret {
    /// Of 32 random bytes.
    pub const fn new(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The key of a token.
    pub fn key(&self, token: Token) -> Secret<32> {
        let mac = kdf::hmac(&self.0, &[labels::OBSERVER.as_bytes(), &[0], &token.to_bytes()]);
        Secret::copy_from(&mac)
    }

    /// The reply to a packet from `from`; none to what is no valid request.
    pub fn answer(&self, now: Timestamp, packet: &[u8], from: SocketAddr) -> Option<Packet> {
        // Before any key is made.
        if !is_request(packet) {
            return None;
        }
        let claimed = token(packet.first_chunk()?);
        if now >= claimed.expires {
            return None;
        }
        let key = self.key(claimed);
        let (number, rest) = fields_of_request(checked(packet, |_| Some(&key))?)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        Some(reply(&key, claimed, number, from))
    }
}

/// Whether a packet looks like a request; costs nothing.
fn is_request(packet: &[u8]) -> bool {
    packet.len() == super::PACKET_LEN && packet.first() == Some(&REQUEST)
}

fn token(body: &[u8; BODY_LEN]) -> Token {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&body[1..17]);
    Token::from_bytes(&bytes)
}

fn fields_of_request(body: &[u8; BODY_LEN]) -> Option<(u64, &[u8])> {
    let (number, rest) = body.split_at_checked(17)?.1.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

fn reply(key: &Secret<32>, token: Token, number: u64, seen: SocketAddr) -> Packet {
    let mut body = [0; BODY_LEN];
    body[0] = REPLY;
    body[1..9].copy_from_slice(&token.id);
    body[9..17].copy_from_slice(&number.to_be_bytes());
    body[17..36].copy_from_slice(&address::encode(address::canonical(seen)));
    with_mac(key, &body)
}

impl fmt::Debug for ObserverSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserverSecret(..)")
    }
}

/// A client's right to ask, and the key to it.
pub struct Observation {
    token: Token,
    key: Secret<32>,
}

impl Observation {
    /// What the server gave.
    pub const fn new(token: Token, key: Secret<32>) -> Self {
        Self { token, key }
    }

    /// The request with that number.
    pub fn request(&self, number: u64) -> Packet {
        let mut body = [0; BODY_LEN];
        body[0] = REQUEST;
        body[1..17].copy_from_slice(&self.token.to_bytes());
        body[17..25].copy_from_slice(&number.to_be_bytes());
        with_mac(&self.key, &body)
    }

    /// The number of the request that `packet` replies to, and where the server saw it come from.
    pub fn read(&self, packet: &[u8]) -> Option<(u64, SocketAddr)> {
        let body =
            checked(packet, |body| (body[0] == REPLY && body[1..9] == self.token.id).then_some(&self.key))?;
        let (number, seen, rest) = fields(body)?;
        let seen = address::decode(seen)?;
        rest.iter().all(|byte| *byte == 0).then_some((number, seen))
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observation(..)")
    }
}

/// How often the port answers in all: who asks is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Throttle {
    /// When all replies that were given are paid for.
    paid: Timestamp,
}

impl Throttle {
    /// Nothing was answered yet.
    pub const fn new() -> Self {
        Self { paid: Timestamp::ZERO }
    }

    /// Whether one more may be answered now.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let paid = self.paid.max(now) + EVERY;
        let may = paid.since(now) <= EVERY * BURST;
        if may {
            self.paid = paid;
        }
        may
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}
