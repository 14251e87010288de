//! What carries sessions: anything that connects and listens for ordered streams of bytes.

use super::io::ChannelIo;
use super::quic::{Packets, QuicStream};
use async_trait::async_trait;
use core::any::Any;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// An ordered, reliable stream of bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// Its directions, to be used by two tasks at once.
    fn into_halves(self: Box<Self>) -> Halves;

    /// Where its other end is, for TCP and QUIC; nothing is known of other streams.
    fn remote_addr(&self) -> Option<SocketAddr>;
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {
    fn remote_addr(&self) -> Option<SocketAddr> {
        let any: &dyn Any = self;
        match (any.downcast_ref::<TcpStream>(), any.downcast_ref::<QuicStream>()) {
            (Some(tcp), _) => tcp.peer_addr().ok(),
            (_, Some(quic)) => quic.remote_addr(),
            _ => None,
        }
    }

    /// A lock between the directions, but for TCP and channels, which need none.
    fn into_halves(self: Box<Self>) -> Halves {
        let any: Box<dyn Any> = self;
        let any = match any.downcast::<TcpStream>() {
            Ok(stream) => {
                let (read, write) = stream.into_split();
                return Halves { read: Box::new(read), write: Box::new(write), packets: None };
            }
            Err(any) => any,
        };
        match any.downcast::<ChannelIo>() {
            Ok(channel) => channel.into_directions(),
            Err(any) => {
                let packets = any.downcast_ref::<QuicStream>().and_then(QuicStream::packets);
                let io = any.downcast::<T>().expect("it was a `T` before it was any");
                let (read, write) = tokio::io::split(*io);
                Halves { read: Box::new(read), write: Box::new(write), packets }
            }
        }
    }
}

/// What a path is read from.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// What a path is written to.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Both directions of a stream.
pub struct Halves {
    /// What comes.
    pub read: ReadHalf,
    /// What goes.
    pub write: WriteHalf,
    /// What goes and comes beside it in no order, if the path has that.
    pub(super) packets: Option<Packets>,
}

impl core::fmt::Debug for Halves {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Halves")
    }
}

/// A stream of any transport.
pub type BoxedIo = Box<dyn Duplex>;

/// `io` behind a pointer, or as it is if it stands behind one.
pub(super) fn boxed<Io: Duplex + 'static>(io: Io) -> BoxedIo {
    let mut io = Some(io);
    let any: &mut dyn Any = &mut io;
    if let Some(boxed) = any.downcast_mut::<Option<BoxedIo>>().and_then(Option::take) {
        return boxed;
    }
    Box::new(io.expect("it is taken only as a `BoxedIo`, and then returned"))
}

/// A way to reach other nodes and to be reached.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Connects to a node.
    ///
    /// # Errors
    /// What the network says.
    async fn connect(&self, host: &str, port: u16) -> io::Result<BoxedIo>;

    /// Listens at `address`.
    ///
    /// # Errors
    /// What the network says.
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>>;
}

/// A place where streams arrive.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The next stream.
    ///
    /// # Errors
    /// That one could not be taken; a later one may be.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    async fn accept(&mut self) -> io::Result<Arrived>;

    /// Where it listens.
    ///
    /// # Errors
    /// What the network says.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

#[async_trait]
impl Listener for Box<dyn Listener> {
    async fn accept(&mut self) -> io::Result<Arrived> {
        (**self).accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        (**self).local_addr()
    }
}

/// A stream that arrived.
pub struct Arrived {
    /// The stream.
    pub io: BoxedIo,
    /// Where it comes from.
    pub remote: SocketAddr,
}

impl core::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Arrived(from {})", self.remote)
    }
}
