//! The standalone manager of one session's keys: any number of handles, one task that owns the rekey machine.
//!
//! It runs over any `Sink` and `Stream` of records (`record.rs`). Both ends may ask for a round at any time,
//! also at once; sending never waits for one. What a handle reads (versions, fingerprints, exported keys) comes
//! from a lock-free snapshot that is published before the round's finish is sent.
//!
//! Every wait here is on state and has a deadline (R-CORE-5): a round that was over before the wait began
//! resolves it at once.

use super::driver;
use super::end::{EndReason, RekeyError};
use super::manager_config::ManagerConfig;
use super::rekey::{Event, RekeyOutcome, RekeyStats, Version};
use super::shared::{Life, Shared};
use super::{ExportError, Exporter, HybridAgreement, Toolset};
use bytes::Bytes;
use futures::{Sink, TryStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Any error of a transport.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The keys that a session starts from: its window and the agreement that renews it.
pub type SessionKeys = (Toolset, HybridAgreement);

/// A handle on one session's keys. Clones are handles on the same manager.
///
/// When the last handle goes (messenger halves are handles too) without [`close`](Self::close), the session is
/// aborted: the peer is told on a best effort, nothing waits (R-SHUT-7).
#[derive(Clone)]
pub struct RatchetManager {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    deadline: Duration,
}

/// What a handle tells the driver. Rekeys are asked for through the board of waits instead.
pub(crate) enum Command {
    Withdraw(oneshot::Sender<Result<(), RekeyError>>),
    Halt,
    Close,
}

impl RatchetManager {
    /// Starts a manager over `sink` and `stream`. It carries no messages: a
    /// [`Messenger`](super::messenger::Messenger) does.
    ///
    /// Must be called inside a tokio runtime with time enabled; the one task runs on `config.tasks`.
    pub fn spawn<Si, St>(keys: SessionKeys, config: ManagerConfig, sink: Si, stream: St) -> Self
    where
        Si: Sink<Bytes> + Send + 'static,
        Si::Error: Into<BoxError>,
        St: TryStream<Ok = Bytes> + Send + 'static,
        St::Error: Into<BoxError>,
    {
        let manager = Self::start(keys, config, sink, stream);
        manager.shared().lane.without_halves();
        manager
    }

    pub(crate) fn start<Si, St>(keys: SessionKeys, config: ManagerConfig, sink: Si, stream: St) -> Self
    where
        Si: Sink<Bytes> + Send + 'static,
        Si::Error: Into<BoxError>,
        St: TryStream<Ok = Bytes> + Send + 'static,
        St::Error: Into<BoxError>,
    {
        let deadline = config.deadline;
        let (commands, receiver) = mpsc::channel(4);
        let shared = driver::spawn(keys, config, receiver, sink, stream);
        Self { handle: Arc::new(Handle { shared, commands, deadline }) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Asks for a version above the present one and waits for it. Calls that meet share one round and its
    /// outcome.
    ///
    /// # Cancel safety
    /// The wait is registered at the first poll, before anything is sent. Dropping the future ends the wait,
    /// never the round.
    ///
    /// # Errors
    /// [`RekeyError::TimedOut`] after the configured deadline: the round goes on. Otherwise why there will be no
    /// version: withdrawn or halted here, or the manager is over.
    pub async fn rekey(&self) -> Result<RekeyOutcome, RekeyError> {
        self.within_deadline(self.shared().completion.ask()).await
    }

    /// Asks for a version above the present one; with `wait` as [`rekey`](Self::rekey), else `None` at once.
    ///
    /// # Cancel safety
    /// As [`rekey`](Self::rekey).
    ///
    /// # Errors
    /// As [`rekey`](Self::rekey); without `wait` only that the manager is over.
    pub async fn trigger_rekey(&self, wait: bool) -> Result<Option<RekeyOutcome>, RekeyError> {
        if wait {
            return self.rekey().await.map(Some);
        }
        self.shared().completion.ask_only()?;
        Ok(None)
    }

    /// Waits until `version` is committed here, without asking for a round. Gives the oldest remembered round
    /// (the last W are) that led to it or beyond; version 0 counts as 1, no round leads to it.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    ///
    /// # Errors
    /// As [`rekey`](Self::rekey).
    pub async fn wait_for(&self, version: Version) -> Result<RekeyOutcome, RekeyError> {
        self.within_deadline(self.shared().completion.wait_for(version)).await
    }

    /// Takes back the own offer, as far as it is not committed; those who wait here for it get
    /// [`RekeyError::Withdrawn`]. The peer's own wish for a round is not touched.
    ///
    /// # Cancel safety
    /// Dropped before it was polled to an answer, the offer may or may not be withdrawn.
    ///
    /// # Errors
    /// [`RekeyError::NotWithdrawable`] without an own offer, or when it is committed already.
    pub async fn withdraw(&self) -> Result<(), RekeyError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Withdraw(answer)).await?;
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(self.ended().await.into()),
        }
    }

    /// Starts no round any more and waits until the one at hand is over. Messages and received keys go on.
    ///
    /// # Cancel safety
    /// Once polled, rounds halt whether or not the future is kept.
    ///
    /// # Errors
    /// [`RekeyError::TimedOut`] when the round at hand is not over by the deadline (no new one starts all the
    /// same), or that the manager is over.
    pub async fn halt(&self) -> Result<(), RekeyError> {
        self.command(Command::Halt).await?;
        let mut life = self.shared().life.subscribe();
        let halted =
            tokio::time::timeout(self.handle.deadline, life.wait_for(|life| !matches!(life, Life::Running)));
        match halted.await {
            Ok(Ok(life)) => match &*life {
                Life::Ended(reason) => Err(reason.clone().into()),
                Life::Running | Life::Halted => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(self.timed_out()),
        }
    }

    /// Ends the session in order: messages already taken go out (up to the flush deadline), then an
    /// authenticated close. Returns why the manager ended, which is another reason if it was over before.
    ///
    /// # Cancel safety
    /// Once polled, the manager closes whether or not the future is kept.
    pub async fn close(&self) -> EndReason {
        // A manager that takes no command is over already.
        let _over = self.command(Command::Close).await;
        self.ended().await
    }

    /// Why the manager ended, once its task is over.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) -> EndReason {
        self.ended().await
    }

    /// The latest committed version, as it changes.
    pub fn subscribe(&self) -> watch::Receiver<Version> {
        self.shared().versions.subscribe()
    }

    /// Milestones of rounds from now on.
    pub fn events(&self) -> Events {
        Events { receiver: self.shared().observer() }
    }

    /// Counters since the start.
    pub fn stats(&self) -> ManagerStats {
        self.shared().status().stats
    }

    /// The latest committed version.
    pub fn version(&self) -> Version {
        self.shared().snapshot.load().latest()
    }

    /// The earliest version whose records are still readable and whose keys can be exported.
    pub fn earliest(&self) -> Version {
        self.shared().snapshot.load().earliest()
    }

    /// Fingerprint of a live version's keys, the same on both ends; diagnostics only.
    pub fn fingerprint(&self, version: Version) -> Option<[u8; 16]> {
        self.shared().snapshot.load().at(version).map(Exporter::fingerprint)
    }

    /// Fills `out` with a key of version 0 for `label` and `context`: the same on both ends for the life of the
    /// session (R-CRY-10).
    ///
    /// # Errors
    /// [`ExportError::TooLong`] for more bytes than the construction gives.
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        self.shared().snapshot.load().first().export(label, context, out)
    }

    /// As [`export`](Self::export) for a renewed version.
    ///
    /// # Errors
    /// Also [`ExportError::OutsideWindow`].
    pub fn export_at(
        &self,
        version: Version,
        label: &str,
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        let window = self.shared().snapshot.load();
        let exporter = window.at(version).ok_or(ExportError::OutsideWindow(version))?;
        exporter.export(label, context, out)
    }

    /// The last committed rounds, oldest first, at most W.
    pub fn outcomes(&self) -> Vec<RekeyOutcome> {
        self.shared().completion.outcomes()
    }

    /// Calls that wait for a version now.
    pub fn waiting(&self) -> usize {
        self.shared().completion.waiting()
    }

    async fn within_deadline(
        &self,
        wait: super::completion::Wait<RekeyError>,
    ) -> Result<RekeyOutcome, RekeyError> {
        tokio::time::timeout(self.handle.deadline, wait).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> RekeyError {
        let phase = self.shared().status().phase;
        RekeyError::TimedOut { round: phase.round(), phase }
    }

    async fn command(&self, command: Command) -> Result<(), RekeyError> {
        match self.handle.commands.send(command).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended().await.into()),
        }
    }

    async fn ended(&self) -> EndReason {
        let mut life = self.shared().life.subscribe();
        match life.wait_for(|life| matches!(life, Life::Ended(_))).await.as_deref() {
            Ok(Life::Ended(reason)) => reason.clone(),
            // The sender lives in this handle, so the wait ends with what it waits for.
            Ok(Life::Running | Life::Halted) | Err(_) => EndReason::Abandoned,
        }
    }
}

/// What an observer sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// A milestone.
    Event(Event),
    /// The observer was too slow for this many.
    Missed(u64),
}

/// Milestones of rounds, bounded: a slow observer misses some and learns how many.
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next milestone; `None` when the manager is over.
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Observed> {
        match self.receiver.recv().await {
            Ok(event) => Some(Observed::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Observed::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Counters of one manager.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ManagerStats {
    /// The machine's.
    pub rekey: RekeyStats,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received and queued for the reader.
    pub messages_received: u64,
    /// Messages that nobody read, or that found the reader's queue full on an unordered path.
    pub messages_dropped: u64,
    /// Messages still queued when the manager closed.
    pub messages_unsent: u64,
    /// Items on an unordered path that were no record or did not open.
    pub records_refused: u64,
}
