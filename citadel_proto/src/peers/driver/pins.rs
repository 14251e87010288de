//! The pins of a client, in memory and in its store, and what its user has said on the way to them.

use super::super::pins::{Pin, PinError};
use super::super::statement::{DeviceStatement, PeerTrust, Standpoint, check_agreement};
use super::book::Pinned;
use super::pin_store::{PinKey, PinStore, PinStoreError};
use citadel_crypt::addr::PeerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex as AsyncMutex;

/// All pins.
pub(super) struct PinBook {
    store: Arc<dyn PinStore>,
    pins: Mutex<BTreeMap<PinKey, Pin>>,
    /// Held over a change and its writing: changes are kept in their order.
    writing: AsyncMutex<()>,
    /// Whom this end's user wants to be a peer of, with the peer id that was named.
    wanted: Mutex<BTreeMap<PinKey, Option<PeerId>>>,
}

impl PinBook {
    pub(super) async fn load(store: Arc<dyn PinStore>) -> Result<Self, PinStoreError> {
        let pins = Mutex::new(store.load().await?);
        Ok(Self { store, pins, writing: AsyncMutex::default(), wanted: Mutex::default() })
    }

    /// The user wants to be a peer of `party`, and perhaps says who that must be.
    pub(super) fn want(&self, key: PinKey, named: Option<PeerId>) {
        self.wanted.lock().insert(key, named);
    }

    /// Whether the user wants that, and who was named.
    pub(super) fn wanted(&self, key: PinKey) -> Option<Option<PeerId>> {
        self.wanted.lock().get(&key).copied()
    }

    /// Pins what the statements of two peers introduce, or finds it pinned; then takes in what the pinned devices say of others.
    pub(super) async fn pin(
        &self,
        at: &Standpoint,
        (mine, theirs): (&[u8], &[u8]),
        vouches: &[Vec<u8>],
    ) -> Result<Pinned, PinError> {
        let key = (at.server, at.other);
        let _in_order = self.writing.lock().await;
        let known = self.pins.lock().get(&key).cloned();
        let introduced = check_agreement(mine, theirs, at, self.wanted(key).flatten());
        let (mut pin, mut has_changed) = match (known, introduced) {
            (Some(mut pin), Ok(introduced)) => {
                let has_changed = pin.introduce(&introduced)?;
                (pin, has_changed)
            }
            (None, Ok(introduced)) => (Pin::new(&introduced), true),
            (_, Err(fault)) => return Err(fault.into()),
        };
        for said in vouches.iter().filter_map(|bytes| DeviceStatement::verify(bytes).ok()) {
            has_changed |= pin.hear(at.server, at.other, &said);
        }
        if has_changed {
            self.keep(key, Some(&pin)).await.map_err(|error| {
                log::error!(target: "citadel::peers", "{error}");
                PinError::NotKept
            })?;
        }
        Ok(shown(&pin))
    }

    /// Whether a device is one of a party's.
    pub(super) fn allows(&self, key: PinKey, device: PeerId) -> Result<PeerTrust, PinError> {
        self.pins.lock().get(&key).ok_or(PinError::Unknown)?.allows(device)
    }

    /// The user has compared codes; none if nothing is pinned.
    pub(super) async fn mark_verified(&self, key: PinKey) -> Result<Option<Pinned>, PinStoreError> {
        let _in_order = self.writing.lock().await;
        let Some(mut pin) = self.pins.lock().get(&key).cloned() else { return Ok(None) };
        if pin.verify() {
            self.keep(key, Some(&pin)).await?;
        }
        Ok(Some(shown(&pin)))
    }

    /// The user wants no peer there any more.
    pub(super) async fn remove(&self, key: PinKey) -> Result<(), PinStoreError> {
        let _in_order = self.writing.lock().await;
        self.wanted.lock().remove(&key);
        if self.pins.lock().contains_key(&key) { self.keep(key, None).await } else { Ok(()) }
    }

    /// First where it lasts, then where it is read.
    async fn keep(&self, key: PinKey, pin: Option<&Pin>) -> Result<(), PinStoreError> {
        self.store.put(key, pin.cloned()).await?;
        let mut pins = self.pins.lock();
        match pin {
            Some(pin) => pins.insert(key, pin.clone()),
            None => pins.remove(&key),
        };
        Ok(())
    }
}

fn shown(pin: &Pin) -> Pinned {
    Pinned { devices: pin.devices(), trust: pin.trust() }
}
