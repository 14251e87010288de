//! How many handshakes of peers may be in flight: in all, and from one party (R-EST-3).

use super::super::Party;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// In all. 64: as many as there are lanes to one session.
const MOST: usize = 64;
/// From one party. 8: more devices than most have, each with an attempt.
const MOST_OF_ONE: usize = 8;

/// Places for handshakes.
#[derive(Clone, Default)]
pub(super) struct Doors {
    taken: Arc<Mutex<HashMap<Party, usize>>>,
}

/// A place, given up when this goes.
pub(super) struct Place {
    doors: Doors,
    party: Party,
}

impl Doors {
    /// A place for a handshake of `party`, if there is one.
    pub(super) fn enter(&self, party: Party) -> Option<Place> {
        let mut taken = self.taken.lock();
        let (all, of_one) = (taken.values().sum::<usize>(), taken.get(&party).copied().unwrap_or_default());
        if all >= MOST || of_one >= MOST_OF_ONE {
            return None;
        }
        *taken.entry(party).or_default() += 1;
        Some(Place { doors: self.clone(), party })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.doors.taken.lock();
        if let Some(count) = taken.get_mut(&self.party) {
            *count -= 1;
        }
        taken.retain(|_, count| *count > 0);
    }
}
