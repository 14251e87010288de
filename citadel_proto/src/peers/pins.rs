//! What a client knows of its peers' devices: by statements, never by a server's word (R-P2P-1, R-P2P-6).
//!
//! ```text
//!             introduced by checked statements                    a device of it vouches
//!   nothing ──────────────────────────────────▶ pin { devices } ─────────────────────────▶ one device more
//!      ▲                                         │        │       a device of it disowns
//!      └────────── the user removes it ──────────┘        └──────────────────────────────▶ one less, for ever
//! ```
//!
//! Invariants: a pin changes by a statement of a device in it, or by the user. A device that was disowned never comes back. Of
//! what one device says only what is newer than all before counts.

use super::Party;
use super::statement::{ConsentFault, DeviceStatement, Introduced, PeerTrust, StatementNumber};
use citadel_crypt::addr::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most devices in a pin, and most that a pin remembers as disowned. Beyond it a vouch is ignored: a peer that disowns as many
/// is registered anew.
pub const MAX_PINNED: usize = 64;

/// Why no session is made with a device, or statements pin nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Nothing is pinned for the party.
    #[error("nothing is pinned for that party")]
    Unknown,
    /// The device is none of those that are pinned. It stays so until the user removes the peer.
    #[error("the identity changed: {found} is none of the pinned devices")]
    IdentityChanged {
        /// The devices that are pinned.
        pinned: Vec<PeerId>,
        /// The one that was found.
        found: PeerId,
    },
    /// The party has disowned the device.
    #[error("the device {0} was disowned")]
    Disowned(PeerId),
    /// Only verified peers are wanted, and this one is trusted on first use.
    #[error("the peer is not verified")]
    NotVerified,
    /// The statements do not hold.
    #[error(transparent)]
    Statement(#[from] ConsentFault),
    /// The pin could not be kept.
    #[error("the pin cannot be kept")]
    NotKept,
}

impl PinError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Unknown => 1,
            Self::IdentityChanged { .. } => 2,
            Self::Disowned(_) => 3,
            Self::NotVerified => 4,
            Self::Statement(_) => 5,
            Self::NotKept => 6,
        }
    }
}

/// The devices of one party.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pin {
    devices: BTreeSet<PeerId>,
    is_verified: bool,
    disowned: BTreeSet<PeerId>,
    /// The number of the last statement of each device that counted.
    numbers: BTreeMap<PeerId, u64>,
}

impl Pin {
    /// The pin of a device that checked statements introduce.
    pub fn new(introduced: &Introduced) -> Self {
        Self {
            devices: BTreeSet::from([introduced.device()]),
            is_verified: introduced.trust() == PeerTrust::Verified,
            disowned: BTreeSet::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The devices.
    pub fn devices(&self) -> Vec<PeerId> {
        self.devices.iter().copied().collect()
    }

    /// What the trust in them rests on.
    pub const fn trust(&self) -> PeerTrust {
        if self.is_verified { PeerTrust::Verified } else { PeerTrust::FirstUse }
    }

    /// Whether `device` is one of them.
    ///
    /// # Errors
    /// [`PinError::Disowned`], [`PinError::IdentityChanged`].
    pub fn allows(&self, device: PeerId) -> Result<PeerTrust, PinError> {
        if self.devices.contains(&device) {
            return Ok(self.trust());
        }
        if self.disowned.contains(&device) {
            return Err(PinError::Disowned(device));
        }
        Err(PinError::IdentityChanged { pinned: self.devices(), found: device })
    }

    /// Statements introduce a device again: nothing new if it is pinned; raises the trust if they rest on more. Whether that
    /// changed anything.
    ///
    /// # Errors
    /// As [`allows`](Self::allows) for another device: an existing pin is never replaced by a registration.
    pub fn introduce(&mut self, introduced: &Introduced) -> Result<bool, PinError> {
        self.allows(introduced.device())?;
        let is_more = introduced.trust() == PeerTrust::Verified && !self.is_verified;
        self.is_verified |= is_more;
        Ok(is_more)
    }

    /// The user has compared codes. Whether that is new.
    pub const fn verify(&mut self) -> bool {
        !core::mem::replace(&mut self.is_verified, true)
    }

    /// A device of `party` at `server` says something of its party's devices. Whether that changed anything: it does if the
    /// signer is in the pin, and its number is above those before.
    pub fn hear(&mut self, server: PeerId, party: Party, said: &DeviceStatement) -> bool {
        let (signer, of, account, device, number) = match said {
            DeviceStatement::Vouch(vouch) => {
                let what = vouch.said();
                (vouch.signer(), what.server, what.account, what.device, what.number)
            }
            DeviceStatement::Disown(disown) => {
                let what = disown.said();
                (disown.signer(), what.server, what.account, what.device, what.number)
            }
        };
        let is_about = of == server && Party::Account(account) == party;
        let is_new = self.numbers.get(&signer).is_none_or(|last| StatementNumber(*last) < number);
        if !is_about || !is_new || !self.devices.contains(&signer) {
            return false;
        }
        let has_changed = match said {
            DeviceStatement::Vouch(_) => {
                self.devices.len() < MAX_PINNED
                    && !self.disowned.contains(&device)
                    && self.devices.insert(device)
            }
            DeviceStatement::Disown(_) => {
                self.devices.remove(&device);
                self.disowned.len() < MAX_PINNED && self.disowned.insert(device)
            }
        };
        if has_changed {
            self.numbers.insert(signer, number.0);
        }
        has_changed
    }
}

#[cfg(test)]
mod tests;
