//! TCP within the network: a listener while attempts need one, dials, and the greeting that proves a stream.

use super::super::client::Inner;
use super::DirectConfig;
use crate::driver::listen_tcp;
use crate::peers::direct::{
    Candidates, Greeting, LOWEST_TCP, Link, MAX_STREAMS, PACKET_LEN, Packet, ProbeKeys, Tag,
};
use core::time::Duration;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// From a dial to its welcome, and from a stream that came to its hello. 2 s: within one network, and a SYN that was lost is sent
/// again after one.
const GREETING: Duration = Duration::from_secs(2);
/// Streams of nobody yet, in all.
const IN_FLIGHT: usize = 16;

/// A listener on this machine's links, which is there as long as attempts hold it.
pub(super) struct Listening {
    port: u16,
    links: Vec<Link>,
    /// Cancelled by whoever is first: the last attempt, or the listener, if it fails.
    over: CancellationToken,
    _stop: DropGuard,
}

impl Listening {
    /// Listens where `config` says, at the port of the UDP socket if it is free and at any if not.
    pub(super) fn start(
        inner: &Arc<Inner>,
        config: &DirectConfig,
        port: u16,
        links: Vec<Link>,
    ) -> io::Result<Self> {
        let at = |port| super::of_family(config.bind, |bind| listen_tcp(SocketAddr::new(bind.ip(), port)));
        let wanted = if port < LOWEST_TCP { 0 } else { port };
        let listener = at(wanted).or_else(|_| at(0))?;
        let (port, over) = (listener.local_addr()?.port(), CancellationToken::new());
        inner.tasks.spawn(run(Arc::downgrade(inner), listener, links.clone(), over.clone()));
        Ok(Self { port, links, over: over.clone(), _stop: over.drop_guard() })
    }

    /// Whether it takes streams from these links: it is there, and they are those of this machine still.
    pub(super) fn serves(&self, links: &[Link]) -> bool {
        self.links == links && !self.over.is_cancelled()
    }

    /// At which port.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

/// A stream that somebody dialled, and what came first on it.
pub(super) struct Greeted {
    stream: TcpStream,
    from: SocketAddr,
    hello: Packet,
}

/// A stream whose other end is the peer, in this attempt.
pub(super) struct Proven {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
}

/// The streams of an attempt: those that it dials, and those that come.
pub(super) struct Streams {
    greeting: Greeting,
    arriving: mpsc::Receiver<Greeted>,
    under_way: FuturesUnordered<BoxFuture<'static, io::Result<Proven>>>,
}

impl Streams {
    /// Takes streams from `arriving`, and dials the peer at those of its addresses that are on `links`.
    pub(super) fn new(
        keys: Arc<ProbeKeys>,
        arriving: mpsc::Receiver<Greeted>,
        candidates: &Candidates,
        links: &[Link],
    ) -> Self {
        let greeting = Greeting::new(keys);
        let dial = |(number, to)| within(dial(to, greeting.hello(number), greeting.is_welcome(number)));
        let under_way = (0..).zip(candidates.streams(links)).map(dial).collect();
        Self { greeting, arriving, under_way }
    }

    /// The next one that is proven; pending for ever if there is none any more.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub(super) async fn next(&mut self) -> Proven {
        loop {
            tokio::select! {
                biased;
                Some(proven) = self.under_way.next() => match proven {
                    Ok(proven) => return proven,
                    Err(error) => log::debug!(target: "citadel::direct", "no stream: {error}"),
                },
                Some(Greeted { mut stream, from, hello }) = self.arriving.recv() => {
                    if let Some(welcome) = self.greeting.welcome(&hello) {
                        self.under_way.push(within(async move {
                            stream.write_all(&welcome).await?;
                            Ok(Proven { stream, remote: from })
                        }));
                    }
                }
                else => core::future::pending().await,
            }
        }
    }
}

fn within(
    greeting: impl Future<Output = io::Result<Proven>> + Send + 'static,
) -> BoxFuture<'static, io::Result<Proven>> {
    tokio::time::timeout(GREETING, greeting)
        .map(|greeted| greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
        .boxed()
}

/// Dials, says hello and hears the answer.
async fn dial(to: SocketAddr, hello: Packet, is_welcome: impl Fn(&Packet) -> bool) -> io::Result<Proven> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&hello).await?;
    let mut answer = [0; PACKET_LEN];
    stream.read_exact(&mut answer).await?;
    if !is_welcome(&answer) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Proven { stream, remote: to })
}

/// Takes streams and hands those of an attempt to it.
async fn run(inner: Weak<Inner>, listener: TcpListener, links: Vec<Link>, over: CancellationToken) {
    let Some(hub) = inner.upgrade().map(|inner| inner.hub.clone()) else { return };
    let _over = over.clone().drop_guard();
    let mut waiting = Waiting::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = over.cancelled() => return,
            () = hub.closed() => return,
            greeted = waiting.next() => {
                let Some(inner) = inner.upgrade() else { return };
                hand_over(&inner, greeted);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let from = crate::peers::direct::canonical(from);
                if links.iter().any(|link| link.holds(from.ip())) {
                    waiting.push(stream, from);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // The next attempt listens anew, and this one has packets.
                log::debug!(target: "citadel::direct", "no more streams: {error}");
                return;
            }
        }
    }
}

/// Streams that came and said nothing yet. One more than [`IN_FLIGHT`] ends the oldest of the address that has the most: a hello
/// comes within a round trip, so whoever says nothing keeps nobody else out.
#[derive(Default)]
struct Waiting {
    streams: FuturesUnordered<BoxFuture<'static, (u64, Option<Greeted>)>>,
    /// In the order in which they came.
    places: VecDeque<Place>,
    count: u64,
}

struct Place {
    number: u64,
    from: IpAddr,
    ended: CancellationToken,
}

impl Waiting {
    fn push(&mut self, stream: TcpStream, from: SocketAddr) {
        if self.places.len() >= IN_FLIGHT {
            self.end_one();
        }
        let (number, ended) = (self.count, CancellationToken::new());
        self.count += 1;
        self.places.push_back(Place { number, from: from.ip(), ended: ended.clone() });
        let hearing = tokio::time::timeout(GREETING, hear(stream, from));
        let hearing = async move {
            let heard = ended.run_until_cancelled(hearing).await;
            (number, heard.and_then(Result::ok).and_then(Result::ok))
        };
        self.streams.push(hearing.boxed());
    }

    fn end_one(&mut self) {
        let of = |from: IpAddr| self.places.iter().filter(|place| place.from == from).count();
        // The first of several that are equal.
        let most = self.places.iter().enumerate().rev().max_by_key(|(_, place)| of(place.from));
        let ended = most.map(|(at, _)| at).and_then(|at| self.places.remove(at));
        ended.into_iter().for_each(|place| place.ended.cancel());
    }

    /// The next one that said something; pending while none has.
    async fn next(&mut self) -> Greeted {
        loop {
            match self.streams.next().await {
                Some((number, heard)) => {
                    self.places.retain(|place| place.number != number);
                    if let Some(greeted) = heard {
                        return greeted;
                    }
                }
                None => core::future::pending().await,
            }
        }
    }
}

async fn hear(mut stream: TcpStream, from: SocketAddr) -> io::Result<Greeted> {
    stream.set_nodelay(true)?;
    let mut hello = [0; PACKET_LEN];
    stream.read_exact(&mut hello).await?;
    Ok(Greeted { stream, from, hello })
}

/// To the attempt that it names; dropped if there is none, or if that has as many as its peer may dial.
fn hand_over(inner: &Inner, greeted: Greeted) {
    let Some(tag) = Tag::of(&greeted.hello) else { return };
    let attempt = inner.direct.attempts.lock().get(&tag).map(|ways| ways.streams.clone());
    if let Some(attempt) = attempt {
        drop(attempt.try_send(greeted));
    }
}

/// The way of streams to an attempt.
pub(super) fn way() -> (mpsc::Sender<Greeted>, mpsc::Receiver<Greeted>) {
    mpsc::channel(MAX_STREAMS)
}
