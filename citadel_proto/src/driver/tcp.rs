//! TCP.

use super::transport::{Arrived, BoxedIo, Listener, Transport};
use async_trait::async_trait;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

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
