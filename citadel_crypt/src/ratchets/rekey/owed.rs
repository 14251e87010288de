//! The driver's outbox: rekey messages that are not sealed yet.

use super::{KeyAgreement, Message, Version};
use std::collections::VecDeque;

/// Unsent messages in the order of the machine's outputs, at most one of each kind: it never holds more than six.
///
/// A driver pushes each [`Output::Send`](super::Output::Send), pops when its writer is ready, before any data,
/// and calls [`drop_stale`](Self::drop_stale) at each [`Output::Committed`](super::Output::Committed).
#[derive(Debug)]
pub struct Owed<P: KeyAgreement> {
    queue: VecDeque<(Version, Message<P>)>,
}

impl<P: KeyAgreement> Owed<P> {
    /// Owes nothing.
    pub const fn new() -> Self {
        Self { queue: VecDeque::new() }
    }

    /// Owes `message`, to be sealed under `under`. It takes the place of an unsent one of the same kind and
    /// round; one of the same kind and another round is dropped and the new one goes to the end.
    pub fn push(&mut self, under: Version, message: Message<P>) {
        let same_kind = self.queue.iter().position(|(_, m)| m.kind() == message.kind());
        match same_kind.and_then(|i| self.queue.get_mut(i)) {
            Some(slot) if slot.1.header.round == message.header.round => *slot = (under, message),
            _ => {
                self.queue.retain(|(_, m)| m.kind() != message.kind());
                self.queue.push_back((under, message));
            }
        }
    }

    /// The next message to seal and the version to seal it under.
    pub fn pop(&mut self) -> Option<(Version, Message<P>)> {
        self.queue.pop_front()
    }

    /// Drops what was owed under a version before `latest`: its send keys are gone, and whoever still needs
    /// such a message asks for it again.
    pub fn drop_stale(&mut self, latest: Version) {
        self.queue.retain(|(under, _)| *under >= latest);
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Number of messages owed.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}

impl<P: KeyAgreement> Default for Owed<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: KeyAgreement> Clone for Owed<P> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}
