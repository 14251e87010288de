//! The pins of a client, in memory and in its store, and what its user has said on the way to them.

use super::super::Party;
use super::super::pins::{Agreed, Heard, Pin, PinError, PinRecord};
use super::super::statement::{Claimed, PeerTrust, Standpoint, Statement, StatementNumber};
use super::book::Pinned;
use super::pin_store::{PinKey, PinStore, PinStoreError};
use citadel_crypt::addr::PeerId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::task::TaskTracker;

/// Most parties of whom nothing is kept but that consent was taken back. Beyond it, what is oldest counts for all of whom nothing
/// is kept.
const MOST_WITHDRAWALS: usize = 1_024;

/// All pins.
pub(super) struct PinBook {
    device: PeerId,
    shelf: Arc<Shelf>,
    /// Changes run here, each to its end, whoever asked for it.
    tasks: TaskTracker,
    /// Whom this end's user wants to be a peer of, with the peer id that was named.
    wanted: Mutex<BTreeMap<PinKey, Option<PeerId>>>,
}

struct Shelf {
    store: Arc<dyn PinStore>,
    records: Mutex<BTreeMap<PinKey, Held>>,
    /// Held over a change and its writing: changes are kept in their order.
    writing: AsyncMutex<()>,
}

/// What memory has of a party.
#[derive(Clone, Default)]
struct Held {
    /// As the store acknowledged it last.
    record: PinRecord,
    /// What it should be instead, and the store has not acknowledged: it is there or not. Until something is, nobody is let in.
    in_doubt: Option<PinRecord>,
}

/// Who a change is for: a server, and who this end is there.
#[derive(Clone, Copy)]
pub(super) struct Here {
    pub(super) server: PeerId,
    pub(super) own: Party,
}

impl PinBook {
    pub(super) async fn load(
        store: Arc<dyn PinStore>,
        device: PeerId,
        tasks: TaskTracker,
    ) -> Result<Self, PinStoreError> {
        let records = store.load().await?.into_iter();
        let held = records.map(|(key, record)| (key, Held { record, in_doubt: None }));
        let (records, writing) = (Mutex::new(held.collect()), AsyncMutex::default());
        let shelf = Arc::new(Shelf { store, records, writing });
        Ok(Self { device, shelf, tasks, wanted: Mutex::default() })
    }

    /// The user wants to be a peer of `party`, and perhaps says who that must be.
    pub(super) fn want(&self, key: PinKey, named: Option<PeerId>) {
        self.wanted.lock().insert(key, named);
    }

    /// Whether the user wants that, and who was named.
    pub(super) fn wanted(&self, key: PinKey) -> Option<Option<PeerId>> {
        self.wanted.lock().get(&key).copied()
    }

    /// What the user wanted is over: the next one who asks is a stranger.
    pub(super) fn forget_wanted(&self, key: PinKey) {
        self.wanted.lock().remove(&key);
    }

    /// The other devices of the own account that this one knows.
    pub(super) fn siblings(&self, here: Here) -> BTreeSet<PeerId> {
        let own = self.shelf.own(here, self.device);
        let devices = own.pin().map(Pin::devices).unwrap_or_default();
        devices.into_keys().filter(|device| *device != self.device).collect()
    }

    /// Pins what the statements of two peers introduce, or finds it pinned; takes in what the pinned devices say of others.
    pub(super) async fn pin(
        &self,
        at: Standpoint,
        (mine, theirs): (Vec<u8>, Vec<u8>),
        vouches: &[Vec<u8>],
    ) -> Result<(), PinError> {
        let (here, party) = (Here { server: at.server, own: at.own }, at.other);
        let named = self.wanted((at.server, party)).flatten();
        let (claims, device) = (claims(vouches), self.device);
        let changed = self.change(here, party, move |record, shelf| {
            let agreed = Agreed { at: &at, mine: &mine, theirs: &theirs, named, claims };
            let Heard { has_changed, outcome } = record.agree(&shelf.own(here, device), agreed);
            (has_changed, outcome)
        });
        changed.await.unwrap_or_else(|error| {
            log::error!(target: "citadel::peers", "{party}: {error}");
            Err(PinError::NotKept)
        })
    }

    /// What of a party that was agreed with stands now: its devices, or why there is no agreement.
    pub(super) fn stands(&self, key: PinKey) -> Result<Pinned, PinError> {
        let Held { record, in_doubt } = self.shelf.read(key);
        if in_doubt.is_some() { Err(PinError::NotKept) } else { record.standing().map(shown) }
    }

    /// Takes in what devices of the own account have said of each other.
    pub(super) async fn hear_own(&self, here: Here, vouches: &[Vec<u8>]) -> Result<(), PinStoreError> {
        let claims = claims(vouches);
        let hear = move |record: &mut PinRecord, _: &Shelf| {
            let pin = record.pin_mut();
            (pin.is_some_and(|pin| pin.hear_all(here.server, here.own, claims)), ())
        };
        self.change(here, here.own, hear).await
    }

    /// What this device says next, at the time `now` in seconds, about `party` or about its own account: its number is above
    /// those of all before, and kept before it is used.
    pub(super) async fn say(
        &self,
        here: Here,
        party: Party,
        now: u64,
        said: impl FnOnce(StatementNumber) -> Statement + Send + 'static,
    ) -> Result<Result<Statement, PinError>, PinStoreError> {
        let device = self.device;
        let say = move |record: &mut PinRecord, shelf: &Shelf| {
            let of_party = shelf.read((here.server, party)).record;
            let above = of_party.next_number(now).max(record.next_number(now));
            let said = record.pin_mut().ok_or(PinError::Unknown).and_then(|pin| pin.say(device, above, said));
            (said.is_ok(), said)
        };
        self.change(here, here.own, say).await
    }

    /// The user takes back whatever this end has said to `party`: nothing that a server shows of it counts any more. The pin goes
    /// if the party is to be forgotten; else it is what a later registration is held to.
    pub(super) async fn withdraw(
        &self,
        here: Here,
        party: Party,
        now: u64,
        forgets: bool,
    ) -> Result<(), PinStoreError> {
        self.forget_wanted((here.server, party));
        let device = self.device;
        let withdraw = move |record: &mut PinRecord, shelf: &Shelf| {
            let last =
                shelf.own(here, device).pin().and_then(|pin| pin.last_number(device)).unwrap_or_default();
            record.withdraw(last.max(StatementNumber(now)), forgets);
            (true, ())
        };
        self.change(here, party, withdraw).await?;
        self.fold(here).await
    }

    /// Keeps the number of withdrawals bounded: the oldest one goes, and counts for all of whom nothing is kept.
    async fn fold(&self, here: Here) -> Result<(), PinStoreError> {
        let Some((party, last)) = self.shelf.oldest_withdrawal(here) else { return Ok(()) };
        let raise = move |own: &mut PinRecord, _: &Shelf| {
            own.withdraw(last, false);
            (true, ())
        };
        // In this order: what is cut short between the two is kept twice.
        self.change(here, here.own, raise).await?;
        let drop = move |record: &mut PinRecord, _: &Shelf| {
            let is_old = record.is_withdrawal() && record.withdrawn() == Some(last);
            if is_old {
                *record = PinRecord::default();
            }
            (is_old, ())
        };
        self.change(here, party, drop).await
    }

    /// What the trust in a device of a party rests on, if it is pinned.
    pub(super) fn allows(&self, key: PinKey, device: PeerId) -> Result<PeerTrust, PinError> {
        let Held { record, in_doubt } = self.shelf.read(key);
        if in_doubt.is_some() { Err(PinError::NotKept) } else { record.allows(device) }
    }

    /// Whether a device is none of a party's any more, as far as that is known.
    pub(super) fn is_out(&self, key: PinKey, device: PeerId) -> bool {
        let Held { record, in_doubt } = self.shelf.read(key);
        in_doubt.into_iter().chain([record]).any(|record| record.allows(device).is_err())
    }

    /// The user has compared codes with a device.
    pub(super) async fn mark_verified(
        &self,
        here: Here,
        party: Party,
        device: PeerId,
    ) -> Result<Result<(), PinError>, PinStoreError> {
        let verify = move |record: &mut PinRecord, _: &Shelf| {
            let verified = record
                .allows(device)
                .and_then(|_| record.pin_mut().ok_or(PinError::Unknown).and_then(|pin| pin.verify(device)));
            (verified == Ok(true), verified.map(|_is_new| ()))
        };
        self.change(here, party, verify).await
    }

    /// Changes what is kept of `party`: first where it lasts, then where it is read. `change` gets the record, and all
    /// that there are, and says whether it has changed. Dropping the future leaves the change to be made.
    async fn change<R: Send + 'static>(
        &self,
        here: Here,
        party: Party,
        change: impl FnOnce(&mut PinRecord, &Shelf) -> (bool, R) + Send + 'static,
    ) -> Result<R, PinStoreError> {
        let (shelf, device) = (Arc::clone(&self.shelf), self.device);
        let changed = self.tasks.spawn(async move {
            let _in_order = shelf.writing.lock().await;
            let key = (here.server, party);
            let Held { record: before, in_doubt } = shelf.read(key);
            let mut record = if party == here.own { shelf.own(here, device) } else { before.clone() };
            let (has_changed, result) = change(&mut record, &shelf);
            if has_changed || in_doubt.is_some() {
                shelf.keep(key, before, record).await?;
            }
            Ok::<R, PinStoreError>(result)
        });
        // A runtime that goes down cancels it.
        changed.await.unwrap_or(Err(PinStoreError::Interrupted))
    }
}

impl Shelf {
    fn read(&self, key: PinKey) -> Held {
        self.records.lock().get(&key).cloned().unwrap_or_default()
    }

    /// What is known of the own account: at least that `device` is of it.
    fn own(&self, here: Here, device: PeerId) -> PinRecord {
        let kept = self.read((here.server, here.own)).record;
        if kept.pin().is_some_and(|pin| pin.knows(device)) {
            kept
        } else {
            // Of another device of this program before: what that one knew is not this one's word.
            PinRecord::of_own(Pin::of_own(device), kept.withdrawn())
        }
    }

    async fn keep(&self, key: PinKey, before: PinRecord, record: PinRecord) -> Result<(), PinStoreError> {
        let kept = (!record.is_nothing()).then(|| record.clone());
        let result = self.store.put(key, kept).await;
        let held = match &result {
            Ok(()) => Held { record, in_doubt: None },
            Err(_) => Held { record: before, in_doubt: Some(record) },
        };
        let mut records = self.records.lock();
        if held.record.is_nothing() && held.in_doubt.is_none() {
            records.remove(&key);
        } else {
            records.insert(key, held);
        }
        result
    }

    fn oldest_withdrawal(&self, here: Here) -> Option<(Party, StatementNumber)> {
        let records = self.records.lock();
        let withdrawals = records.iter().filter(|((server, _), held)| {
            *server == here.server && held.record.is_withdrawal() && held.in_doubt.is_none()
        });
        let parties: Vec<(Party, StatementNumber)> =
            withdrawals.filter_map(|((_, party), held)| Some((*party, held.record.withdrawn()?))).collect();
        let oldest = parties.iter().min_by_key(|(party, last)| (*last, *party)).copied();
        oldest.filter(|_| parties.len() > MOST_WITHDRAWALS)
    }
}

/// What can be read of statements; what cannot is nobody's.
fn claims(vouches: &[Vec<u8>]) -> Vec<Claimed> {
    vouches.iter().filter_map(|bytes| Claimed::parse(bytes).ok()).collect()
}

fn shown(pin: &Pin) -> Pinned {
    Pinned { devices: pin.devices() }
}

#[cfg(test)]
mod tests;
