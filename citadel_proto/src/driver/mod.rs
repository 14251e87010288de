//! Sessions on tokio: sockets, tasks, one timer each, and the handles that applications hold.
//!
//! Owns: the clock, one task for each session, the handshakes on their way in, listeners, wakers.
//! Never: a protocol decision (the machines make them).
//!
//! A session's machine stands behind a mutex that its task and its handles share, as in quinn: whoever has something to do locks,
//! acts, drains the outputs, unlocks and only then wakes. No lock is held over an await. The task never stops
//! reading and never waits for the application. Who sends while the path is idle writes by itself (`writer.rs`).

mod accept;
mod admission;
mod attempt;
mod buffers;
mod channel;
mod clock;
mod datagrams;
mod establish;
mod exchange;
mod hub;
mod identified;
mod io;
pub mod memory;
mod moves;
mod permit;
mod quic;
mod redial;
mod registry;
mod session;
mod shared;
mod status;
mod task;
mod tcp;
#[cfg(test)]
mod tests;
mod transport;
mod udp;
mod writer;

pub use accept::{Acceptor, Incoming};
pub use admission::{Admission, AdmissionPermit, HandshakeCaps};
pub use channel::{Channel, RecvHalf, SendHalf};
pub use datagrams::Datagrams;
pub use establish::{EstablishError, TrustPolicy};
pub use exchange::ExchangeError;
pub use hub::{Ending, Hub};
pub use identified::Identified;
pub use io::ChannelIo;
pub use permit::Permit;
pub use quic::Quic;
pub(crate) use quic::{Arriving, LetIn, Probes, Punch};
pub use redial::Dialer;
pub(crate) use session::ServiceChannels;
pub use session::{Session, WeakSession};
pub use status::{SessionEvent, SessionEvents};
pub use tcp::Tcp;
pub(crate) use tcp::listen as listen_tcp;
pub use transport::{Arrived, BoxedIo, Duplex, Halves, Listener, ReadHalf, Transport, WriteHalf};
pub use udp::{UdpNetwork, UdpSocket};
