//! What the handles of one manager and its driver share: published facts, and the two queues of the lane.
//!
//! The driver writes in one order at a commit: keys, watched version, waiters. Locks here are held for a few
//! instructions and never over an await.

use super::Exporter;
use super::completion::Completion;
use super::end::{EndReason, RekeyError};
use super::messenger::lane::Lane;
use super::ratchet_manager::ManagerStats;
use super::rekey::{Event, Phase, RekeyOutcome, Version};
use super::snapshot::Snapshot;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Events kept for an observer that does not look.
const EVENTS: usize = 64;

/// How far the manager is.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    Running,
    /// No round starts any more.
    Halted,
    /// The driver's task is over.
    Ended(EndReason),
}

/// Where the round at hand stands, and the counters.
#[derive(Clone, Copy)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    pub(crate) stats: ManagerStats,
}

enum Observers {
    None,
    Some(broadcast::Sender<Event>),
    Over,
}

/// Shared state of one manager.
pub(crate) struct Shared {
    pub(crate) completion: Arc<Completion<RekeyError>>,
    pub(crate) snapshot: Snapshot<Exporter>,
    pub(crate) versions: watch::Sender<Version>,
    pub(crate) life: watch::Sender<Life>,
    pub(crate) lane: Lane,
    /// Calls the driver to the lane.
    pub(crate) bell: Arc<AtomicWaker>,
    status: Mutex<Status>,
    observers: Mutex<Observers>,
}

impl Shared {
    pub(crate) fn new(
        first: Arc<Exporter>,
        remembered: usize,
        send_queue: u32,
        receive_window: u32,
    ) -> Arc<Self> {
        let bell = Arc::new(AtomicWaker::new());
        Arc::new(Self {
            completion: Arc::new(Completion::new(remembered)),
            snapshot: Snapshot::new(first),
            versions: watch::Sender::new(Version(0)),
            life: watch::Sender::new(Life::Running),
            lane: Lane::new(send_queue, receive_window, Arc::clone(&bell)),
            bell,
            status: Mutex::new(Status { phase: Phase::Idle { held: None }, stats: ManagerStats::default() }),
            observers: Mutex::new(Observers::None),
        })
    }

    /// A version was committed: keys first, then those who watch, then those who wait.
    pub(crate) fn commit(&self, outcome: RekeyOutcome, entry: Arc<Exporter>, earliest: Version) {
        self.snapshot.publish(entry, earliest);
        self.versions.send_replace(outcome.version);
        self.completion.commit(outcome);
    }

    /// Tells observers, if there are any.
    pub(crate) fn observe(&self, event: Event) {
        if let Observers::Some(sender) = &*self.observers.lock() {
            // No receiver is left: nobody observes.
            let _nobody = sender.send(event);
        }
    }

    /// A new observer; the channel is made for the first one.
    pub(crate) fn observer(&self) -> broadcast::Receiver<Event> {
        let mut observers = self.observers.lock();
        match &*observers {
            Observers::Some(sender) => sender.subscribe(),
            Observers::None => {
                let (sender, receiver) = broadcast::channel(EVENTS);
                *observers = Observers::Some(sender);
                receiver
            }
            Observers::Over => broadcast::channel(1).1,
        }
    }

    pub(crate) fn status(&self) -> Status {
        *self.status.lock()
    }

    pub(crate) fn set_status(&self, status: Status) {
        *self.status.lock() = status;
    }

    /// Everyone who waits or calls from now on learns the reason; the task itself may still have a word to send.
    pub(crate) fn end(&self, reason: &EndReason) {
        self.lane.end(reason);
        self.completion.end(&RekeyError::Ended(reason.clone()));
        *self.observers.lock() = Observers::Over;
    }
}
