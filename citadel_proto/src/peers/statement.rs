//! Statements: what a device of one party signs to be read by another, past a server that is not trusted with it.
//!
//! Owns: the four kinds, their bytes, signing, and what must be checked before one counts. Never: who is pinned for it, where a
//! statement waits until it is read.
//!
//! Invariants: bytes that were parsed ([`Claimed`]) prove nothing; only what was verified ([`Verified`]) and compared with what
//! the reader knows (`check.rs`) leads to a pin. A kind is signed under a label of its own, so none passes for another.
//!
//! ```text
//!   bytes ──parse──▶ Claimed ──verify──▶ Verified<Statement> ──check──▶ CheckedRequest, CheckedAcceptance ──▶ Introduced ──▶ pin
//!                                             └──────────────▶ Verified<Vouch>, Verified<Disown> ────────────────────────▶ pin
//! ```

mod check;
mod codec;

pub use check::{
    CheckedAcceptance, CheckedRequest, ConsentFault, Introduced, PeerTrust, Standpoint, check_acceptance,
    check_agreement, check_request,
};
pub use codec::MAX_STATEMENT_LEN;

use super::Party;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::{HybridSignature, Identity, IdentityPublic};
use citadel_crypt::labels;
use citadel_crypt::suite::{CryptoError, CryptoProvider};
use citadel_crypt::transcript::Transcript;
use core::fmt;
use serde::{Deserialize, Serialize};

/// "I want to be a peer of `to`."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerRequest {
    /// The server at which both are.
    pub server: PeerId,
    /// Who asks.
    pub from: Party,
    /// Who is asked.
    pub to: Party,
    /// Random, so that no two requests are the same and none is taken for an earlier one.
    pub nonce: [u8; 16],
    /// Its place among what the signer said. Who asks takes back every consent up to a number.
    pub number: StatementNumber,
    /// The device that has to accept, if the user named one.
    pub expected: Option<PeerId>,
}

impl PeerRequest {
    /// The request that the device of `at` signs.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] without randomness.
    pub fn new(
        provider: &dyn CryptoProvider,
        at: &Standpoint,
        number: StatementNumber,
        expected: Option<PeerId>,
    ) -> Result<Self, CryptoError> {
        let mut nonce = [0; 16];
        provider.random(&mut nonce)?;
        Ok(Self { server: at.server, from: at.own, to: at.other, nonce, number, expected })
    }
}

/// "I want to be a peer of `to`, too, and saw this request of its device." Made by
/// [`CheckedRequest::acceptance`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acceptance {
    /// The server at which both are.
    pub server: PeerId,
    /// Who accepts.
    pub from: Party,
    /// Who asked.
    pub to: Party,
    /// The request that is accepted.
    pub request: RequestHash,
    /// The device that signed it.
    pub requester: PeerId,
    /// Its place among what the signer said, as in a request.
    pub number: StatementNumber,
}

/// Hash of the whole statement of a request, its signature included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestHash(pub [u8; 32]);

impl RequestHash {
    /// The hash of the request that `statement` is.
    pub fn of(statement: &[u8]) -> Self {
        Self(Transcript::new(labels::PEER_REQUEST_HASH).field(statement).finish())
    }
}

/// Orders what one device says: the time in seconds, or one more than its last number if that is more. A vouch counts only if its
/// number is above those of all that counted before; a consent only if its own side has taken none back up to its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct StatementNumber(pub u64);

impl StatementNumber {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// "This is a device of my account, as I am."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vouch {
    /// The server at which the account is.
    pub server: PeerId,
    /// The account of both devices. A session without an account has one device for ever.
    pub account: Cid,
    /// The device.
    pub device: PeerId,
    /// Its place among what the signer said.
    pub number: StatementNumber,
}

/// "This is no device of my account any more."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disown {
    /// The server at which the account is.
    pub server: PeerId,
    /// The account.
    pub account: Cid,
    /// The device.
    pub device: PeerId,
    /// Its place among what the signer said.
    pub number: StatementNumber,
}

/// A statement of any kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// Of a party that asks.
    Request(PeerRequest),
    /// Of a party that accepts.
    Acceptance(Acceptance),
    /// Of a device that brings another.
    Vouch(Vouch),
    /// Of a device that takes one away.
    Disown(Disown),
}

impl Statement {
    /// The peer id of the server that it is about.
    pub const fn server(&self) -> PeerId {
        match self {
            Self::Request(request) => request.server,
            Self::Acceptance(acceptance) => acceptance.server,
            Self::Vouch(vouch) => vouch.server,
            Self::Disown(disown) => disown.server,
        }
    }

    /// Whose statement it is.
    pub const fn sender(&self) -> Party {
        match self {
            Self::Request(request) => request.from,
            Self::Acceptance(acceptance) => acceptance.from,
            Self::Vouch(vouch) => Party::Account(vouch.account),
            Self::Disown(disown) => Party::Account(disown.account),
        }
    }

    /// Whom it is said to. What is said of an account's devices is said to the account, and so to all of its peers.
    pub const fn recipient(&self) -> Party {
        match self {
            Self::Request(request) => request.to,
            Self::Acceptance(acceptance) => acceptance.to,
            Self::Vouch(_) | Self::Disown(_) => self.sender(),
        }
    }

    /// Its place among what the signer said.
    pub const fn number(&self) -> StatementNumber {
        match self {
            Self::Request(request) => request.number,
            Self::Acceptance(acceptance) => acceptance.number,
            Self::Vouch(vouch) => vouch.number,
            Self::Disown(disown) => disown.number,
        }
    }

    /// The bytes of this statement, signed by `identity`. If the [`sender`](Self::sender) is a party without an account, `identity`
    /// has to be the one it is named for, or nobody will take it.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn sign(&self, identity: &Identity) -> Result<Vec<u8>, CryptoError> {
        let mut bytes = codec::body(self, identity.public());
        let signature = identity.sign(self.label(), &[&bytes])?;
        bytes.extend_from_slice(signature.as_bytes());
        Ok(bytes)
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::Request(_) => labels::PEER_REQUEST,
            Self::Acceptance(_) => labels::PEER_ACCEPTANCE,
            Self::Vouch(_) => labels::PEER_VOUCH,
            Self::Disown(_) => labels::PEER_DISOWN,
        }
    }
}

impl From<PeerRequest> for Statement {
    fn from(request: PeerRequest) -> Self {
        Self::Request(request)
    }
}

impl From<Acceptance> for Statement {
    fn from(acceptance: Acceptance) -> Self {
        Self::Acceptance(acceptance)
    }
}

impl From<Vouch> for Statement {
    fn from(vouch: Vouch) -> Self {
        Self::Vouch(vouch)
    }
}

impl From<Disown> for Statement {
    fn from(disown: Disown) -> Self {
        Self::Disown(disown)
    }
}

/// What bytes claim that somebody said. Nothing of it is proven: good for a server, which compares the clear fields with the
/// session that they came by, and for finding out whether it is worth to [`verify`](Self::verify) it.
#[derive(Clone, PartialEq, Eq)]
pub struct Claimed {
    statement: Statement,
    signer: IdentityPublic,
    signature: HybridSignature,
}

impl Claimed {
    /// The statement that `bytes` are, all of them. Another form of the same statement is refused.
    ///
    /// # Errors
    /// [`StatementError::TooLong`] before anything is read, [`StatementError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT_LEN {
            return Err(StatementError::TooLong);
        }
        codec::parse(bytes).map_err(|codec::Malformed| StatementError::Malformed)
    }

    /// The bytes that were parsed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::body(&self.statement, &self.signer);
        bytes.extend_from_slice(self.signature.as_bytes());
        bytes
    }

    /// What is claimed.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The device that is claimed to have said it.
    pub const fn signer(&self) -> PeerId {
        self.signer.peer_id()
    }

    /// Checks both signatures, and that a party without an account speaks for itself.
    ///
    /// # Errors
    /// [`StatementError::Signature`], [`StatementError::NotTheParty`].
    pub fn verify(self) -> Result<Verified<Statement>, StatementError> {
        let body = codec::body(&self.statement, &self.signer);
        self.signer
            .verify(self.statement.label(), &[&body], &self.signature)
            .map_err(|_| StatementError::Signature)?;
        let signer = self.signer.peer_id();
        match self.statement.sender() {
            Party::Transient(party) if party != signer => Err(StatementError::NotTheParty { party, signer }),
            _ => Ok(Verified { said: self.statement, signer }),
        }
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (claim, signer) = (&self.statement, self.signer.peer_id());
        f.debug_struct("Claimed").field("statement", claim).field("signer", &signer).finish_non_exhaustive()
    }
}

/// What a device has certainly said. Whether that device is who it should be is not decided by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<T> {
    said: T,
    signer: PeerId,
}

impl<T> Verified<T> {
    /// What it said.
    pub const fn said(&self) -> &T {
        &self.said
    }

    /// The device that signed it.
    pub const fn signer(&self) -> PeerId {
        self.signer
    }

    fn with<U>(said: U, signer: PeerId) -> Verified<U> {
        Verified { said, signer }
    }
}

/// What a device said of the devices of its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceStatement {
    /// It brings one.
    Vouch(Verified<Vouch>),
    /// It takes one away.
    Disown(Verified<Disown>),
}

impl DeviceStatement {
    /// Parses and verifies `bytes`.
    ///
    /// # Errors
    /// [`StatementError`]; [`StatementError::WrongKind`] for a statement to another party.
    pub fn verify(bytes: &[u8]) -> Result<Self, StatementError> {
        Claimed::parse(bytes)?.try_into()
    }

    /// The device that said it.
    pub const fn signer(&self) -> PeerId {
        match self {
            Self::Vouch(vouch) => vouch.signer,
            Self::Disown(disown) => disown.signer,
        }
    }

    /// What it said.
    pub fn statement(&self) -> Statement {
        match self {
            Self::Vouch(vouch) => vouch.said.clone().into(),
            Self::Disown(disown) => disown.said.clone().into(),
        }
    }
}

impl TryFrom<Claimed> for DeviceStatement {
    type Error = StatementError;

    fn try_from(claimed: Claimed) -> Result<Self, StatementError> {
        let Verified { said, signer } = claimed.verify()?;
        match said {
            Statement::Vouch(vouch) => Ok(Self::Vouch(Verified::<Vouch>::with(vouch, signer))),
            Statement::Disown(disown) => Ok(Self::Disown(Verified::<Disown>::with(disown, signer))),
            Statement::Request(_) | Statement::Acceptance(_) => Err(StatementError::WrongKind),
        }
    }
}

/// Why bytes are no statement of anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Longer than any statement.
    #[error("a statement has at most {MAX_STATEMENT_LEN} bytes")]
    TooLong,
    /// Not the bytes of a statement, or not those alone.
    #[error("malformed statement")]
    Malformed,
    /// The signature is not the signer's, or not over this.
    #[error("the statement is not signed by whom it names")]
    Signature,
    /// A party without an account is one identity, and another one speaks for it.
    #[error("{signer} speaks for the party {party}, which is itself alone")]
    NotTheParty {
        /// The identity that the party is.
        party: PeerId,
        /// The one that signed.
        signer: PeerId,
    },
    /// A statement of a kind that has no meaning here.
    #[error("a statement of another kind")]
    WrongKind,
}
