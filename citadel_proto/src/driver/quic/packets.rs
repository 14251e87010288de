//! The packets of a connection: QUIC's datagrams (RFC 9221), each in a packet of UDP, sent once.
//!
//! quinn sends what is in its queue of datagrams before any byte of a stream. So the queue holds what one packet of UDP
//! may, and more is given to it when there is room: where the network is the limit, the stream gets what one acknowledgement lets go beyond it.
//! What is late waits in the session, which drops it.

use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt};
use quinn::Connection;

/// What quinn keeps of what came, until the session's task looks: 64 KiB. It drops its oldest.
pub(super) const RECEIVE_BUFFER: usize = 64 << 10;
/// What quinn keeps of what goes: the longest packet that it finds a network to carry (1,452 bytes), or some that are shorter.
pub(super) const SEND_BUFFER: usize = 1_500;

/// The packets of a connection.
pub(in super::super) struct Packets {
    connection: Connection,
    coming: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    /// The packet that goes when the one before it has left.
    going: Option<BoxFuture<'static, ()>>,
}

impl Packets {
    pub(super) fn new(connection: Connection) -> Self {
        let coming = futures::stream::unfold(connection.clone(), |connection| async {
            let packet = connection.read_datagram().await.ok()?;
            Some((packet, connection))
        });
        Self { connection, coming: Box::pin(coming.fuse()), going: None }
    }

    /// Longest packet that the connection takes now; none if the other end takes none.
    pub(in super::super) fn longest(&self) -> Option<usize> {
        self.connection.max_datagram_size()
    }

    /// The next packet that came; none once the connection is over.
    pub(in super::super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.coming.as_mut().poll_next(cx)
    }

    /// Whether it takes a packet.
    pub(in super::super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(going) = &mut self.going {
            ready!(going.as_mut().poll(cx));
            self.going = None;
        }
        Poll::Ready(())
    }

    /// Sends a packet after the one before it.
    pub(in super::super) fn send(&mut self, packet: Bytes) {
        let connection = self.connection.clone();
        self.going = Some(Box::pin(async move {
            if let Err(error) = connection.send_datagram_wait(packet).await {
                log::trace!(target: "citadel::session", "a packet was not sent: {error}");
            }
        }));
    }
}
