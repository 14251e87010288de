//! The task of one session with a peer: seeks a direct path while a lane carries it, and ends what outlived the server for too long.

use super::super::client::Inner;
use super::attempt::{self, Line, Of, until};
use super::exchange::{self, NoAttempt};
use super::gather::interfaces;
use super::{BUSY, DIRECT, DirectConfig, Means, NOT_SERVED};
use crate::channel::SERVICE_PREFIX;
use crate::driver::{Channel, ServiceChannels, Session, SessionEvent, SessionEvents};
use crate::peers::Party;
use crate::peers::direct::{ProbeResult, Pursuit, PursuitInput, PursuitOutput, Standing};
use crate::shutdown::CloseReason;
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::Side;
use core::time::Duration;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;

/// How an attempt ended, and its number.
type Ended = (u32, Result<(), NoAttempt>);

/// Starts the task; it ends with the session and does not keep it open.
pub(in super::super) fn start(inner: &Arc<Inner>, session: &Session, party: Party) {
    let of = Of {
        session: session.downgrade(),
        instance: session.instance(),
        side: session.side(),
        device: session.peer_id(),
        party,
    };
    // A session that cannot change its path stays on its lane.
    let config = inner.direct.config().cloned().filter(|_| session.is_resumable());
    let is_asking = config.as_ref().filter(|_| of.side == Side::Initiator);
    let seeker = Seeker {
        inner: Arc::clone(inner),
        pursuit: is_asking.map(|config| Pursuit::new(inner.hub.now(), config.pauses)),
        config,
        of,
        standing: Standing::Relayed,
        answered: 0,
        asked_at: None,
        attempt: None,
        renewal: None,
        addresses: None,
        look_at: None,
        lonely_since: None,
    };
    inner.tasks.spawn(seeker.run(session.events(), ServiceChannels::of(session)));
}

struct Seeker {
    inner: Arc<Inner>,
    /// None where direct paths are off.
    config: Option<DirectConfig>,
    of: Of,
    /// Of the initiator.
    pursuit: Option<Pursuit>,
    standing: Standing,
    /// The last attempt that the responder took part in.
    answered: u32,
    /// When the responder last took part in one.
    asked_at: Option<Timestamp>,
    attempt: Option<BoxFuture<'static, Ended>>,
    /// What the peer is being heard to ask, or asked.
    renewal: Option<BoxFuture<'static, bool>>,
    /// Those of the machine when it was last looked at.
    addresses: Option<Vec<IpAddr>>,
    look_at: Option<Timestamp>,
    /// When the server was lost, while it is.
    lonely_since: Option<Timestamp>,
}

impl Seeker {
    async fn run(mut self, mut events: SessionEvents, mut channels: ServiceChannels) {
        let mut changes = self.inner.direct.changes.subscribe();
        let mut networks = changes.borrow_and_update().networks;
        let mut uplink = self.inner.uplink.subscribe();
        let mut takes_channels = true;
        self.stand();
        loop {
            self.note_server(uplink.borrow_and_update().is_some());
            self.begin();
            let inner = Arc::clone(&self.inner);
            let (look_at, alone_until) = (self.look_at, self.alone_until());
            let due = self.pursuit.as_ref().and_then(Pursuit::poll_timeout).filter(|_| self.config.is_some());
            tokio::select! {
                biased;
                event = events.next() => match event {
                    None | Some(SessionEvent::Closed(_)) => return,
                    Some(SessionEvent::Closing(_)) => return self.see_through(events).await,
                    Some(_) => self.stand(),
                },
                ended = or_never(&mut self.attempt) => self.on_ended(ended),
                is_asked = or_never(&mut self.renewal) => {
                    self.renewal = None;
                    if is_asked {
                        self.pursue(PursuitInput::Changed);
                    }
                }
                channel = channels.next(), if takes_channels => match channel {
                    Some(channel) => self.on_channel(channel),
                    None => takes_channels = false,
                },
                // The senders live in the client, which this task holds.
                _ = changes.changed() => {
                    let now = *changes.borrow_and_update();
                    let has_left = core::mem::replace(&mut networks, now.networks) != now.networks;
                    if has_left {
                        self.leave();
                    }
                    self.on_changed();
                }
                _ = uplink.changed() => {}
                () = until(&inner, due) => self.pursue(PursuitInput::Timeout),
                () = until(&inner, look_at) => self.look(),
                () = until(&inner, alone_until) => self.part(),
            }
        }
    }

    /// The session begins to close. A move that the peer may have made already is made here as well, or this end waits on the
    /// path that the peer has left; none is begun any more.
    async fn see_through(mut self, mut events: SessionEvents) {
        let Some(attempt) = &mut self.attempt else { return };
        let is_over = async { while !matches!(events.next().await, None | Some(SessionEvent::Closed(_))) {} };
        tokio::select! {
            biased;
            () = is_over => {}
            _ = attempt => {}
        }
    }

    fn now(&self) -> Timestamp {
        self.inner.hub.now()
    }

    fn pursue(&mut self, input: PursuitInput) {
        let now = self.now();
        if let Some(pursuit) = &mut self.pursuit {
            pursuit.handle(now, input);
        }
    }

    /// Looks at what carries the session now.
    fn stand(&mut self) {
        let Some(session) = self.of.session.upgrade() else { return };
        self.standing = match session.path_kind() {
            _ if !session.has_path() => Standing::Nothing,
            kind if kind.is_direct() => Standing::Direct,
            _ => Standing::Relayed,
        };
        drop(session);
        self.pursue(PursuitInput::Path(self.standing));
        let config = self.config.as_ref().filter(|_| self.standing == Standing::Relayed);
        let look = config.map(|config| config.look);
        self.look_at = look.map(|look| self.look_at.unwrap_or(self.now() + look));
    }

    /// Makes the attempt that is due.
    fn begin(&mut self) {
        let Some(config) = self.config.clone() else { return };
        if let Some(PursuitOutput::Begin(attempt)) = self.pursuit.as_mut().and_then(Pursuit::poll_output) {
            self.addresses = Some(interfaces(&self.inner, &config));
            let (inner, of) = (Arc::clone(&self.inner), self.of.clone());
            self.attempt = Some(async move { (attempt, make(inner, of, attempt).await) }.boxed());
        }
    }

    fn on_ended(&mut self, (attempt, result): Ended) {
        self.attempt = None;
        self.answered = self.answered.max(attempt);
        match result {
            Ok(()) => log::debug!(target: "citadel::direct", "{}: attempt {attempt} is over", self.of.party),
            Err(why) => {
                log::debug!(target: "citadel::direct", "{}: attempt {attempt}: {why:?}", self.of.party);
            }
        }
        if result == Err(NoAttempt::Unwanted) {
            // It stays so for the life of the session: configurations do not change in it.
            (self.pursuit, self.config) = (None, None);
            return self.stand();
        }
        self.stand();
        if self.standing != Standing::Direct {
            self.pursue(PursuitInput::Failed(attempt));
            self.pursue(PursuitInput::Path(self.standing));
        }
    }

    /// The peer opened a service channel.
    fn on_channel(&mut self, channel: Channel) {
        let Some(config) = self.config.clone().filter(|_| is_ours(&channel)) else {
            return channel.reset(NOT_SERVED);
        };
        match self.of.side {
            Side::Initiator => self.renewal = Some(exchange::is_renewal(channel, config).boxed()),
            Side::Responder if self.is_early() => channel.reset(BUSY),
            Side::Responder => {
                self.asked_at = Some(self.now());
                self.addresses = Some(interfaces(&self.inner, &config));
                let (inner, of, after) = (Arc::clone(&self.inner), self.of.clone(), self.answered);
                // One before this one is over: the initiator makes one at a time.
                self.attempt = Some(take_part(inner, config, of, channel, after).boxed());
            }
        }
    }

    /// Whether the last attempt of a responder was a moment ago.
    fn is_early(&self) -> bool {
        // A little less than the initiator's shortest pause.
        let patience = self.config.as_ref().map_or(Duration::ZERO, |config| config.pauses.0 * 4 / 5);
        self.asked_at.is_some_and(|at| self.now().since(at) < patience)
    }

    /// The network is another one: a direct path that went over it is of no use.
    fn leave(&mut self) {
        if let Some(session) = self.of.session.upgrade() {
            session.leave_direct_path();
        }
        self.stand();
    }

    /// The network is another one, or may be.
    fn on_changed(&mut self) {
        if self.config.is_none() {
            return;
        }
        match self.of.side {
            Side::Initiator => self.pursue(PursuitInput::Changed),
            Side::Responder if self.standing == Standing::Relayed && !self.is_early() => {
                self.asked_at = None;
                if let (None, Some(session)) = (&self.renewal, self.of.session.upgrade()) {
                    self.renewal = Some(exchange::renew(session).map(|()| false).boxed());
                }
            }
            Side::Responder => {}
        }
    }

    /// Compares the machine's addresses with those of before.
    fn look(&mut self) {
        self.look_at = None;
        if let Some(config) = &self.config {
            let addresses = interfaces(&self.inner, config);
            let has_changed = self.addresses.as_ref().is_some_and(|before| *before != addresses);
            self.addresses = Some(addresses);
            if has_changed {
                self.on_changed();
            }
        }
        self.stand();
    }

    /// Whether there is a session with the server now.
    fn note_server(&mut self, is_there: bool) {
        self.lonely_since = match self.lonely_since {
            _ if is_there => None,
            None => Some(self.now()),
            since => since,
        };
    }

    /// Until when the session may go on without the server (R-P2P-5).
    fn alone_until(&self) -> Option<Timestamp> {
        let since = self.lonely_since.filter(|_| self.standing == Standing::Direct)?;
        Some(since + self.inner.config.outlive_server)
    }

    fn part(&mut self) {
        // Its end is the next event.
        self.standing = Standing::Nothing;
        if let Some(session) = self.of.session.upgrade() {
            log::debug!(target: "citadel::direct", "{}: without a server for too long", self.of.party);
            session.begin_shutdown(CloseReason::GoingAway);
        }
    }
}

fn is_ours(channel: &Channel) -> bool {
    channel.name().strip_prefix(SERVICE_PREFIX) == Some(DIRECT.as_bytes())
}

/// Notes when a session with the server gets another path; ends with it.
pub(in super::super) async fn follow(inner: Arc<Inner>, mut events: SessionEvents) {
    inner.direct.on_server_path();
    while let Some(event) = events.next().await {
        if matches!(event, SessionEvent::Attached { .. }) {
            inner.direct.on_server_path();
        }
    }
}

async fn or_never<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => core::future::pending().await,
    }
}

/// The initiator's attempt.
async fn make(inner: Arc<Inner>, of: Of, attempt: u32) -> Result<(), NoAttempt> {
    let means = means(&inner)?;
    let session = of.session.upgrade().ok_or(NoAttempt::Failed)?;
    let keys = exchange::keys(&session, attempt).ok_or(NoAttempt::Failed)?;
    // Before the peer is told where to send to.
    let line = Line::open(&inner, keys);
    let candidates = exchange::ask(&inner, &means, session, attempt).await?;
    match attempt::run(line, &means, &of, &candidates).await {
        ProbeResult::Direct => Ok(()),
        ProbeResult::Nothing => Err(NoAttempt::Failed),
    }
}

/// The responder's.
async fn take_part(inner: Arc<Inner>, config: DirectConfig, of: Of, channel: Channel, after: u32) -> Ended {
    let (attempt, channel) = match exchange::begun(channel, &config, after).await {
        Ok(begun) => begun,
        Err(why) => return (after, Err(why)),
    };
    let taken = async {
        let means = means(&inner)?;
        let keys = of.session.upgrade().and_then(|session| exchange::keys(&session, attempt));
        let line = Line::open(&inner, keys.ok_or(NoAttempt::Failed)?);
        let candidates = exchange::answer(&inner, &means, channel, attempt).await?;
        attempt::run(line, &means, &of, &candidates).await;
        Ok(())
    };
    (attempt, taken.await)
}

fn means(inner: &Arc<Inner>) -> Result<Means, NoAttempt> {
    inner.direct.means(inner).map_err(|error| {
        log::debug!(target: "citadel::direct", "no socket: {error}");
        NoAttempt::Failed
    })
}
