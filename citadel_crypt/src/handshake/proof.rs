//! What is inside the encrypted parts of flights 2 and 3: an identity, its signature, and the MAC.

use super::codec::{Malformed, Reader, put_string16, tag};
use super::request::{MAX_REQUEST_BODY, Request};
use crate::identity::{HybridSignature, IdentityPublic};
use crate::suite::TAG_LEN;
use zeroize::Zeroizing;

/// Flight 3 is padded to multiples of this, so that its length does not tell requests apart.
pub(super) const PROOF_STEP: usize = 1_024;
const MAC_LEN: usize = 32;
const MAX_PLAINTEXT: usize =
    (IdentityPublic::LEN + HybridSignature::LEN + 1 + 2 + MAX_REQUEST_BODY + MAC_LEN)
        .next_multiple_of(PROOF_STEP);

/// Longest flight 3.
pub const MAX_PROOF_LEN: usize = 1 + MAX_PLAINTEXT + TAG_LEN;

/// The server's proof: `id_s, sig_s, mac_s`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerProof {
    /// Who the server says it is.
    pub identity: IdentityPublic,
    /// Over `("server", th1, id_s)`.
    pub signature: HybridSignature,
    /// Over th2.
    pub mac: [u8; MAC_LEN],
}

impl ServerProof {
    /// Length of the encoding.
    pub const LEN: usize = IdentityPublic::LEN + HybridSignature::LEN + MAC_LEN;

    /// Reads the plaintext. Never panics.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (identity, signature) = read_identity(&mut reader)?;
        let mac = reader.array()?;
        reader.finish()?;
        Ok(Self { identity, signature, mac })
    }

    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        [self.identity.as_bytes(), self.signature.as_bytes(), &self.mac].concat()
    }
}

/// The client's proof: `id_c, sig_c, request, mac_c`, then zeros to the next multiple of 1 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientProof {
    /// Who the client says it is.
    pub identity: IdentityPublic,
    /// Over `("client", th2, mac_s, id_c)`.
    pub signature: HybridSignature,
    /// The [`Request`] as encoded; th3 covers these bytes. It may hold a password.
    pub request: Zeroizing<Vec<u8>>,
    /// Over th3.
    pub mac: [u8; MAC_LEN],
}

impl ClientProof {
    /// Reads the plaintext. Never panics.
    ///
    /// # Errors
    /// [`Malformed`], also for padding that is not zero or not to the next step.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (identity, signature) = read_identity(&mut reader)?;
        let (number, body) = Request::read_raw(&mut reader)?;
        let mut request = Zeroizing::new(Vec::with_capacity(3 + body.len()));
        request.push(number);
        put_string16(&mut request, body);
        let mac = reader.array()?;
        let used = IdentityPublic::LEN + HybridSignature::LEN + request.len() + MAC_LEN;
        if bytes.len() != used.next_multiple_of(PROOF_STEP) {
            return Err(Malformed);
        }
        reader.zeros()?;
        Ok(Self { identity, signature, request, mac })
    }

    /// The plaintext, padded.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let used = IdentityPublic::LEN + HybridSignature::LEN + self.request.len() + MAC_LEN;
        let mut out = Zeroizing::new(Vec::with_capacity(used.next_multiple_of(PROOF_STEP) + TAG_LEN));
        for part in [self.identity.as_bytes(), self.signature.as_bytes(), &self.request, &self.mac] {
            out.extend_from_slice(part);
        }
        out.resize(used.next_multiple_of(PROOF_STEP), 0);
        out
    }
}

impl core::fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClientProof({}, ..)", self.identity.peer_id())
    }
}

/// The sealed body of flight 3, if the flight has one of the lengths that it can have.
pub(super) fn split_proof(flight: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(flight);
    reader.expect(tag::PROOF)?;
    let plaintext_len = flight.len().checked_sub(1 + TAG_LEN).ok_or(Malformed)?;
    if plaintext_len == 0 || plaintext_len > MAX_PLAINTEXT || !plaintext_len.is_multiple_of(PROOF_STEP) {
        return Err(Malformed);
    }
    reader.take(flight.len() - 1)
}

fn read_identity(reader: &mut Reader<'_>) -> Result<(IdentityPublic, HybridSignature), Malformed> {
    let identity = IdentityPublic::from_bytes(reader.take(IdentityPublic::LEN)?).map_err(|_| Malformed)?;
    let signature = HybridSignature::from_bytes(reader.take(HybridSignature::LEN)?).map_err(|_| Malformed)?;
    Ok((identity, signature))
}
