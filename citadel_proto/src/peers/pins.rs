//! What a client knows of its peers' devices: by statements, never by a server's word (R-P2P-1, R-P2P-6).
//!
//! ```text
//!             introduced by checked statements                     a device of it vouches
//!   nothing ──────────────────────────────────▶ pin { devices } ──────────────────────────▶ one device more
//!      ▲                                         │        │        a device of it disowns
//!      └────────── the user removes it ──────────┘        └───────────────────────────────▶ one less, for ever
//! ```
//!
//! Invariants: a pin changes by a statement of a device in it, or by the user. A device is pinned or disowned, never both, and
//! one that was disowned never comes back: what a pin knows of a device is never forgotten, and a pin that knows as many as it
//! may takes no other in. Trust goes from a device to those that it vouches for, and nowhere else.

mod record;

pub use record::PinRecord;
pub(super) use record::{Agreed, Heard};

use super::Party;
use super::statement::{
    Claimed, ConsentFault, DeviceStatement, Introduced, PeerTrust, Statement, StatementNumber,
};
use citadel_crypt::addr::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most devices that a pin knows, those that were disowned included. A party that has had more is registered anew.
pub const MAX_PINNED: usize = 64;
/// Most devices of which a pin remembers that they vouched for one that is trusted on first use. With more of them it takes
/// more compared codes until that one is verified, too.
const MAX_VOUCHERS: usize = 8;

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
    /// The pin could not be kept. Until it can be, no session is made with the party.
    #[error("the pin cannot be kept")]
    NotKept,
    /// This end has taken back what the statements say, so they are an old agreement that is shown again.
    #[error("the consent was taken back")]
    Withdrawn,
    /// The pin knows as many devices as it may ([`MAX_PINNED`]).
    #[error("the pin knows {MAX_PINNED} devices already")]
    Full,
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
            Self::Withdrawn => 7,
            Self::Full => 8,
        }
    }
}

/// The devices of one party.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<PeerId, Device>")]
pub struct Pin(BTreeMap<PeerId, Device>);

/// What is known of a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Device {
    /// Of the last statement of it that counted.
    number: Option<StatementNumber>,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum State {
    /// Pinned, trusted on first use.
    FirstUse {
        /// Who vouched for it, being no more than that either.
        by: BTreeSet<PeerId>,
    },
    /// Pinned, verified.
    Verified,
    /// None of the party's any more.
    Disowned,
}

/// What was said of a device.
struct Said {
    server: PeerId,
    party: Party,
    device: PeerId,
    number: StatementNumber,
    does_vouch: bool,
}

impl Said {
    fn of(statement: &Statement) -> Option<Self> {
        let (server, party) = (statement.server(), statement.sender());
        let (device, number, does_vouch) = match statement {
            Statement::Vouch(vouch) => (vouch.device, vouch.number, true),
            Statement::Disown(disown) => (disown.device, disown.number, false),
            Statement::Request(_) | Statement::Acceptance(_) => return None,
        };
        Some(Self { server, party, device, number, does_vouch })
    }
}

impl Device {
    const fn new(state: State) -> Self {
        Self { number: None, state }
    }

    const fn trust(&self) -> Option<PeerTrust> {
        match self.state {
            State::FirstUse { .. } => Some(PeerTrust::FirstUse),
            State::Verified => Some(PeerTrust::Verified),
            State::Disowned => None,
        }
    }
}

impl Pin {
    /// The pin of a device that checked statements introduce.
    pub fn new(introduced: &Introduced) -> Self {
        let state = match introduced.trust() {
            PeerTrust::Verified => State::Verified,
            PeerTrust::FirstUse => State::FirstUse { by: BTreeSet::new() },
        };
        Self(BTreeMap::from([(introduced.device(), Device::new(state))]))
    }

    /// What a device knows of its own account before anything was said: itself.
    pub fn of_own(device: PeerId) -> Self {
        Self(BTreeMap::from([(device, Device::new(State::Verified))]))
    }

    /// The devices that are pinned, and what the trust in each rests on.
    pub fn devices(&self) -> BTreeMap<PeerId, PeerTrust> {
        self.0.iter().filter_map(|(device, known)| Some((*device, known.trust()?))).collect()
    }

    /// Whether it knows `device`, as one that is pinned or one that was disowned.
    pub fn knows(&self, device: PeerId) -> bool {
        self.0.contains_key(&device)
    }

    /// Whether the party has disowned `device`.
    pub fn is_disowned(&self, device: PeerId) -> bool {
        self.0.get(&device).is_some_and(|known| known.trust().is_none())
    }

    /// What the trust in `device` rests on, if it is pinned.
    ///
    /// # Errors
    /// [`PinError::Disowned`], [`PinError::IdentityChanged`].
    pub fn allows(&self, device: PeerId) -> Result<PeerTrust, PinError> {
        match self.0.get(&device) {
            Some(known) => known.trust().ok_or(PinError::Disowned(device)),
            None => {
                Err(PinError::IdentityChanged { pinned: self.devices().into_keys().collect(), found: device })
            }
        }
    }

    /// Statements introduce a device again: nothing new if it is pinned; raises the trust if they rest on more. One that was
    /// disowned since stays so. Whether that changed anything.
    ///
    /// # Errors
    /// [`PinError::IdentityChanged`] for another device: an existing pin is never replaced by a registration.
    pub fn introduce(&mut self, introduced: &Introduced) -> Result<bool, PinError> {
        match (self.allows(introduced.device()), introduced.trust()) {
            (Ok(_), PeerTrust::Verified) => Ok(self.raise(introduced.device())),
            (Ok(_), PeerTrust::FirstUse) | (Err(PinError::Disowned(_)), _) => Ok(false),
            (Err(error), _) => Err(error),
        }
    }

    /// The user has compared codes with `device`. It is verified from now on, and so is whom it vouched for, or vouches for
    /// later; nobody else is. Whether that is new.
    ///
    /// # Errors
    /// As [`allows`](Self::allows).
    pub fn verify(&mut self, device: PeerId) -> Result<bool, PinError> {
        self.allows(device)?;
        Ok(self.raise(device))
    }

    /// A pinned device is verified now; whether it was not.
    fn raise(&mut self, device: PeerId) -> bool {
        let mut raised: Vec<PeerId> = vec![device];
        let mut has_changed = false;
        while let Some(device) = raised.pop() {
            let Some(known) = self.0.get_mut(&device) else { continue };
            if !matches!(known.state, State::FirstUse { .. }) {
                continue;
            }
            known.state = State::Verified;
            has_changed = true;
            let vouched_for = self.0.iter().filter(|(_, known)| match &known.state {
                State::FirstUse { by } => by.contains(&device),
                State::Verified | State::Disowned => false,
            });
            raised.extend(vouched_for.map(|(device, _)| *device));
        }
        has_changed
    }

    /// A device of `party` at `server` says something of its party's devices. Whether that changed anything. A statement counts if
    /// its signer is pinned and its number is above those before; a disown whatever its number, for nothing takes it back.
    pub fn hear(&mut self, server: PeerId, party: Party, said: &DeviceStatement) -> bool {
        let (signer, said) = (said.signer(), Said::of(&said.statement()));
        let Some(said) = said.filter(|said| self.is_news(server, party, signer, said)) else { return false };
        self.take(signer, &said);
        true
    }

    /// The same for all of them, in any order: the lowest number first of those whose signer is pinned by then. What is forged
    /// counts for nothing; what is old is not even verified.
    pub fn hear_all(&mut self, server: PeerId, party: Party, claims: Vec<Claimed>) -> bool {
        let said = |claimed: Claimed| Some((Said::of(claimed.statement())?, claimed));
        let mut waiting: Vec<(Said, Claimed)> = claims.into_iter().filter_map(said).collect();
        waiting.sort_by_key(|(said, claimed)| (said.number, claimed.signer()));
        let mut has_changed = false;
        let next = |pin: &Self, waiting: &[(Said, Claimed)]| {
            waiting.iter().position(|(said, claimed)| pin.is_news(server, party, claimed.signer(), said))
        };
        while let Some(at) = next(self, &waiting) {
            let (_, claimed) = waiting.remove(at);
            has_changed |=
                DeviceStatement::try_from(claimed).is_ok_and(|said| self.hear(server, party, &said));
        }
        has_changed
    }

    /// What this pin's own `device` says next at the time `now`, which it takes in before it goes out: its number is above those
    /// of all before. In seconds.
    ///
    /// # Errors
    /// [`PinError::Disowned`] when the device, or whom it vouches for, was disowned; [`PinError::Full`] for another device than the
    /// pin knows. Nothing has changed then.
    pub fn say(
        &mut self,
        device: PeerId,
        above: StatementNumber,
        said: impl FnOnce(StatementNumber) -> Statement,
    ) -> Result<Statement, PinError> {
        let Some(own) = self.0.get(&device) else { return Err(self.unknown(device)) };
        let number = own.number.map_or(above, |last| above.max(last.next()));
        let statement = said(number);
        let of_device = Said::of(&statement);
        if let Some(said) = &of_device {
            self.allows(device)?;
            if !self.knows(said.device) && self.0.len() >= MAX_PINNED {
                return Err(PinError::Full);
            }
            if said.does_vouch && self.is_disowned(said.device) {
                return Err(PinError::Disowned(said.device));
            }
        }
        match of_device {
            Some(said) => self.take(device, &said),
            None => self.count(device, number),
        }
        Ok(statement)
    }

    /// The number of the last statement of `device` that counted.
    pub fn last_number(&self, device: PeerId) -> Option<StatementNumber> {
        self.0.get(&device).and_then(|known| known.number)
    }

    fn unknown(&self, found: PeerId) -> PinError {
        PinError::IdentityChanged { pinned: self.devices().into_keys().collect(), found }
    }

    /// Whether what a pinned device says would count, and be new.
    fn is_news(&self, server: PeerId, party: Party, signer: PeerId, said: &Said) -> bool {
        let is_about = said.server == server && said.party == party;
        let Some(known) = self.0.get(&signer).filter(|known| known.trust().is_some()) else { return false };
        let is_newer = known.number.is_none_or(|last| last < said.number);
        is_about && (is_newer || !said.does_vouch && self.would_disown(said.device))
    }

    fn would_disown(&self, device: PeerId) -> bool {
        let has_room = self.0.len() < MAX_PINNED;
        self.0.get(&device).map_or(has_room, |known| known.trust().is_some())
    }

    fn take(&mut self, signer: PeerId, said: &Said) {
        self.count(signer, said.number);
        if said.does_vouch {
            self.vouch(signer, said.device);
        } else if self.would_disown(said.device) {
            // A pin that is full takes nobody in who would have to be kept out.
            self.0.entry(said.device).or_insert(Device::new(State::Disowned)).state = State::Disowned;
        }
    }

    /// Statements of `signer` count from now on if they are newer than this one, whether or not it changes anything.
    fn count(&mut self, signer: PeerId, number: StatementNumber) {
        if let Some(known) = self.0.get_mut(&signer) {
            known.number = known.number.max(Some(number));
        }
    }

    fn vouch(&mut self, signer: PeerId, device: PeerId) {
        let is_verified = self.allows(signer) == Ok(PeerTrust::Verified);
        let has_room = self.0.len() < MAX_PINNED;
        match self.0.get_mut(&device).map(|known| &mut known.state) {
            Some(State::FirstUse { .. }) if is_verified => {
                self.raise(device);
            }
            Some(State::FirstUse { by }) if by.len() < MAX_VOUCHERS && signer != device => {
                by.insert(signer);
            }
            Some(_) => {}
            None if has_room => {
                let by = BTreeSet::from([signer]);
                let state = if is_verified { State::Verified } else { State::FirstUse { by } };
                self.0.insert(device, Device::new(state));
            }
            None => {}
        }
    }
}

/// What was kept is no pin.
#[derive(Debug, thiserror::Error)]
#[error("no pin")]
struct NoPin;

impl TryFrom<BTreeMap<PeerId, Device>> for Pin {
    type Error = NoPin;

    fn try_from(devices: BTreeMap<PeerId, Device>) -> Result<Self, NoPin> {
        let is_state = |(device, known): (&PeerId, &Device)| match &known.state {
            State::FirstUse { by } => {
                let are_known = by.iter().all(|voucher| voucher != device && devices.contains_key(voucher));
                by.len() <= MAX_VOUCHERS && are_known
            }
            State::Verified | State::Disowned => true,
        };
        let is_pin = (1..=MAX_PINNED).contains(&devices.len()) && devices.iter().all(is_state);
        if is_pin { Ok(Self(devices)) } else { Err(NoPin) }
    }
}

#[cfg(test)]
mod tests;
