//! What a device must find true of statements before it takes their signer for a peer's device.
//!
//! Everything that a statement names is compared with what the reader knows by itself: its server, its party, its own device, its
//! own statement. What the server says beside it counts for nothing. The signature is checked first, so that what a fault names
//! was said by who signed.

use super::{
    Acceptance, Claimed, PeerRequest, RequestHash, Statement, StatementError, StatementNumber, Verified,
};
use crate::peers::Party;
use citadel_crypt::addr::PeerId;
use std::collections::BTreeSet;

/// Who reads statements, and whose they have to be.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Standpoint {
    /// The server of this session, as its handshake proved it.
    pub server: PeerId,
    /// The party of this device.
    pub own: Party,
    /// This device.
    pub device: PeerId,
    /// The other devices of the own account, as far as this one knows them by what it has said itself, or by the word of one of
    /// them: what they said to another party is the own word.
    pub siblings: BTreeSet<PeerId>,
    /// The other party.
    pub other: Party,
}

/// How it is known that a device is the peer's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerTrust {
    /// It was the first to say so. A server that lied at that moment could have put itself in between.
    FirstUse,
    /// The user named its peer id, or compared codes with it, or a device of which that is true vouched for it.
    Verified,
}

/// A device that checked statements introduce as one of a party. Nothing else makes one, and no first device comes into a pin
/// without.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introduced {
    server: PeerId,
    party: Party,
    device: PeerId,
    trust: PeerTrust,
    consent: StatementNumber,
}

impl Introduced {
    fn new(at: &Standpoint, device: PeerId, is_named: bool) -> Self {
        let trust = if is_named { PeerTrust::Verified } else { PeerTrust::FirstUse };
        Self { server: at.server, party: at.other, device, trust, consent: StatementNumber(0) }
    }

    fn after(self, own: &Statement) -> Self {
        Self { consent: own.number(), ..self }
    }

    /// The server at which the party is.
    pub const fn server(&self) -> PeerId {
        self.server
    }

    /// The party.
    pub const fn party(&self) -> Party {
        self.party
    }

    /// Its device.
    pub const fn device(&self) -> PeerId {
        self.device
    }

    /// What that rests on.
    pub const fn trust(&self) -> PeerTrust {
        self.trust
    }

    /// The number of the own statement that makes the two peers; 0 as long as there is none.
    pub const fn consent(&self) -> StatementNumber {
        self.consent
    }
}

/// Why statements introduce nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentFault {
    /// One of them is nobody's, or has no place here.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It was said at another server.
    #[error("the statement is for the server {found}, not for {expected}")]
    WrongServer {
        /// The server of this session.
        expected: PeerId,
        /// The one it names.
        found: PeerId,
    },
    /// It is another party's than the server says.
    #[error("the statement is of {found}, not of {expected}")]
    WrongSender {
        /// Whose it had to be.
        expected: Party,
        /// Whose it is.
        found: Party,
    },
    /// It was said to somebody else.
    #[error("the statement is to {found}, not to {expected}")]
    WrongRecipient {
        /// To whom it had to be.
        expected: Party,
        /// To whom it is.
        found: Party,
    },
    /// The signer is not the device that the user named.
    #[error("{found} signed, where {expected} was named")]
    WrongSigner {
        /// The device that was named.
        expected: PeerId,
        /// The one that signed.
        found: PeerId,
    },
    /// The request wants another device than this one: somebody put this one in its place, or the asker is mistaken.
    #[error("the request is for the device {expected}, this is {found}")]
    NotMeant {
        /// The device that the request names.
        expected: PeerId,
        /// This device.
        found: PeerId,
    },
    /// What should be the own statement was signed by a device that this one does not know as one of its account.
    #[error("the own statement was signed by {found}, this is {expected} and does not know it")]
    NotOwn {
        /// This device.
        expected: PeerId,
        /// The one that signed.
        found: PeerId,
    },
    /// The acceptance is of a request of another device.
    #[error("the acceptance is of a request by {found}, not by {expected}")]
    WrongRequester {
        /// The device that asked.
        expected: PeerId,
        /// The one that the acceptance names.
        found: PeerId,
    },
    /// The acceptance is of another request.
    #[error("the acceptance is of another request")]
    OtherRequest,
}

/// A request that this device may accept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedRequest {
    request: PeerRequest,
    hash: RequestHash,
    introduced: Introduced,
}

impl CheckedRequest {
    /// What was asked.
    pub const fn request(&self) -> &PeerRequest {
        &self.request
    }

    /// The device that asked.
    pub const fn introduced(&self) -> &Introduced {
        &self.introduced
    }

    /// The statement that accepts it, to be signed by this device.
    pub const fn acceptance(&self, number: StatementNumber) -> Acceptance {
        let PeerRequest { server, from, to, .. } = self.request;
        let requester = self.introduced.device;
        Acceptance { server, from: to, to: from, request: self.hash, requester, number }
    }
}

/// An acceptance of this device's own request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedAcceptance {
    introduced: Introduced,
}

impl CheckedAcceptance {
    /// The device that accepted.
    pub const fn introduced(&self) -> &Introduced {
        &self.introduced
    }
}

/// Checks a request of the other party, for who is to accept it: signed, of that party, to this one, at this server, for this
/// device if it names one. `named` is the device that the user says it must come from, or that the own request in the other
/// direction expects.
///
/// # Errors
/// [`ConsentFault`].
pub fn check_request(
    bytes: &[u8],
    at: &Standpoint,
    named: Option<PeerId>,
) -> Result<CheckedRequest, ConsentFault> {
    let heard = heard(bytes, at)?;
    let Statement::Request(request) = heard.said() else { return Err(StatementError::WrongKind.into()) };
    is_meant(request, at.device)?;
    is_by(heard.signer(), named)?;
    Ok(CheckedRequest {
        request: request.clone(),
        hash: RequestHash::of(bytes),
        introduced: Introduced::new(at, heard.signer(), named.is_some()),
    })
}

/// Checks an acceptance of the other party, for who asked with `request`: signed, of that party, to this one, at this server, of
/// that very request, which a device of this party signed, by the device that it expected if it did.
///
/// # Errors
/// [`ConsentFault`].
pub fn check_acceptance(
    bytes: &[u8],
    request: &[u8],
    at: &Standpoint,
) -> Result<CheckedAcceptance, ConsentFault> {
    let own = said(request, at)?;
    let Statement::Request(asked) = own.said() else { return Err(StatementError::WrongKind.into()) };
    let heard = heard(bytes, at)?;
    let Statement::Acceptance(acceptance) = heard.said() else {
        return Err(StatementError::WrongKind.into());
    };
    is_of_asker(acceptance, own.signer())?;
    is_of(acceptance, request)?;
    is_by(heard.signer(), asked.expected)?;
    let introduced = Introduced::new(at, heard.signer(), asked.expected.is_some()).after(own.said());
    Ok(CheckedAcceptance { introduced })
}

/// Checks what two parties that are peers have said: `own` by a device of this party, `theirs` by the other one, each a request or
/// an acceptance. `named` is the device that the user says the other is, if one was named since.
///
/// Two requests that crossed stand for an acceptance of each. Two acceptances are what becomes of them: the own request is gone
/// then, and the acceptance says whom it accepted.
///
/// # Errors
/// [`ConsentFault`].
pub fn check_agreement(
    own: &[u8],
    theirs: &[u8],
    at: &Standpoint,
    named: Option<PeerId>,
) -> Result<Introduced, ConsentFault> {
    let (mine, heard) = (said(own, at)?, heard(theirs, at)?);
    let by = mine.signer();
    let (required, is_required_by_user) = match (mine.said(), heard.said()) {
        (Statement::Request(asked), Statement::Acceptance(acceptance)) => {
            is_of_asker(acceptance, by)?;
            is_of(acceptance, own)?;
            (asked.expected, asked.expected.is_some())
        }
        (Statement::Request(asked), Statement::Request(request)) => {
            is_meant(request, by)?;
            (asked.expected, asked.expected.is_some())
        }
        (Statement::Acceptance(accepted), Statement::Request(request)) => {
            is_of(accepted, theirs)?;
            is_meant(request, by)?;
            (Some(accepted.requester), false)
        }
        (Statement::Acceptance(accepted), Statement::Acceptance(acceptance)) => {
            // Whichever device of this party asked: its request is gone.
            is_own(acceptance.requester, at)
                .then_some(())
                .ok_or(ConsentFault::WrongRequester { expected: at.device, found: acceptance.requester })?;
            (Some(accepted.requester), false)
        }
        _ => return Err(StatementError::WrongKind.into()),
    };
    is_by(heard.signer(), required)?;
    is_by(heard.signer(), named)?;
    Ok(Introduced::new(at, heard.signer(), is_required_by_user || named.is_some()).after(mine.said()))
}

/// A statement of the other party to this one.
fn heard(bytes: &[u8], at: &Standpoint) -> Result<Verified<Statement>, ConsentFault> {
    verified(bytes, at.server, at.other, at.own)
}

/// A statement of this party to the other one.
fn said(bytes: &[u8], at: &Standpoint) -> Result<Verified<Statement>, ConsentFault> {
    let own = verified(bytes, at.server, at.own, at.other)?;
    if is_own(own.signer(), at) {
        Ok(own)
    } else {
        Err(ConsentFault::NotOwn { expected: at.device, found: own.signer() })
    }
}

/// Whether a device is this one, or one that it knows as its account's.
fn is_own(device: PeerId, at: &Standpoint) -> bool {
    device == at.device || at.siblings.contains(&device)
}

fn verified(
    bytes: &[u8],
    server: PeerId,
    from: Party,
    to: Party,
) -> Result<Verified<Statement>, ConsentFault> {
    let verified = Claimed::parse(bytes)?.verify()?;
    let said = verified.said();
    if said.server() != server {
        return Err(ConsentFault::WrongServer { expected: server, found: said.server() });
    }
    if said.sender() != from {
        return Err(ConsentFault::WrongSender { expected: from, found: said.sender() });
    }
    if said.recipient() != to {
        return Err(ConsentFault::WrongRecipient { expected: to, found: said.recipient() });
    }
    Ok(verified)
}

/// Whether a request is for `device`, or for whichever.
fn is_meant(request: &PeerRequest, device: PeerId) -> Result<(), ConsentFault> {
    match request.expected {
        Some(expected) if expected != device => Err(ConsentFault::NotMeant { expected, found: device }),
        _ => Ok(()),
    }
}

/// Whether the other party accepted the device that asked.
fn is_of_asker(acceptance: &Acceptance, asker: PeerId) -> Result<(), ConsentFault> {
    if acceptance.requester == asker {
        Ok(())
    } else {
        Err(ConsentFault::WrongRequester { expected: asker, found: acceptance.requester })
    }
}

/// Whether it is `request` that was accepted.
fn is_of(acceptance: &Acceptance, request: &[u8]) -> Result<(), ConsentFault> {
    if acceptance.request == RequestHash::of(request) { Ok(()) } else { Err(ConsentFault::OtherRequest) }
}

fn is_by(signer: PeerId, named: Option<PeerId>) -> Result<(), ConsentFault> {
    match named {
        Some(expected) if expected != signer => Err(ConsentFault::WrongSigner { expected, found: signer }),
        _ => Ok(()),
    }
}
