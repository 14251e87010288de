//! TCP.

use super::transport::{Arrived, BoxedIo, Listener, Transport};
use async_trait::async_trait;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

/// Streams that wait to be accepted.
const BACKLOG: i32 = 16;

/// TCP, each record on its way at once (`TCP_NODELAY`): the session batches by itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tcp;

#[async_trait]
impl Transport for Tcp {
    async fn connect(&self, host: &str, port: u16) -> io::Result<BoxedIo> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpListener::bind(address).await?))
    }
}

/// A listener of the system, which takes IPv4 at an address of IPv6 as well if the system can. Needs a tokio runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // What was accepted at the port before holds it for a while on such systems; on others the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<Arrived> {
        let (stream, remote) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(Arrived { io: Box::new(stream), remote })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
