//! Streams on their way to become sessions.

use super::admission::{Admission, AdmissionPermit};
use super::establish::EstablishError;
use super::hub::Hub;
use super::identified::Identified;
use super::session::Session;
use super::transport::{Arrived, BoxedIo, Listener};
use crate::session::SessionConfig;
use arc_swap::ArcSwap;
use citadel_crypt::handshake::ServerConfig;
use core::fmt;
use core::time::Duration;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// First and longest pause after an error of `accept` that concerns this end (no file descriptors left, say).
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Takes streams from one or more listeners, within the caps on handshakes in flight.
pub struct Acceptor {
    hub: Hub,
    slots: Vec<Slot>,
    locals: Vec<SocketAddr>,
    config: ArcSwap<Answer>,
    admission: Admission,
}

/// How streams are answered; exchanged as a whole.
struct Answer {
    config: Arc<ServerConfig>,
    session: SessionConfig,
}

/// A listener. Whoever waits in `accept` holds it: an async lock of tokio's, made to be held over an await.
struct Slot {
    listener: Mutex<Backed>,
    local: SocketAddr,
}

/// A listener and its back-off, which outlives the futures that wait on it.
struct Backed {
    listener: Box<dyn Listener>,
    pause: Duration,
    until: Option<Instant>,
}

impl Acceptor {
    /// Accepts from `listeners` for `hub`; whichever has a stream is served, none waits for another.
    ///
    /// # Errors
    /// There is no listener, or one does not know its address.
    pub fn new(
        hub: Hub,
        listeners: Vec<Box<dyn Listener>>,
        config: Arc<ServerConfig>,
        session: SessionConfig,
        admission: Admission,
    ) -> io::Result<Self> {
        if listeners.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no listener"));
        }
        let slot = |listener: Box<dyn Listener>| {
            let local = listener.local_addr()?;
            Ok(Slot { listener: Mutex::new(Backed { listener, pause: PAUSES.0, until: None }), local })
        };
        let slots: Vec<Slot> = listeners.into_iter().map(slot).collect::<io::Result<_>>()?;
        let locals = slots.iter().map(|slot| slot.local).collect();
        let config = ArcSwap::from_pointee(Answer { config, session });
        Ok(Self { hub, slots, locals, config, admission })
    }

    /// Where it listens, in the order of the listeners; one at least.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.locals
    }

    /// Handshakes in flight.
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Answers the streams that arrive from now on with these: other limits, other pre-shared keys. Handshakes in flight
    /// and sessions keep what they began with.
    pub fn reload(&self, config: Arc<ServerConfig>, session: SessionConfig) {
        self.config.store(Arc::new(Answer { config, session }));
    }

    /// The next stream; none once the hub is closed. A stream over the caps is dropped, an error of a listener is waited
    /// out with a growing pause: neither ends the listener, nor holds up another.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let mut waiting: FuturesUnordered<_> = self.slots.iter().map(Slot::next).collect();
            let arrived = tokio::select! {
                biased;
                () = self.hub.closed() => return None,
                arrived = waiting.next() => arrived?,
            };
            drop(waiting);
            if let Some(incoming) = self.admit(arrived) {
                return Some(incoming);
            }
        }
    }

    fn admit(&self, Arrived { io, remote }: Arrived) -> Option<Incoming> {
        let under_load = self.admission.is_under_load();
        let permit = self.admission.admit(remote.ip())?;
        let (hub, answer) = (self.hub.clone(), self.config.load_full());
        Some(Incoming { hub, io, remote, answer, under_load, permit })
    }
}

impl Slot {
    /// The listener's next stream.
    async fn next(&self) -> Arrived {
        let mut backed = self.listener.lock().await;
        loop {
            if let Some(until) = backed.until {
                pause_until(until).await;
                backed.until = None;
            }
            match backed.listener.accept().await {
                Ok(arrived) => {
                    backed.pause = PAUSES.0;
                    return arrived;
                }
                Err(error) if concerns_one_stream(&error) => {}
                Err(error) => {
                    let pause = backed.pause;
                    log::warn!(target: "citadel::listener", "{}: {error}; next try in {pause:?}", self.local);
                    backed.until = Some(now() + pause);
                    backed.pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a driver reads the clock: the pause is the back-off of a listener"
)]
fn now() -> Instant {
    Instant::now()
}

async fn pause_until(until: Instant) {
    tokio::time::sleep_until(until).await;
}

/// Errors of streams that were gone before they were taken; see accept(2).
fn concerns_one_stream(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acceptor({:?})", self.locals)
    }
}

/// A stream that arrived; nothing was read from it. Dropping it closes it.
pub struct Incoming {
    hub: Hub,
    io: BoxedIo,
    remote: SocketAddr,
    answer: Arc<Answer>,
    under_load: bool,
    permit: AdmissionPermit,
}

impl Incoming {
    /// Where it comes from.
    pub const fn remote_addr(&self) -> SocketAddr {
        self.remote
    }

    /// Runs the handshake until the client has proven who it is. The place in the caps is free again afterwards.
    ///
    /// # Errors
    /// [`EstablishError`], by the handshake's deadline at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn identify(self) -> Result<Identified, EstablishError> {
        let Self { hub, io, remote, answer, under_load, permit } = self;
        let (config, session) = (Arc::clone(&answer.config), answer.session.clone());
        let v4;
        let v6;
        let source: &[u8] = match remote.ip() {
            IpAddr::V4(ip) => {
                v4 = ip.octets();
                &v4
            }
            IpAddr::V6(ip) => {
                v6 = ip.octets();
                &v6
            }
        };
        let identified = hub.identify(io, source, config, session, under_load).await;
        drop(permit);
        identified
    }

    /// Runs the handshake and says yes to whoever it is.
    ///
    /// # Errors
    /// As [`identify`](Self::identify) and [`Identified::accept`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn accept(self) -> Result<Session, EstablishError> {
        self.identify().await?.accept().await
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(from {})", self.remote)
    }
}
