//! Bytes of statements: `kind ‖ server ‖ from ‖ to ‖ signer's public key ‖ fields ‖ signature`, and the signature is over what
//! stands before it.

pub(super) use super::super::codec::Malformed;

use super::super::Party;
use super::super::codec::{put_option, take, take_array, take_option, take_peer, take_u8, take_u64};
use super::{Acceptance, Claimed, Disown, PeerRequest, RequestHash, Statement, StatementNumber, Vouch};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::{HybridSignature, IdentityPublic};

const REQUEST: u8 = 1;
const ACCEPTANCE: u8 = 2;
const VOUCH: u8 = 3;
const DISOWN: u8 = 4;

const PARTY_LEN: usize = 1 + 32;
/// Fields of an acceptance, the longest.
const FIELDS_LEN: usize = 32 + 32 + 8;

/// Longest statement, bytes.
pub const MAX_STATEMENT_LEN: usize =
    1 + 32 + 2 * PARTY_LEN + IdentityPublic::LEN + FIELDS_LEN + HybridSignature::LEN;

/// What is signed.
pub(super) fn body(statement: &Statement, signer: &IdentityPublic) -> Vec<u8> {
    let kind = match statement {
        Statement::Request(_) => REQUEST,
        Statement::Acceptance(_) => ACCEPTANCE,
        Statement::Vouch(_) => VOUCH,
        Statement::Disown(_) => DISOWN,
    };
    let mut out = Vec::with_capacity(MAX_STATEMENT_LEN);
    out.push(kind);
    out.extend_from_slice(statement.server().as_bytes());
    out.extend(statement.sender().to_bytes());
    out.extend(statement.recipient().to_bytes());
    out.extend_from_slice(signer.as_bytes());
    match statement {
        Statement::Request(PeerRequest { nonce, number, expected, .. }) => {
            out.extend_from_slice(nonce);
            out.extend_from_slice(&number.0.to_le_bytes());
            put_option(&mut out, *expected);
        }
        Statement::Acceptance(Acceptance { request, requester, number, .. }) => {
            out.extend_from_slice(&request.0);
            out.extend_from_slice(requester.as_bytes());
            out.extend_from_slice(&number.0.to_le_bytes());
        }
        Statement::Vouch(Vouch { device, number, .. }) | Statement::Disown(Disown { device, number, .. }) => {
            out.extend_from_slice(device.as_bytes());
            out.extend_from_slice(&number.0.to_le_bytes());
        }
    }
    out
}

/// What `bytes`, of which there are at most [`MAX_STATEMENT_LEN`], say.
pub(super) fn parse(bytes: &[u8]) -> Result<Claimed, Malformed> {
    let rest = &mut { bytes };
    let head = Head {
        kind: take_u8(rest)?,
        server: take_peer(rest)?,
        from: Party::take(rest)?,
        to: Party::take(rest)?,
    };
    let signer = take(rest, IdentityPublic::LEN)?;
    let statement = head.fields(rest)?;
    let signature = take(rest, HybridSignature::LEN)?;
    if !rest.is_empty() {
        return Err(Malformed);
    }
    Ok(Claimed {
        statement,
        signer: IdentityPublic::from_bytes(signer).map_err(|_| Malformed)?,
        signature: HybridSignature::from_bytes(signature).map_err(|_| Malformed)?,
    })
}

struct Head {
    kind: u8,
    server: PeerId,
    from: Party,
    to: Party,
}

impl Head {
    fn fields(self, rest: &mut &[u8]) -> Result<Statement, Malformed> {
        let Self { kind, server, from, to } = self;
        Ok(match kind {
            REQUEST => {
                let (nonce, number) = (take_array(rest)?, StatementNumber(take_u64(rest)?));
                let expected = take_option(rest)?;
                PeerRequest { server, from, to, nonce, number, expected }.into()
            }
            ACCEPTANCE => {
                let (request, requester) = (RequestHash(take_array(rest)?), take_peer(rest)?);
                let number = StatementNumber(take_u64(rest)?);
                Acceptance { server, from, to, request, requester, number }.into()
            }
            VOUCH => {
                let (account, device, number) = self.device(rest)?;
                Vouch { server, account, device, number }.into()
            }
            DISOWN => {
                let (account, device, number) = self.device(rest)?;
                Disown { server, account, device, number }.into()
            }
            _ => return Err(Malformed),
        })
    }

    /// What is said of a device, to the account that says it.
    fn device(&self, rest: &mut &[u8]) -> Result<(Cid, PeerId, StatementNumber), Malformed> {
        let account = self.from.cid().filter(|_| self.from == self.to).ok_or(Malformed)?;
        Ok((account, take_peer(rest)?, StatementNumber(take_u64(rest)?)))
    }
}
