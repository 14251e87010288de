//! What a server may answer to a `Hello`: `Retry`, `HelloReply`, or `Refusal`.

use super::codec::{Malformed, Reader, put_string8, put_string16, tag};
use super::config::AppProtocol;
use super::error::RefusalCode;
use super::hello::{MAX_COOKIE, WINDOW, mode_from_number, mode_number};
use super::proof::ServerProof;
use crate::SecrecyMode;
use crate::suite::TAG_LEN;

/// Longest KEM ciphertext: ML-KEM-1024's 1,568 bytes and room.
const MAX_CIPHERTEXT: usize = 2_048;
/// The sealed part has one length.
const SEALED_LEN: usize = ServerProof::LEN + TAG_LEN;

/// Longest `HelloReply`.
pub const MAX_REPLY_LEN: usize =
    1 + 2 + 1 + 1 + 1 + AppProtocol::MAX_LEN + 1 + 32 + 32 + 2 + MAX_CIPHERTEXT + SEALED_LEN;
/// Longest `Retry`.
pub const MAX_RETRY_LEN: usize = 1 + 2 + 2 + MAX_COOKIE;
/// Length of a `Refusal`.
pub const MAX_REFUSAL_LEN: usize = 1 + 2;

/// Flight 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HelloReply {
    /// Number of the chosen suite.
    pub suite: u16,
    /// The chosen secrecy mode.
    pub mode: SecrecyMode,
    /// The agreed window.
    pub window: u8,
    /// The chosen application protocol.
    pub app_protocol: Option<AppProtocol>,
    /// Whether the offered pre-shared key is in the secrets.
    pub psk: bool,
    /// Makes the transcript the server's own.
    pub random: [u8; 32],
    /// X25519 share.
    pub share: [u8; 32],
    /// KEM ciphertext.
    pub ciphertext: Vec<u8>,
    /// The server's proof, sealed.
    pub sealed: Vec<u8>,
}

impl HelloReply {
    /// Reads a flight. Never panics, allocates at most [`MAX_REPLY_LEN`].
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.expect(tag::REPLY)?;
        let suite = reader.u16()?;
        let mode = mode_from_number(reader.u8()?)?;
        let window = reader.u8()?;
        if !WINDOW.contains(&window) {
            return Err(Malformed);
        }
        let app_protocol = match reader.string8()? {
            [] => None,
            name => Some(AppProtocol::new(name).map_err(|_| Malformed)?),
        };
        let psk = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let random = reader.array()?;
        let share = reader.array()?;
        let ciphertext = reader.string16(MAX_CIPHERTEXT)?.to_vec();
        let sealed = reader.take(SEALED_LEN)?.to_vec();
        reader.finish()?;
        Ok(Self { suite, mode, window, app_protocol, psk, random, share, ciphertext, sealed })
    }

    /// The part that is not encrypted, which is what th1 covers.
    pub fn encode_clear(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_REPLY_LEN);
        out.push(tag::REPLY);
        out.extend_from_slice(&self.suite.to_le_bytes());
        out.extend_from_slice(&[mode_number(self.mode), self.window]);
        put_string8(&mut out, self.app_protocol.as_ref().map_or(&[], AppProtocol::as_bytes));
        out.push(u8::from(self.psk));
        out.extend_from_slice(&self.random);
        out.extend_from_slice(&self.share);
        put_string16(&mut out, &self.ciphertext);
        out
    }

    /// The flight's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_clear();
        out.extend_from_slice(&self.sealed);
        out
    }
}

/// Asks for another `Hello`: with a cookie, and with the KEM key of another suite first if need be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retry {
    /// The suite that the next `Hello` names first.
    pub suite: u16,
    /// To be carried back unchanged.
    pub cookie: Vec<u8>,
}

impl Retry {
    /// Reads a flight. Never panics.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.expect(tag::RETRY)?;
        let suite = reader.u16()?;
        let cookie = reader.string16(MAX_COOKIE)?.to_vec();
        reader.finish()?;
        if cookie.is_empty() {
            return Err(Malformed);
        }
        Ok(Self { suite, cookie })
    }

    /// The flight's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5 + self.cookie.len());
        out.push(tag::RETRY);
        out.extend_from_slice(&self.suite.to_le_bytes());
        put_string16(&mut out, &self.cookie);
        out
    }
}

/// A refusal before keys exist, or an abort. Nobody vouches for it: it ends the attempt and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
}

impl Refusal {
    /// Reads a flight. Never panics.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.expect(tag::REFUSAL)?;
        let code = RefusalCode(reader.u16()?);
        reader.finish()?;
        Ok(Self { code })
    }

    /// The flight's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let [low, high] = self.code.0.to_le_bytes();
        vec![tag::REFUSAL, low, high]
    }
}
