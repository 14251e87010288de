//! One sender, many receivers, each over a session with it from end to end.
//!
//! Owns: a queue for each receiver, what happens when it is full, and the account of what each was sent. Never: what carries
//! the messages, which is channel 0 of a session with each; receivers run any kernel of peers.

mod hall;
mod report;

pub use report::{BroadcastReport, ReceiverReport, ReceiverState};

use self::hall::{Bounds, Hall, Next};
use super::super::{Callback, boxed};
use super::link;
use super::meet::{PeerConnection, Purpose, meet};
use super::peers::{Peers, Wanted};
use crate::kernel::{KernelResult, NetKernel};
use crate::node::NodeRemote;
use crate::server_connection::ServerConnection;
use async_trait::async_trait;
use bytes::Bytes;
use citadel_proto::driver::{Channel, Session};
use citadel_proto::peers::PeerClient;
use citadel_proto::{CloseReason, SendError};
use core::fmt;
use core::time::Duration;
use futures::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// What happens when a receiver is slower than the sender, once its queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BackPressure {
    /// The sender waits for it, and so does everybody else. Nothing is dropped.
    Wait,
    /// The oldest message that waits for it is dropped. Nobody waits; it gets the newest ones, in their order.
    DropOldest,
    /// Its session closes, with [`BroadcastKernel::TOO_SLOW`]. Nobody waits; what its session had taken is delivered.
    DisconnectSlowest,
}

/// Connects to a server, registers with receivers as they come, and runs one callback that sends to all that are there. A
/// receiver runs a [`PeerConnectionKernel`](super::PeerConnectionKernel), say, and reads channel 0.
///
/// Each receiver has a queue of its own, bounded in messages and bytes; bytes of one message are shared by all queues.
/// A receiver that comes late gets what is sent from then on. One that is gone is out: its session is not made again.
///
/// When the callback has returned, queues empty, sessions close in order, and the node ends. Receivers that stall then are
/// waited for if their policy says so, and else for the time to [linger](Self::linger). What became of each receiver is no
/// error of the node: [`report`](Self::report) says it, of the kernel that the node gives back.
pub struct BroadcastKernel {
    server: ServerConnection,
    receivers: Vec<(Peers, BackPressure)>,
    patience: Duration,
    linger: Duration,
    bounds: Bounds,
    callback: Callback<Broadcast>,
    hall: Arc<Hall>,
}

/// The sender's hand, for the callback of a [`BroadcastKernel`]. Clones are the same.
#[derive(Clone)]
pub struct Broadcast {
    hall: Arc<Hall>,
    peers: PeerClient,
    patience: Duration,
}

/// The broadcast is over: its callback has returned, or the node is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the broadcast is over")]
pub struct BroadcastOver;

impl BroadcastKernel {
    /// The code that a receiver's session is closed with because it was too slow.
    pub const TOO_SLOW: u32 = u32::MAX - 1;

    /// Connects to `server` and runs `callback` with a hand that sends to `receivers`.
    pub fn new<F, Fut>(server: ServerConnection, receivers: Peers, policy: BackPressure, callback: F) -> Self
    where
        F: Fn(Broadcast) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        let bounds = Bounds { messages: 64, bytes: 1 << 20 };
        Self {
            server,
            receivers: vec![(receivers, policy)],
            patience: Duration::from_secs(60),
            linger: Duration::from_secs(10),
            bounds,
            callback: boxed(callback),
            hall: Arc::new(Hall::new(bounds)),
        }
    }

    /// The simple form: waits until all of `receivers` are there, those that come within the kernel's patience, and sends
    /// `messages`.
    pub fn of<M>(server: ServerConnection, receivers: Peers, policy: BackPressure, messages: M) -> Self
    where
        M: IntoIterator<Item: Into<Bytes>, IntoIter: Send + 'static>,
    {
        let messages = Arc::new(Mutex::new(Some(messages.into_iter())));
        Self::new(server, receivers, policy, move |broadcast: Broadcast| {
            let mut messages = messages.lock().take();
            let mut next = move || -> Option<Bytes> { messages.as_mut()?.next().map(Into::into) };
            async move {
                broadcast.joined(usize::MAX).await;
                while let Some(message) = next() {
                    broadcast.send(message).await?;
                }
                Ok(())
            }
        })
    }

    /// These receivers as well, with a policy of their own. Who was named before keeps the one that it had.
    #[must_use]
    pub fn and(mut self, receivers: Peers, policy: BackPressure) -> Self {
        self.receivers.push((receivers, policy));
        self
    }

    /// Most that waits for one receiver: so many messages, and so many bytes in them; a longer message waits alone. 64
    /// messages and 1 MiB; at least one message.
    #[must_use]
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.bounds = Bounds { messages: messages.max(1), bytes };
        self.hall = Arc::new(Hall::new(self.bounds));
        self
    }

    /// How long [`Broadcast::joined`] waits. 60 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long receivers that are not to be waited for have after the callback to take what is in their queues. 10 s.
    #[must_use]
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// What each receiver was sent so far.
    pub fn report(&self) -> BroadcastReport {
        self.hall.report()
    }

    /// Whom it sends to, each once.
    fn wanted(&self) -> Vec<(&Wanted, BackPressure)> {
        let mut all: Vec<(&Wanted, BackPressure)> = Vec::new();
        let named = self.receivers.iter().flat_map(|(peers, policy)| peers.list().map(|one| (one, *policy)));
        for (wanted, policy) in named {
            if !all.iter().any(|(known, _)| *known == wanted) {
                all.push((wanted, policy));
            }
        }
        all
    }

    async fn broadcast(&self, node: &NodeRemote, peers: &PeerClient) -> KernelResult {
        let (hall, wanted) = (&self.hall, self.wanted());
        hall.open(wanted.iter().map(|(wanted, policy)| (wanted.to_string(), *policy)));
        let receivers = wanted.iter().enumerate();
        let receivers = receivers.map(|(at, (wanted, _))| receive(hall, node, peers, wanted, at));
        let receivers = join_all(receivers);
        let lingering = async {
            hall.ending().await;
            let _passed = link::within(self.linger, core::future::pending::<()>()).await;
            hall.cut();
            core::future::pending::<()>().await;
        };
        let received = async {
            tokio::select! {
                biased;
                _ = receivers => {}
                () = lingering => {}
            }
        };
        let work = async {
            let given = Broadcast { hall: Arc::clone(hall), peers: peers.clone(), patience: self.patience };
            let work = (self.callback)(given);
            tokio::pin!(work);
            // It runs to its own end, also when no receiver is left or the node is to end (R-SHUT-3).
            let result = match link::unless_stopping(node, &mut work).await {
                Some(result) => result,
                None => {
                    hall.end();
                    work.await
                }
            };
            hall.end();
            // Whoever ended the node wanted no more of it.
            if node.is_stopping() { Ok(()) } else { result }
        };
        let (result, ()) = futures::future::join(work, received).await;
        result
    }
}

/// One receiver: waits for it as long as the broadcast lasts, then feeds it.
async fn receive(hall: &Arc<Hall>, node: &NodeRemote, peers: &PeerClient, wanted: &Wanted, at: usize) {
    let met = tokio::select! {
        biased;
        () = hall.ending() => return,
        met = meet(peers, wanted, Purpose::Send) => met,
    };
    match met {
        Ok(PeerConnection { session, channel, .. }) => {
            let news = hall.join(at);
            let feeding = feed(Arc::clone(hall), at, session.clone(), channel, news);
            let end = node.handle(session, feeding).await;
            hall.close(at, &end.report);
        }
        Err(failure) => {
            log::info!(target: "citadel::node", "{wanted}: {failure}");
            hall.leave(at, ReceiverState::NotMet(Arc::new(failure)));
        }
    }
}

/// Sends a receiver what waits for it, until the end.
async fn feed(
    hall: Arc<Hall>,
    at: usize,
    session: Session,
    mut channel: Channel,
    news: Arc<Notify>,
) -> KernelResult {
    loop {
        match hall.next(at) {
            Next::Send(message) => match hand_over(&hall, at, &mut channel, message, &news).await {
                Ok(()) => {}
                Err(SendError::Stopped { code }) => {
                    hall.leave(at, ReceiverState::Stopped(code));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            },
            Next::Wait => tokio::select! {
                biased;
                () = news.notified() => {}
                report = session.closed() => return Err(report.reason().to_string().into()),
            },
            Next::End => {
                hall.leave(at, ReceiverState::Done);
                return Ok(());
            }
            Next::Disconnect => {
                // Before the handler's end: what is on its way arrives, and is not taken for all there was.
                session.begin_shutdown(CloseReason::application(BroadcastKernel::TOO_SLOW, "too slow"));
                return Ok(());
            }
        }
    }
}

/// Has the session take a message, unless the receiver is not waited for any more.
async fn hand_over(
    hall: &Hall,
    at: usize,
    channel: &mut Channel,
    message: Bytes,
    news: &Notify,
) -> Result<(), SendError> {
    let sending = channel.send(message);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => {
                match &sent {
                    Ok(()) => hall.sent(at),
                    Err(_) => hall.drop_one(at),
                }
                return match sent {
                    // This one alone cannot be sent to it.
                    Err(SendError::TooLong { .. }) => Ok(()),
                    sent => sent,
                };
            }
            () = news.notified() => {
                if hall.is_cut(at) {
                    hall.drop_one(at);
                    return Ok(());
                }
            }
        }
    }
}

impl Broadcast {
    /// Sends `message` to every receiver that is there; says how many that are. It has its place in each one's order then, and
    /// those that are too slow have lost one for it, as their policy says. Waits for room where the policy is
    /// [`Wait`](BackPressure::Wait).
    ///
    /// # Errors
    /// [`BroadcastOver`].
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has sent nothing, to nobody.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<usize, BroadcastOver> {
        self.hall.send(message.into()).await.map_err(|_| BroadcastOver)
    }

    /// Waits until `count` receivers are there, or all that are to come, or the kernel's patience is over; says how many are.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn joined(&self, count: usize) -> usize {
        link::within(self.patience, self.hall.joined(count)).await.unwrap_or_else(|| self.hall.here())
    }

    /// How many are there.
    pub fn receivers(&self) -> usize {
        self.hall.here()
    }

    /// What each receiver was sent so far.
    pub fn report(&self) -> BroadcastReport {
        self.hall.report()
    }

    /// The peers of this node.
    pub const fn peers(&self) -> &PeerClient {
        &self.peers
    }
}

#[async_trait]
impl NetKernel for BroadcastKernel {
    async fn on_start(&self, _node: &NodeRemote) -> KernelResult {
        self.server.check()?;
        Ok(self.receivers.iter().try_for_each(|(peers, _)| peers.check())?)
    }

    async fn run(&self, node: NodeRemote) -> KernelResult {
        let node = &node;
        let work = |peers: PeerClient| async move { self.broadcast(node, &peers).await };
        link::beside_server(&self.server, node, work).await
    }
}

impl fmt::Debug for BroadcastKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastKernel")
            .field("server", &self.server)
            .field("receivers", &self.receivers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broadcast({} receivers)", self.receivers())
    }
}
