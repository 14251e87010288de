//! Direct paths over a network that a node was given, some of whose packets fail.

use super::direct_sockets::{both_direct, builder, channel, hear_numbers, meet, send_numbers};
use super::scene::{ends_empty, near, server};
use citadel_sdk::memory::PacketNetwork;
use citadel_sdk::{Direct, UdpNetwork, UdpSocket};
use core::task::{Context, Poll};
use futures::future::join;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every tenth packet fails, going and coming.
const FAILS: u64 = 10;

#[derive(Debug)]
struct FaultySocket {
    inner: Arc<dyn UdpSocket>,
    sent: AtomicU64,
    polled: AtomicU64,
    failed: Arc<AtomicU64>,
}

impl FaultySocket {
    fn fails(&self, count: &AtomicU64) -> io::Result<()> {
        if count.fetch_add(1, Ordering::Relaxed) % FAILS == FAILS - 1 {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyNetwork {
    inner: PacketNetwork,
    failed: Arc<AtomicU64>,
}

impl UdpNetwork for FaultyNetwork {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn UdpSocket>> {
        let (sent, polled) = (AtomicU64::new(0), AtomicU64::new(0));
        let inner = self.inner.bind(address)?;
        Ok(Arc::new(FaultySocket { inner, sent, polled, failed: Arc::clone(&self.failed) }))
    }

    fn interfaces(&self) -> Vec<IpAddr> {
        self.inner.interfaces()
    }
}

impl UdpSocket for FaultySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn try_send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.fails(&self.sent)?;
        self.inner.try_send(to, packet)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.fails(&self.polled)?;
        self.inner.poll_recv(cx, buffer)
    }
}

#[tokio::test]
async fn packets_that_fail_are_lost_and_end_no_path() {
    let (server, failed) = (server().await, Arc::new(AtomicU64::new(0)));
    let network = PacketNetwork::new(1);
    let on = || {
        let inner = network.clone();
        builder(Direct::On(near())).udp(Arc::new(FaultyNetwork { inner, failed: Arc::clone(&failed) }))
    };
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    both_direct(&sessions).await;
    let (mut one, mut other) = channel(&sessions).await;
    let before = failed.load(Ordering::Relaxed);
    join(send_numbers(&mut one, 0..500), hear_numbers(&mut other, 0..500)).await;
    assert!(failed.load(Ordering::Relaxed) > before, "nothing failed");
    assert!(sessions.iter().all(|peer| peer.session.path_kind().is_direct()), "on the lane again");
    drop((one, other));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
