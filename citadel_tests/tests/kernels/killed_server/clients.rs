//! Clients of the server that is killed: the prefab, which connects, does one thing and ends.

use super::process::{LONG, Server, patiently};
use citadel_crypt::handshake::Cid;
use citadel_proto::accounts::AskError;
use citadel_proto::backend::ValueVersion;
use citadel_proto::peers::wire::{decode_answer, encode_ask};
use citadel_proto::peers::{PEERS_SERVICE, Party, PeerAnswer, PeerAsk, PeerAskError, View};
use citadel_sdk::{
    AccountClient, CallError, Channel, ConnectError, Connection, Identity, Node, NodeBuilder, NodeError,
    NodeReport, PeerId, RefusalCode, ServerConnection, Session,
    prefabs::client::SingleClientServerConnectionKernel as Prefab,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The peer that some values are about.
pub(crate) const FRIEND: Cid = Cid(7);

/// A client on its way.
pub(crate) struct Attempt<T> {
    node: Node<Prefab>,
    told: UnboundedReceiver<T>,
}

/// Connects and has `act` done once; then leaves, or stays until the session is over.
pub(crate) async fn connect<T, F, Fut>(
    device: &Arc<Identity>,
    to: ServerConnection,
    stays: bool,
    act: F,
) -> Attempt<T>
where
    T: Send + 'static,
    F: Fn(Session) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let (tells, told) = unbounded_channel();
    let kernel = Prefab::new(to, move |connection: Connection| {
        let acting = act(connection.session.clone());
        let tells = tells.clone();
        async move {
            let _unheard = tells.send(acting.await);
            if stays {
                connection.session.closed().await;
            }
            Ok(())
        }
    });
    let node = NodeBuilder::new(kernel).identity(Arc::clone(device));
    Attempt { node: patiently(node).start().await.unwrap(), told }
}

impl<T> Attempt<T> {
    /// What it did came to; none if there was no session. Cancel safe.
    pub(crate) async fn told(&mut self) -> Option<T> {
        self.told.recv().await
    }

    /// Whether it still waits.
    pub(crate) fn waits(&mut self) -> bool {
        matches!(self.told.try_recv(), Err(TryRecvError::Empty))
    }

    pub(crate) async fn ended(self) -> Result<NodeReport, NodeError> {
        self.node.await.map(|(_kernel, report)| report)
    }
}

/// What a server answered.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// With a session.
    In(Cid),
    /// With a refusal instead of one.
    Refused(RefusalCode),
    Done,
    Was(bool),
    Version(ValueVersion),
    No(AskError),
    NoPeer(PeerAskError),
}

/// What became of a client that asked for one thing.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Told(T, NodeReport),
    /// No answer came.
    Lost(CallError, NodeReport),
    /// No session came.
    Never(ConnectError),
}

impl<T: std::fmt::Debug> Attempt<Result<T, CallError>> {
    pub(crate) async fn outcome(mut self) -> Outcome<T> {
        let told = self.told().await;
        match (told, self.ended().await) {
            (Some(Ok(told)), Ok(report)) => Outcome::Told(told, report),
            (Some(Err(error)), Ok(report)) => Outcome::Lost(error, report),
            (None, Err(NodeError::Kernel { source, .. })) => Outcome::Never(*source.downcast().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

/// Version and value by peer and key.
pub(crate) type Values = BTreeMap<(Option<Cid>, Vec<u8>), (ValueVersion, Vec<u8>)>;

/// What a device sees of its account.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cid: Cid,
    pub(crate) shown: String,
    /// Whether each is live.
    pub(crate) devices: BTreeMap<PeerId, bool>,
    /// By peer and key.
    pub(crate) values: Values,
}

pub(crate) fn account_of(session: Session) -> AccountClient {
    AccountClient::new(session).with_deadline(LONG)
}

/// Asks something about peers.
pub(crate) async fn ask_peers(session: Session, ask: PeerAsk) -> Result<Told, CallError> {
    let mut channel = session.open_service_channel(PEERS_SERVICE)?;
    Ok(match exchange(&mut channel, &ask).await? {
        PeerAnswer::Done => Told::Done,
        PeerAnswer::Was(was) => Told::Was(was),
        PeerAnswer::Failed(error) => Told::NoPeer(error),
        _ => return Err(CallError::Malformed),
    })
}

async fn exchange(channel: &mut Channel, ask: &PeerAsk) -> Result<PeerAnswer, CallError> {
    channel.send(encode_ask(1, ask).unwrap()).await?;
    hear(channel).await
}

async fn hear(channel: &mut Channel) -> Result<PeerAnswer, CallError> {
    let message = channel.recv().await?.ok_or(CallError::Ended)?;
    Ok(decode_answer(&message).unwrap().1)
}

/// What an account is told of its pairs with others.
pub(crate) async fn look_at_peers(session: Session) -> Result<Vec<View>, CallError> {
    let own = session.cid().map(Party::Account);
    let mut channel = session.open_service_channel(PEERS_SERVICE)?;
    assert_eq!(exchange(&mut channel, &PeerAsk::Watch).await?, PeerAnswer::Done);
    let mut views = Vec::new();
    while let PeerAnswer::View(view) = hear(&mut channel).await? {
        if Some(view.party) != own {
            views.push(view);
        }
    }
    Ok(views)
}

pub(crate) async fn look(session: Session) -> Result<Seen, CallError> {
    let account = account_of(session);
    let profile = account.profile().await?;
    let devices = account.devices().await?.into_iter().map(|device| (device.peer, device.is_live()));
    let mut values = BTreeMap::new();
    for about in [None, Some(FRIEND)] {
        for entry in account.list(about, "", None, 1_000).await?.entries {
            values.insert((about, entry.key), (entry.versioned.version, entry.versioned.value));
        }
    }
    let (cid, shown) = (profile.cid, profile.display_name.as_str().to_owned());
    Ok(Seen { cid, shown, devices: devices.collect(), values })
}

/// Somebody without an account has a message sent back: the server works.
pub(crate) async fn echoes(server: &Server) {
    let kernel = Prefab::new(server.to().transient(), |mut connection: Connection| async move {
        connection.channel.send("hello").await?;
        assert_eq!(connection.channel.recv().await?.as_deref(), Some(&b"hello"[..]));
        Ok(())
    });
    let node = patiently(NodeBuilder::new(kernel).identity(Identity::generate())).start().await.unwrap();
    let (_kernel, report) = node.await.unwrap();
    assert!(report.is_clean(), "{report}");
}
