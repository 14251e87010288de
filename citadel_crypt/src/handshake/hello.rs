//! Flight 1. Strict: every length capped, no duplicate offers, no byte left over, one encoding for one value.

use super::codec::{Malformed, Reader, put_string8, put_string16, tag};
use super::config::{AppProtocol, Limits, SessionKind};
use super::psk::PskHint;
use crate::SecrecyMode;

/// The protocol version that this library speaks.
pub(super) const PROTOCOL_VERSION: u16 = 1;
/// Most suites in an offer.
pub(super) const MAX_SUITES: usize = 16;
/// Most application protocols in an offer.
pub(super) const MAX_APP_PROTOCOLS: usize = 8;
/// Longest KEM key: ML-KEM-1024's 1,568 bytes and room for a suite that this version does not know.
pub(super) const MAX_KEM_KEY: usize = 2_048;
/// Longest cookie that a client carries back.
pub(super) const MAX_COOKIE: usize = 256;
/// Smallest and largest window (REKEY, "Window").
pub(super) const WINDOW: core::ops::RangeInclusive<u8> = 2..=16;
/// The binder is the end of the flight.
pub(super) const BINDER_LEN: usize = 32;

/// Longest `Hello`.
pub const MAX_HELLO_LEN: usize = FIXED_LEN
    + 2 * MAX_SUITES
    + (1 + AppProtocol::MAX_LEN) * MAX_APP_PROTOCOLS
    + MAX_KEM_KEY
    + MAX_COOKIE
    + PskHint::LEN
    + BINDER_LEN;

/// Everything of fixed length: tag, version, kind, mode, window, limits, random, two counts, share, two lengths, a flag.
const FIXED_LEN: usize = 1 + 2 + 1 + 1 + 1 + Limits::LEN + 32 + 1 + 1 + 32 + 2 + 2 + 1;

/// What the client offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Client and server, or two peers.
    pub kind: SessionKind,
    /// The least secrecy that the client wants.
    pub mode: SecrecyMode,
    /// The largest window that the client keeps, 2 ..= 16.
    pub window: u8,
    /// What the client takes from the server.
    pub limits: Limits,
    /// Makes the transcript the client's own.
    pub random: [u8; 32],
    /// Suite numbers by the client's preference, at least one, none twice; unknown numbers are passed over.
    pub suites: Vec<u16>,
    /// Application protocols by the client's preference, none twice.
    pub app_protocols: Vec<AppProtocol>,
    /// X25519 share.
    pub share: [u8; 32],
    /// KEM encapsulation key of the first suite.
    pub kem_key: Vec<u8>,
    /// Cookie of a `Retry`, or empty.
    pub cookie: Vec<u8>,
    /// Name of a pre-shared key and proof of having it.
    pub psk: Option<PskOffer>,
}

/// The pre-shared key part of a `Hello`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PskOffer {
    /// Random name of the key.
    pub hint: PskHint,
    /// HMAC over everything before it, by a key from the pre-shared one.
    pub binder: [u8; BINDER_LEN],
}

/// Why a `Hello` cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// Not a well-formed `Hello`.
    #[error("malformed hello")]
    Malformed,
    /// A `Hello` of another protocol version, which this library does not read further.
    #[error("protocol version {0} is not spoken here")]
    Version(u16),
}

impl From<Malformed> for HelloError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Hello {
    /// Reads a flight. Never panics, allocates at most [`MAX_HELLO_LEN`].
    ///
    /// # Errors
    /// [`HelloError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HelloError> {
        if bytes.len() > MAX_HELLO_LEN {
            return Err(HelloError::Malformed);
        }
        let mut reader = Reader::new(bytes);
        reader.expect(tag::HELLO)?;
        let version = reader.u16()?;
        if version != PROTOCOL_VERSION {
            return Err(HelloError::Version(version));
        }
        let kind = SessionKind::from_number(reader.u8()?).ok_or(Malformed)?;
        let mode = mode_from_number(reader.u8()?)?;
        let window = reader.u8()?;
        if !WINDOW.contains(&window) {
            return Err(HelloError::Malformed);
        }
        let limits = Limits::read(&mut reader)?;
        let random = reader.array()?;
        let suites = read_suites(&mut reader)?;
        let app_protocols = read_app_protocols(&mut reader)?;
        let share = reader.array()?;
        let kem_key = reader.string16(MAX_KEM_KEY)?.to_vec();
        let cookie = reader.string16(MAX_COOKIE)?.to_vec();
        let psk = match reader.u8()? {
            0 => None,
            1 => Some(PskOffer { hint: PskHint(reader.array()?), binder: reader.array()? }),
            _ => return Err(HelloError::Malformed),
        };
        reader.finish()?;
        Ok(Self { kind, mode, window, limits, random, suites, app_protocols, share, kem_key, cookie, psk })
    }

    /// The flight's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_LEN + self.kem_key.len() + self.cookie.len() + 128);
        out.push(tag::HELLO);
        out.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        out.extend_from_slice(&[self.kind.number(), mode_number(self.mode), self.window]);
        self.limits.write(&mut out);
        out.extend_from_slice(&self.random);
        out.push(u8::try_from(self.suites.len()).unwrap_or(u8::MAX));
        for suite in &self.suites {
            out.extend_from_slice(&suite.to_le_bytes());
        }
        out.push(u8::try_from(self.app_protocols.len()).unwrap_or(u8::MAX));
        for protocol in &self.app_protocols {
            put_string8(&mut out, protocol.as_bytes());
        }
        out.extend_from_slice(&self.share);
        put_string16(&mut out, &self.kem_key);
        put_string16(&mut out, &self.cookie);
        match &self.psk {
            None => out.push(0),
            Some(offer) => {
                out.push(1);
                out.extend_from_slice(&offer.hint.0);
                out.extend_from_slice(&offer.binder);
            }
        }
        out
    }
}

pub(super) const fn mode_number(mode: SecrecyMode) -> u8 {
    match mode {
        SecrecyMode::BestEffort => 0,
        SecrecyMode::Perfect => 1,
    }
}

pub(super) const fn mode_from_number(number: u8) -> Result<SecrecyMode, Malformed> {
    match number {
        0 => Ok(SecrecyMode::BestEffort),
        1 => Ok(SecrecyMode::Perfect),
        _ => Err(Malformed),
    }
}

fn read_suites(reader: &mut Reader<'_>) -> Result<Vec<u16>, Malformed> {
    let count = usize::from(reader.u8()?);
    if count == 0 || count > MAX_SUITES {
        return Err(Malformed);
    }
    let mut suites = Vec::with_capacity(count);
    for _ in 0..count {
        let suite = reader.u16()?;
        if suites.contains(&suite) {
            return Err(Malformed);
        }
        suites.push(suite);
    }
    Ok(suites)
}

fn read_app_protocols(reader: &mut Reader<'_>) -> Result<Vec<AppProtocol>, Malformed> {
    let count = usize::from(reader.u8()?);
    if count > MAX_APP_PROTOCOLS {
        return Err(Malformed);
    }
    let mut protocols = Vec::with_capacity(count);
    for _ in 0..count {
        let protocol = AppProtocol::new(reader.string8()?).map_err(|_| Malformed)?;
        if protocols.contains(&protocol) {
            return Err(Malformed);
        }
        protocols.push(protocol);
    }
    Ok(protocols)
}
