//! Datagrams in memory as a socket of quinn's, which takes its time from tokio's clock: a paused one runs through them.

use super::super::memory::DatagramSocket;
use core::pin::Pin;
use core::task::{Context, Poll};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;

/// There is always room: what finds none is lost.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for DatagramSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let len = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        transmit.contents.chunks(len).for_each(|packet| self.send(transmit.destination, packet));
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        for (buffer, told) in buffers.iter_mut().zip(meta) {
            let Poll::Ready((len, from)) = self.poll_receive(cx, buffer) else { break };
            *told = RecvMeta::default();
            (told.addr, told.len, told.stride) = (from, len, len);
            count += 1;
        }
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address())
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
