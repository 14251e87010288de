//! A socket of a network that a node was given, as quinn wants one: packet by packet.

use super::super::udp::UdpSocket;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Given(pub(super) Arc<dyn UdpSocket>);

/// Such a socket never waits.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Given {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for packet in transmit.contents.chunks(segment) {
            // A packet that does not go is lost, as it may be on the way. quinn would end the connection for it.
            if let Err(error) = self.0.try_send(transmit.destination, packet) {
                log::debug!(target: "citadel::direct", "{}: {error}", transmit.destination);
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        // The one kind that quinn takes for what it is: of one packet.
        let received = ready!(self.0.poll_recv(cx, buffer));
        let (len, from) = received.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        *meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (from, len, len);
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Its packets go whole or not at all, so that quinn may look for their longest length.
    fn may_fragment(&self) -> bool {
        false
    }
}
