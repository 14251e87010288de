//! Streams on their way to become sessions.

use super::admission::{Admission, AdmissionPermit};
use super::establish::EstablishError;
use super::hub::Hub;
use super::identified::Identified;
use super::session::Session;
use super::transport::{Arrived, BoxedIo, Listener};
use crate::session::SessionConfig;
use citadel_crypt::handshake::ServerConfig;
use core::fmt;
use core::time::Duration;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::Mutex;

/// First and longest pause after an error of `accept` that concerns this end (no file descriptors left, say).
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Takes streams from a listener, within the caps on handshakes in flight.
pub struct Acceptor {
    hub: Hub,
    /// Whoever waits in `accept` holds it: an async lock of tokio's, made to be held over an await.
    listener: Mutex<Box<dyn Listener>>,
    local: SocketAddr,
    config: Arc<ServerConfig>,
    session: SessionConfig,
    admission: Admission,
}

impl Acceptor {
    /// Accepts from `listener` for `hub`.
    ///
    /// # Errors
    /// The listener does not know its address.
    pub fn new(
        hub: Hub,
        listener: Box<dyn Listener>,
        config: Arc<ServerConfig>,
        session: SessionConfig,
        admission: Admission,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self { hub, listener: Mutex::new(listener), local, config, session, admission })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Handshakes in flight.
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The next stream; none once the hub is closed. A stream over the caps is dropped, an error of the listener is waited
    /// out with a growing pause: neither ends the listener.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn accept(&self) -> Option<Incoming> {
        let mut pause = PAUSES.0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.hub.closed() => return None,
                accepted = self.next() => accepted,
            };
            match accepted {
                Ok(Arrived { io, remote }) => {
                    pause = PAUSES.0;
                    if let Some(incoming) = self.admit(io, remote) {
                        return Some(incoming);
                    }
                }
                Err(error) if concerns_one_stream(&error) => {}
                Err(error) => {
                    log::warn!(target: "citadel::listener", "{}: {error}; next try in {pause:?}", self.local);
                    tokio::select! {
                        biased;
                        () = self.hub.closed() => return None,
                        () = pause_for(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn next(&self) -> io::Result<Arrived> {
        self.listener.lock().await.accept().await
    }

    fn admit(&self, io: BoxedIo, remote: SocketAddr) -> Option<Incoming> {
        let under_load = self.admission.is_under_load();
        let permit = self.admission.admit(remote.ip())?;
        let (hub, config, session) = (self.hub.clone(), Arc::clone(&self.config), self.session.clone());
        Some(Incoming { hub, io, remote, config, session, under_load, permit })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a driver may wait: the pause is the back-off of a failing listener"
)]
async fn pause_for(pause: Duration) {
    tokio::time::sleep(pause).await;
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
        write!(f, "Acceptor({})", self.local)
    }
}

/// A stream that arrived; nothing was read from it. Dropping it closes it.
pub struct Incoming {
    hub: Hub,
    io: BoxedIo,
    remote: SocketAddr,
    config: Arc<ServerConfig>,
    session: SessionConfig,
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
        let Self { hub, io, remote, config, session, under_load, permit } = self;
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
