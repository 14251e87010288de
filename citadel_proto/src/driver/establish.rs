//! Runs the handshake machines over a stream of bytes. A flight travels behind its 4-byte length.

use super::clock::Clock;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, Established, Grant, HandshakeError, Input, MAX_CLIENT_FLIGHT_LEN,
    MAX_SERVER_FLIGHT_LEN, Output, RefusalCode, Request, ResumeBinding, ServerConfig, ServerHandshake,
};
use citadel_crypt::identity::IdentityPublic;
use core::time::Duration;
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Decides whether a proven server is the right one, for [`Trust::Ask`](citadel_crypt::handshake::Trust::Ask).
pub type TrustPolicy = Arc<dyn Fn(IdentityPublic) -> BoxFuture<'static, bool> + Send + Sync>;

/// How long a flight that tells the other end of a failure may take to leave. 250 ms: it is a courtesy.
const COURTESY: Duration = Duration::from_millis(250);

/// Why no session was established.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EstablishError {
    /// The stream failed or ended.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The handshake failed.
    #[error("the handshake failed")]
    Handshake(#[from] HandshakeError),
    /// The other end announced a flight longer than any.
    #[error("a flight of {0} bytes is over the limit")]
    FlightTooLong(usize),
    /// The endpoint is closed.
    #[error("the endpoint is closed")]
    EndpointClosed,
    /// The session takes no other path: it has no time to resume, is closing, or was opened by the other end.
    #[error("the session is not to be resumed")]
    NotResumable,
}

impl EstablishError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Io(_) => 1,
            Self::FlightTooLong(_) => 2,
            Self::EndpointClosed => 3,
            Self::NotResumable => 4,
            Self::Handshake(error) => 0x100 + error.code() as u32,
        }
    }

    /// Whether the same attempt may succeed later without anyone changing a configuration.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Handshake(error) => error.is_retryable(),
            Self::FlightTooLong(_) | Self::EndpointClosed | Self::NotResumable => false,
        }
    }
}

async fn write_flight<Io: AsyncWrite + Unpin>(io: &mut Io, flight: &[u8]) -> io::Result<()> {
    let len = u32::try_from(flight.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let framed = [&len.to_be_bytes()[..], flight].concat();
    io.write_all(&framed).await?;
    io.flush().await
}

async fn send_all<Io: AsyncWrite + Unpin>(io: &mut Io, flights: &[Vec<u8>]) -> io::Result<()> {
    for flight in flights {
        write_flight(io, flight).await?;
    }
    Ok(())
}

/// Reads one flight; its length is checked before memory is reserved, and nothing after it is read.
async fn read_flight<Io: AsyncRead + Unpin>(io: &mut Io, max: usize) -> Result<Vec<u8>, EstablishError> {
    let len = io.read_u32().await?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > max {
        return Err(EstablishError::FlightTooLong(len));
    }
    let mut flight = vec![0; len];
    io.read_exact(&mut flight).await?;
    Ok(flight)
}

/// A proven client's request.
pub(super) struct Asked {
    pub(super) peer: IdentityPublic,
    pub(super) request: Request,
    /// What the proof of a resumption must be bound to.
    pub(super) binding: ResumeBinding,
}

/// What an end waits for next.
enum Step {
    Flight,
    Ask(IdentityPublic),
    Request(Box<Asked>),
    Established(Box<Established>),
}

/// Either end's machine, as this driver sees it.
trait Machine {
    fn handle(&mut self, now: Timestamp, input: Input<'_>);
    fn poll_output(&mut self) -> Option<Output>;
    fn deadline(&self) -> Option<Timestamp>;
}

macro_rules! machine {
    ($name:ty) => {
        impl Machine for $name {
            fn handle(&mut self, now: Timestamp, input: Input<'_>) {
                // A failure comes out as the last output as well.
                let _handled = Self::handle(self, now, input);
            }

            fn poll_output(&mut self) -> Option<Output> {
                Self::poll_output(self)
            }

            fn deadline(&self) -> Option<Timestamp> {
                self.poll_timeout().map(|(at, _)| at)
            }
        }
    };
}

machine!(ClientHandshake);
machine!(ServerHandshake);

/// Acts on the outputs until the machine waits for something.
async fn drain<Io, M>(io: &mut Io, machine: &mut M, clock: Clock) -> Result<Step, EstablishError>
where
    Io: AsyncWrite + Unpin,
    M: Machine,
{
    let mut step = Step::Flight;
    let mut unsent = Vec::new();
    let mut failure = None;
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Send(flight) => unsent.push(flight),
            Output::Ask { peer } => step = Step::Ask(peer),
            Output::Request { peer, request, binding } => {
                step = Step::Request(Box::new(Asked { peer, request, binding }));
            }
            Output::Established(established) => step = Step::Established(established),
            Output::Failed(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        let telling = async {
            send_all(io, &unsent).await?;
            // A stream that is dropped unfinished may take its last words with it.
            io.shutdown().await
        };
        let _told = tokio::time::timeout(COURTESY, telling).await;
        return Err(error.into());
    }
    match machine.deadline() {
        // Established: the deadline has done its work, and one flight fits any send buffer.
        None => tokio::time::timeout(COURTESY, send_all(io, &unsent))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?,
        Some(at) => tokio::time::timeout_at(clock.instant(at), send_all(io, &unsent))
            .await
            .map_err(|_| HandshakeError::DeadlineExceeded)??,
    }
    Ok(step)
}

/// Runs `wait` until the machine's deadline; then the machine fails and says so.
async fn until_deadline<Io, M, T>(
    io: &mut Io,
    machine: &mut M,
    clock: Clock,
    wait: impl AsyncFnOnce(&mut Io) -> Result<T, EstablishError>,
) -> Result<T, EstablishError>
where
    Io: AsyncWrite + Unpin,
    M: Machine,
{
    let deadline = machine.deadline().map(|at| clock.instant(at));
    let waited = match deadline {
        Some(at) => tokio::time::timeout_at(at, wait(io)).await,
        None => Ok(wait(io).await),
    };
    match waited {
        Ok(result) => result,
        Err(_) => {
            machine.handle(machine.deadline().unwrap_or_default(), Input::Timeout);
            drain(io, machine, clock).await?;
            Err(HandshakeError::DeadlineExceeded.into())
        }
    }
}

/// The client's end, to its end.
pub(super) async fn client<Io>(
    io: &mut Io,
    config: ClientConfig,
    trust: Option<&TrustPolicy>,
    clock: Clock,
) -> Result<Established, EstablishError>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut machine = ClientHandshake::new(config, clock.now())?;
    loop {
        match drain(io, &mut machine, clock).await? {
            Step::Established(established) => return Ok(*established),
            Step::Ask(peer) => {
                let is_trusted = match trust {
                    Some(decide) => {
                        let decision = decide(peer);
                        until_deadline(io, &mut machine, clock, async |_: &mut Io| Ok(decision.await)).await?
                    }
                    None => false,
                };
                let answer = if is_trusted {
                    Input::Accept(Grant::default())
                } else {
                    Input::Refuse(RefusalCode::DENIED.into())
                };
                Machine::handle(&mut machine, clock.now(), answer);
            }
            Step::Flight | Step::Request(..) => {
                let flight = until_deadline(io, &mut machine, clock, async |io: &mut Io| {
                    read_flight(io, MAX_SERVER_FLIGHT_LEN).await
                })
                .await?;
                Machine::handle(&mut machine, clock.now(), Input::Flight(&flight));
            }
        }
    }
}

/// The server's end, until the client is proven.
pub(super) async fn identify<Io>(
    io: &mut Io,
    config: Arc<ServerConfig>,
    source: &[u8],
    under_load: bool,
    clock: Clock,
) -> Result<(ServerHandshake, Asked), EstablishError>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let machine = ServerHandshake::new(config, source, under_load, clock.now());
    let mut machine = machine.map_err(HandshakeError::from)?;
    loop {
        if let Step::Request(asked) = drain(io, &mut machine, clock).await? {
            return Ok((machine, *asked));
        }
        let flight = until_deadline(io, &mut machine, clock, async |io: &mut Io| {
            read_flight(io, MAX_CLIENT_FLIGHT_LEN).await
        })
        .await?;
        Machine::handle(&mut machine, clock.now(), Input::Flight(&flight));
    }
}

/// The server's answer to a proven client; none if it was no.
pub(super) async fn decide<Io>(
    io: &mut Io,
    machine: &mut ServerHandshake,
    answer: Input<'_>,
    clock: Clock,
) -> Result<Option<Established>, EstablishError>
where
    Io: AsyncWrite + Unpin,
{
    Machine::handle(machine, clock.now(), answer);
    match drain(io, machine, clock).await? {
        Step::Established(established) => Ok(Some(*established)),
        _ => Ok(None),
    }
}
