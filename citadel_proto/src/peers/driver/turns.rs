//! Turns: of those who want the same thing one has it at a time, in the order in which they came. Nobody waits for another thing.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The turns at many things. What nobody wants takes no memory.
pub(super) struct Turns<K: Eq + Hash + Copy> {
    queues: Mutex<HashMap<K, Queue>>,
}

impl<K: Eq + Hash + Copy> Default for Turns<K> {
    fn default() -> Self {
        Self { queues: Mutex::default() }
    }
}

#[derive(Default)]
struct Queue {
    turn: Arc<AsyncMutex<()>>,
    /// Who has it or waits for it.
    places: usize,
}

/// Somebody's turn; over when this goes.
pub(super) struct Turn<'a, K: Eq + Hash + Copy> {
    _turn: OwnedMutexGuard<()>,
    /// Given up after the turn.
    _place: Place<'a, K>,
}

/// Somebody's place in a queue.
struct Place<'a, K: Eq + Hash + Copy> {
    turns: &'a Turns<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> Turns<K> {
    /// Waits for the turn at `key`. Dropping the future gives the place up.
    pub(super) async fn take(&self, key: K) -> Turn<'_, K> {
        let (place, turn) = self.enter(key);
        Turn { _turn: turn.lock_owned().await, _place: place }
    }

    fn enter(&self, key: K) -> (Place<'_, K>, Arc<AsyncMutex<()>>) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(key).or_default();
        queue.places += 1;
        (Place { turns: self, key }, Arc::clone(&queue.turn))
    }
}

impl<K: Eq + Hash + Copy> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.turns.queues.lock();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.places -= 1;
            if queue.places == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Who has a turn, and what is left.

    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn turns_at_one_thing_come_in_order_and_leave_nothing() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let other = turns.take(2).now_or_never();
        assert!(other.is_some(), "another thing");
        let (mut second, mut dropped, mut third) =
            (turns.take(1).boxed_local(), turns.take(1).boxed_local(), turns.take(1).boxed_local());
        for waits in [&mut second, &mut dropped, &mut third] {
            assert!(waits.now_or_never().is_none());
        }
        drop(dropped);
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "it came later");
        drop(second.await);
        drop((third.await, other));
        assert!(turns.queues.lock().is_empty());
    }
}
