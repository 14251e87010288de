//! What a client keeps of a party: what the two agreed, with the pin that came of it, and what this end took back.
//!
//! A server can show an old agreement again whenever it likes. So each consent of a device has a number, and what a user takes
//! back is every consent up to a number.

use super::super::Party;
use super::super::statement::{
    Claimed, ConsentFault, Introduced, PeerTrust, Standpoint, StatementNumber, check_agreement,
};
use super::{Pin, PinError};
use citadel_crypt::addr::PeerId;
use serde::{Deserialize, Serialize};

/// What is kept of a party at a server. Of the own account it is the pin of this device's account.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PinRecord {
    agreed: Option<Standing>,
    /// No consent of this end counts that has this number or a lower one.
    withdrawn: Option<StatementNumber>,
}

/// The devices, and the number of this end's consent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Standing {
    pin: Pin,
    consent: StatementNumber,
}

/// What a server shows of two who are peers.
pub(in super::super) struct Agreed<'a> {
    /// From where.
    pub(in super::super) at: &'a Standpoint,
    /// This end's statement.
    pub(in super::super) mine: &'a [u8],
    /// The other one's.
    pub(in super::super) theirs: &'a [u8],
    /// The device that the user named.
    pub(in super::super) named: Option<PeerId>,
    /// What devices of the other one said of each other.
    pub(in super::super) claims: Vec<Claimed>,
}

/// What came of an agreement.
pub(in super::super) struct Heard {
    /// There is something to keep, whatever the outcome is.
    pub(in super::super) has_changed: bool,
    /// Whether the two have agreed.
    pub(in super::super) outcome: Result<(), PinError>,
}

impl PinRecord {
    /// The record of the own account. Consents up to `withdrawn` count for no party of whom nothing is kept.
    pub(in super::super) const fn of_own(pin: Pin, withdrawn: Option<StatementNumber>) -> Self {
        Self { agreed: Some(Standing { pin, consent: StatementNumber(0) }), withdrawn }
    }

    /// The pin, if there is one.
    pub fn pin(&self) -> Option<&Pin> {
        self.agreed.as_ref().map(|agreed| &agreed.pin)
    }

    pub(in super::super) fn pin_mut(&mut self) -> Option<&mut Pin> {
        self.agreed.as_mut().map(|agreed| &mut agreed.pin)
    }

    /// Up to which number this end's consents were taken back.
    pub const fn withdrawn(&self) -> Option<StatementNumber> {
        self.withdrawn
    }

    /// Whether there is nothing to keep.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there is no more than what was taken back.
    pub(in super::super) const fn is_withdrawal(&self) -> bool {
        self.agreed.is_none() && self.withdrawn.is_some()
    }

    /// What the trust in `device` rests on, if it is pinned and the agreement stands.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn allows(&self, device: PeerId) -> Result<PeerTrust, PinError> {
        let agreed = self.agreed.as_ref().ok_or(PinError::Unknown)?;
        self.stands(agreed.consent)?;
        agreed.pin.allows(device)
    }

    /// The pin of a party that this end has agreed with.
    ///
    /// # Errors
    /// [`PinError::Withdrawn`] if that was taken back, with the pin or without.
    pub(in super::super) fn standing(&self) -> Result<&Pin, PinError> {
        let agreed = self.agreed.as_ref().ok_or(PinError::Withdrawn)?;
        self.stands(agreed.consent)?;
        Ok(&agreed.pin)
    }

    fn stands(&self, consent: StatementNumber) -> Result<(), PinError> {
        match self.withdrawn {
            Some(last) if consent <= last => Err(PinError::Withdrawn),
            _ => Ok(()),
        }
    }

    /// This end takes back every consent up to `last`, and what stands. Its pin goes if it `forgets` the party.
    pub(in super::super) fn withdraw(&mut self, last: StatementNumber, forgets: bool) {
        let agreed = self.agreed.as_ref().map(|agreed| agreed.consent);
        self.withdrawn = self.withdrawn.max(agreed).max(Some(last));
        if forgets {
            self.agreed = None;
        }
    }

    /// Takes in what a server shows of two who are peers: first what pinned devices say of others, then who introduces itself.
    /// `own` is the own account's pin; consents up to its number count for nobody of whom nothing is kept.
    pub(in super::super) fn agree(&mut self, own: &Self, agreed: Agreed<'_>) -> Heard {
        let Agreed { at, mine, theirs, named, claims } = agreed;
        if self.is_nothing() {
            // What this raises is kept only with a pin.
            self.withdrawn = own.withdrawn;
        }
        let (server, party) = (at.server, at.other);
        let introduced = check_agreement(mine, theirs, at, named);
        let Some(Standing { pin, consent }) = &mut self.agreed else {
            let outcome = self.begin(introduced, server, party, claims);
            return Heard { has_changed: outcome.is_ok(), outcome };
        };
        let mut has_changed = pin.hear_all(server, party, claims);
        let outcome = match introduced {
            Ok(introduced) if self.withdrawn.is_some_and(|last| introduced.consent() <= last) => {
                Err(PinError::Withdrawn)
            }
            Ok(introduced) => pin.introduce(&introduced).map(|is_more| {
                has_changed |= is_more || *consent < introduced.consent();
                *consent = introduced.consent().max(*consent);
            }),
            // A device of this end's account agreed when it was one: what came of it stays.
            Err(ConsentFault::NotOwn { found, .. }) if own.has_disowned(found) => self.still_stands(),
            Err(fault) => Err(fault.into()),
        };
        Heard { has_changed, outcome }
    }

    fn begin(
        &mut self,
        introduced: Result<Introduced, ConsentFault>,
        server: PeerId,
        party: Party,
        claims: Vec<Claimed>,
    ) -> Result<(), PinError> {
        let introduced = introduced?;
        self.stands(introduced.consent())?;
        let mut pin = Pin::new(&introduced);
        pin.hear_all(server, party, claims);
        self.agreed = Some(Standing { pin, consent: introduced.consent() });
        Ok(())
    }

    fn still_stands(&self) -> Result<(), PinError> {
        self.agreed.as_ref().map_or(Err(PinError::Unknown), |agreed| self.stands(agreed.consent))
    }

    fn has_disowned(&self, device: PeerId) -> bool {
        self.pin().is_some_and(|pin| pin.is_disowned(device))
    }

    /// A number above what was taken back, at the time `now` in seconds.
    pub(in super::super) fn next_number(&self, now: u64) -> StatementNumber {
        self.withdrawn.map_or(StatementNumber(now), |last| StatementNumber(now).max(last.next()))
    }
}

#[cfg(test)]
mod tests;
