//! Which versions stay readable: the rule at a commit, drains, eviction.

use super::{KeyAgreement, Output, RekeyMachine, Timestamp, Version};

/// Receive keys below `stays` go at `until`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) stays: Version,
    pub(super) until: Timestamp,
}

impl<P: KeyAgreement> RekeyMachine<P> {
    /// The record that names a version by its 8 low bits was sealed under this one; none if no version with
    /// live receive keys has them. Exactly one can: the window is far shorter than 256.
    pub fn resolve(&self, low_bits: u8) -> Option<Version> {
        let top = self.candidate_version().unwrap_or(self.latest.get());
        (self.earliest.get().0..=top.0).map(Version).find(|v| v.low_bits() == low_bits)
    }

    /// Earliest version after the commit of `version`, by the window alone.
    pub(super) fn earliest_after(&self, version: Version) -> Version {
        let window = u64::from(self.config.window.clamp(2, 16));
        self.earliest.get().max(Version((version.0 + 1).saturating_sub(window)))
    }

    /// The first record under `version` opened: the keys before it go after a drain.
    pub(super) fn start_drain(&mut self, version: Version) {
        let until = self.now + self.rtt.drain(&self.config.timing);
        self.drains.push(Drain { stays: version, until });
    }

    /// Ends every drain that is due.
    pub(super) fn evict_drained(&mut self) {
        let now = self.now;
        let due = self.drains.iter().filter(|d| d.until <= now).map(|d| d.stays).max();
        if let Some(earliest) = due
            && self.earliest.raise(earliest)
        {
            self.outputs.push_back(Output::Evict { earliest });
        }
        self.forget_passed_drains();
    }

    /// Drops drains that would evict nothing any more.
    pub(super) fn forget_passed_drains(&mut self) {
        let earliest = self.earliest.get();
        self.drains.retain(|d| d.stays > earliest);
    }
}
