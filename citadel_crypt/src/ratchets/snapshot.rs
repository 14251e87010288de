//! What every handle may read about the live versions without a lock: published by the driver, before the
//! finish of a round is sent and before any waiter of that round is told.
//!
//! One writer (the driver's task), any number of readers. A reader keeps alive what it loaded until it lets
//! go of it; nothing it does can hold up the writer.

use super::rekey::Version;
use super::sync::{Arc, ArcSwap};

/// The window of one moment: an entry for each live version, and version 0's for ever.
pub(crate) struct Window<K> {
    latest: Version,
    earliest: Version,
    first: Arc<K>,
    /// Entries of `earliest ..= latest`, in order.
    live: Vec<Arc<K>>,
}

impl<K> Window<K> {
    /// Latest committed version.
    pub(crate) fn latest(&self) -> Version {
        self.latest
    }

    /// Earliest version with live receive keys.
    pub(crate) fn earliest(&self) -> Version {
        self.earliest
    }

    /// The entry of version 0.
    pub(crate) fn first(&self) -> &K {
        &self.first
    }

    /// The entry of `version` if it is in the window.
    pub(crate) fn at(&self, version: Version) -> Option<&K> {
        let index = version.0.checked_sub(self.earliest.0)?;
        self.live.get(usize::try_from(index).ok()?).map(Arc::as_ref)
    }
}

/// The current [`Window`].
pub(crate) struct Snapshot<K> {
    current: ArcSwap<Window<K>>,
}

impl<K> Snapshot<K> {
    /// The window of a new session: version 0 alone.
    pub(crate) fn new(first: Arc<K>) -> Self {
        let live = vec![Arc::clone(&first)];
        let window = Window { latest: Version(0), earliest: Version(0), first, live };
        Self { current: ArcSwap::new(Arc::new(window)) }
    }

    /// The window as it stands.
    pub(crate) fn load(&self) -> Arc<Window<K>> {
        self.current.load_full()
    }

    /// Publishes the entry of the version after the latest; versions below `earliest` leave.
    pub(crate) fn publish(&self, entry: Arc<K>, earliest: Version) {
        let now = self.load();
        let mut live = now.kept(earliest);
        live.push(entry);
        self.store(&now, now.latest.next(), earliest, live);
    }

    /// Versions below `earliest` leave.
    pub(crate) fn evict(&self, earliest: Version) {
        let now = self.load();
        let live = now.kept(earliest);
        self.store(&now, now.latest, earliest, live);
    }

    fn store(&self, now: &Window<K>, latest: Version, earliest: Version, live: Vec<Arc<K>>) {
        let earliest = now.earliest.max(earliest).min(latest);
        let first = Arc::clone(&now.first);
        self.current.store(Arc::new(Window { latest, earliest, first, live }));
    }
}

impl<K> Window<K> {
    fn kept(&self, earliest: Version) -> Vec<Arc<K>> {
        let gone = usize::try_from(earliest.0.saturating_sub(self.earliest.0)).unwrap_or(usize::MAX);
        let mut live = Vec::with_capacity(self.live.len() + 1);
        live.extend(self.live.iter().skip(gone).cloned());
        live
    }
}
