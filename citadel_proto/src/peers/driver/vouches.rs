//! What the devices of an account say of each other, kept by the server for its peers. Whether it is true is for them to check.

use super::super::message::{PeerAskError, View};
use super::super::statement::{Claimed, Statement};
use super::super::{Party, Shown, wire};
use super::board::{Inner, failed};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;

/// Most statements of an account among which there is room for one more vouch. What is above it is for disowns.
const MOST_WITH_VOUCHES: usize = 32;
/// Most disowns that one device may add. So one that was stolen leaves the others room to disown it.
const MOST_DISOWNS: usize = 16;

impl Inner {
    /// Keeps what `signer` says of a device of its account; says whether there is anything new in it. A disown of a device for
    /// which somebody vouched is always kept.
    ///
    /// # Errors
    /// [`PeerAskError::Full`]; [`PeerAskError::Denied`] for a vouch for who was disowned.
    pub(super) async fn keep_vouch(
        &self,
        account: Cid,
        signer: PeerId,
        said: &Statement,
        bytes: &[u8],
    ) -> Result<bool, PeerAskError> {
        let _turn = self.vouching.take(account).await;
        let kept = self.vouches(Party::Account(account)).await?;
        let kept: Vec<Claimed> = kept.iter().filter_map(|bytes| Claimed::parse(bytes).ok()).collect();
        let place = match said {
            Statement::Vouch(vouch) => place_of_vouch(&kept, signer, vouch.device)?,
            Statement::Disown(disown) => place_of_disown(&kept, signer, disown.device)?,
            Statement::Request(_) | Statement::Acceptance(_) => return Err(PeerAskError::Malformed),
        };
        let Some((subject, signer)) = place else { return Ok(false) };
        let put = self.backend().put_vouch(account, subject, signer, bytes, wire::MAX_STATEMENTS);
        put.await.map_err(failed)?;
        Ok(true)
    }

    /// What a device of `own` is told of its account.
    pub(super) async fn own_view(&self, own: Party) -> Result<View, PeerAskError> {
        let vouches = self.vouches(own).await?;
        let (user, display_name, online) = (None, None, Vec::new());
        Ok(View { party: own, user, display_name, shown: Shown::None, blocked: false, online, vouches })
    }
}

/// Under which subject and signer a statement is kept; none if there is nothing new in it.
type Place = Option<(PeerId, PeerId)>;

fn is_vouch(claimed: &Claimed, of: PeerId) -> bool {
    matches!(claimed.statement(), Statement::Vouch(vouch) if vouch.device == of)
}

fn is_disown(claimed: &Claimed, of: PeerId) -> bool {
    matches!(claimed.statement(), Statement::Disown(disown) if disown.device == of)
}

fn place_of_vouch(kept: &[Claimed], signer: PeerId, device: PeerId) -> Result<Place, PeerAskError> {
    if kept.iter().any(|kept| is_disown(kept, device)) {
        return Err(PeerAskError::Denied);
    }
    let is_again = kept.iter().any(|kept| kept.signer() == signer && is_vouch(kept, device));
    if is_again || kept.len() < MOST_WITH_VOUCHES {
        Ok(Some((device, signer)))
    } else {
        Err(PeerAskError::Full)
    }
}

fn place_of_disown(kept: &[Claimed], signer: PeerId, device: PeerId) -> Result<Place, PeerAskError> {
    let by_signer = || kept.iter().filter(move |kept| kept.signer() == signer);
    if by_signer().any(|kept| is_disown(kept, device)) {
        return Ok(None);
    }
    if by_signer().any(|kept| is_vouch(kept, device)) {
        return Ok(Some((device, signer)));
    }
    let disowns = by_signer().filter(|kept| matches!(kept.statement(), Statement::Disown(_))).count();
    if kept.len() < wire::MAX_STATEMENTS && disowns < MOST_DISOWNS {
        return Ok(Some((device, signer)));
    }
    // There is nothing in a vouch for who is disowned.
    let vouch = kept.iter().find(|kept| is_vouch(kept, device));
    vouch.map(|vouch| Some((device, vouch.signer()))).ok_or(PeerAskError::Full)
}

#[cfg(test)]
mod tests;
