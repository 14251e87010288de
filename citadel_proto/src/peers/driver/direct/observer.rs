//! The server's end of observation: one UDP port, and tokens over the sessions with clients.

use crate::driver::{Hub, UdpSocket};
use crate::peers::Offered;
use crate::peers::direct::{ObserverSecret, PACKET_LEN, TOKEN_LIFE, Throttle, Token};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoError, CryptoProvider};
use core::fmt;
use core::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why there is no observation port.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserverError {
    /// It cannot be bound.
    #[error("the port cannot be bound")]
    Bind(#[from] io::Error),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// A server's observation port: tells clients where their packets come from, keeps nothing of them.
pub struct Observer {
    secret: ObserverSecret,
    provider: Arc<dyn CryptoProvider>,
    hub: Hub,
    socket: Arc<dyn UdpSocket>,
    local: SocketAddr,
}

impl Observer {
    /// Binds `address`, for the clients of `hub`. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ObserverError`].
    pub fn bind(
        hub: Hub,
        address: SocketAddr,
        provider: Arc<dyn CryptoProvider>,
    ) -> Result<Self, ObserverError> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Self::on(hub, Arc::new(tokio::net::UdpSocket::from_std(socket)?), provider)
    }

    /// Answers at a socket that is bound, for the clients of `hub`.
    ///
    /// # Errors
    /// [`ObserverError`].
    pub fn on(
        hub: Hub,
        socket: Arc<dyn UdpSocket>,
        provider: Arc<dyn CryptoProvider>,
    ) -> Result<Self, ObserverError> {
        let mut secret = Secret::zero();
        provider.random(secret.expose_mut())?;
        let local = socket.local_addr()?;
        Ok(Self { secret: ObserverSecret::new(secret), provider, hub, socket, local })
    }

    /// Where it is bound.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What a client is given; nothing without randomness.
    pub(in crate::peers::driver) fn offer(&self) -> Option<Offered> {
        let mut id = [0; 8];
        self.provider.random(&mut id).ok()?;
        let token = Token { id, expires: self.hub.now() + TOKEN_LIFE };
        let key = Arc::new(self.secret.key(token));
        Some(Offered { address: self.local, token: token.to_bytes(), key })
    }

    /// Answers until the hub takes no session any more.
    pub(in crate::peers::driver) async fn run(self: Arc<Self>) {
        let mut throttle = Throttle::new();
        // One byte more, so that what is too long is seen to be.
        let mut buffer = [0; PACKET_LEN + 1];
        loop {
            let received = tokio::select! {
                biased;
                () = self.hub.closed() => return,
                received = poll_fn(|cx| self.socket.poll_recv(cx, &mut buffer)) => received,
            };
            // An error is of one packet (what the system heard of an earlier reply), never of the socket.
            let Ok((len, from)) = received else { continue };
            let now = self.hub.now();
            let packet = buffer.get(..len).unwrap_or_default();
            if let Some(reply) = self.secret.answer(now, packet, from)
                && throttle.take(now)
            {
                // What the system does not take now is lost, as it may be on the way.
                let _sent = self.socket.try_send(from, &reply);
            }
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", self.local)
    }
}
