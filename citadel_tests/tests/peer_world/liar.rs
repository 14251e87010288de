//! A server whose switchboard is moved by hand, and clients of it as they are: real sessions, real keys, every word the test's.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, ClientConfig, Grant, HandshakeConfig, ServerConfig, SessionKind, Trust};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use citadel_crypt::wire::encode;
use citadel_proto::driver::memory::{Faults, pair_with};
use citadel_proto::driver::{Channel, Hub, RecvHalf, SendHalf, Session};
use citadel_proto::peers::wire::{self, LaneFrom, LaneOpen};
use citadel_proto::peers::{
    MemoryPins, Party, PeerAnswer, PeerAsk, PeerClient, PeersConfig, Shown, Standing,
};
use citadel_proto::{CloseReason, SessionConfig};
use citadel_tests::canary;
use core::time::Duration;
use futures::future::join;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// How long sessions wait for another path.
pub(crate) const RESUME: Duration = Duration::from_secs(20);

pub(crate) fn handshake(identity: &Arc<Identity>, kind: SessionKind) -> HandshakeConfig {
    HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), kind)
}

pub(crate) fn session() -> SessionConfig {
    SessionConfig { services: true, resume: RESUME, ..SessionConfig::default() }
}

/// The server.
pub(crate) struct Liar {
    pub(crate) identity: Arc<Identity>,
    hub: Hub,
    config: Arc<ServerConfig>,
}

/// A client, as it is.
pub(crate) struct Victim {
    pub(crate) identity: Arc<Identity>,
    pub(crate) hub: Hub,
    pub(crate) peers: PeerClient,
    pub(crate) party: Party,
    pub(crate) session: Session,
    pub(crate) tasks: TaskTracker,
}

/// The server's end of what a client and its server have.
pub(crate) struct Line {
    pub(crate) session: Session,
    send: SendHalf,
    recv: RecvHalf,
}

impl Liar {
    pub(crate) fn new() -> Self {
        canary::watch();
        let identity = Arc::new(Identity::generate());
        let config = Arc::new(ServerConfig::new(handshake(&identity, SessionKind::C2S)).unwrap());
        Self { identity, hub: Hub::new(), config }
    }

    /// A client that this server calls `cid`, attached.
    pub(crate) async fn victim(&self, cid: u64) -> (Victim, Line) {
        self.victim_with(cid, |_| {}).await
    }

    /// The same with another configuration of peers.
    pub(crate) async fn victim_with(&self, cid: u64, tune: impl FnOnce(&mut PeersConfig)) -> (Victim, Line) {
        let identity = Arc::new(Identity::generate());
        let (hub, tasks) = (Hub::new(), TaskTracker::new());
        let (near, far) = pair_with(cid, Faults::NONE);
        let trust = Trust::Peer(self.identity.peer_id());
        let config = ClientConfig::new(handshake(&identity, SessionKind::C2S), trust);
        let connect = hub.connect(near, config, session(), None);
        let accept = async {
            let identified =
                self.hub.identify(far, b"source", Arc::clone(&self.config), session(), false).await.unwrap();
            identified.accept_with(Grant { cid: Some(Cid(cid)), resume: RESUME }).await.unwrap()
        };
        let (client, server) = join(connect, accept).await;
        let mut config = PeersConfig::new(handshake(&identity, SessionKind::P2P), session());
        tune(&mut config);
        let pins = Arc::new(MemoryPins::new());
        let peers = PeerClient::new(hub.clone(), Arc::clone(&identity), config, pins, tasks.clone());
        let party = Party::Account(Cid(cid));
        let victim =
            Victim { identity, hub, peers: peers.await.unwrap(), party, session: client.unwrap(), tasks };
        let line = victim.attach_to(server).await;
        (victim, line)
    }
}

impl Victim {
    pub(crate) fn device(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Attaches to the server's end `server`, which has nothing to tell.
    pub(crate) async fn attach_to(&self, server: Session) -> Line {
        let welcome = async {
            let channel = server.accept_service_channel().await.unwrap().unwrap();
            assert_eq!(channel.name(), b"\0citadel/peers");
            let (send, recv) = channel.split();
            let mut line = Line { session: server, send, recv };
            let (id, ask) = line.hears().await;
            assert!(matches!(ask, PeerAsk::Watch));
            line.says(id, &PeerAnswer::Done).await;
            line.says(0, &PeerAnswer::Synced).await;
            line
        };
        let (attached, line) = join(self.peers.attach(self.session.clone()), welcome).await;
        attached.unwrap();
        line
    }

    /// Waits until `party` stands so.
    pub(crate) async fn sees(&self, party: Party, standing: Standing) {
        let mut events = self.peers.events();
        while self.peers.info(party).map_or(Standing::Nothing, |info| info.standing) != standing {
            events.next().await;
        }
    }

    /// Everything of it is over, whatever was said to it.
    pub(crate) async fn ends(self) {
        self.hub.close(CloseReason::GoingAway).await;
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.hub.sessions(), 0);
    }
}

impl Line {
    /// The next request.
    pub(crate) async fn hears(&mut self) -> (u64, PeerAsk) {
        wire::decode_ask(&self.recv.recv().await.unwrap().unwrap()).unwrap()
    }

    pub(crate) async fn says(&mut self, id: u64, answer: &PeerAnswer) {
        self.says_bytes(wire::encode_answer(id, answer).unwrap()).await;
    }

    /// Whatever bytes. A client that has ended the service hears nothing any more.
    pub(crate) async fn says_bytes(&mut self, bytes: Vec<u8>) -> bool {
        self.send.send(bytes).await.is_ok()
    }

    /// Says how the client and `party` stand, as if it were so.
    pub(crate) async fn shows(&mut self, party: Party, shown: Shown, online: &[PeerId]) {
        self.says_bytes(view(party, shown, online)).await;
    }

    /// The client answered everything before: it asks for a stranger and is told that there is none.
    pub(crate) async fn settles(&mut self, victim: &Victim) {
        let stranger = Party::Account(Cid(u64::MAX));
        let answer = async {
            let (id, _) = self.hears().await;
            self.says(id, &PeerAnswer::Found(stranger)).await;
        };
        let (found, ()) = join(victim.peers.find(stranger), answer).await;
        assert_eq!(found.unwrap(), stranger);
    }

    /// Leads a lane to the client, in whoever's name.
    pub(crate) async fn calls(&self, from: Party, device: PeerId) -> Channel {
        let head = wire::encode_lane(&LaneFrom { from, device }).unwrap();
        self.calls_with(head).await
    }

    /// The same with another first message.
    pub(crate) async fn calls_with(&self, head: Vec<u8>) -> Channel {
        let mut channel = self.session.open_service_channel("relay").unwrap();
        channel.send(head).await.unwrap();
        channel
    }

    /// The next lane that the client opens.
    pub(crate) async fn called(&self) -> (LaneOpen, Channel) {
        let mut channel = self.session.accept_service_channel().await.unwrap().unwrap();
        assert_eq!(channel.name(), b"\0citadel/relay");
        let head = channel.recv().await.unwrap().unwrap();
        (wire::decode_lane(&head).unwrap(), channel)
    }
}

/// The bytes of a view, written again: no server but this one says what it likes.
pub(crate) fn view(party: Party, shown: Shown, online: &[PeerId]) -> Vec<u8> {
    const BY_ITSELF: u64 = 0;
    const VIEW: u32 = 4;
    let bytes = |statement: &Vec<u8>| encode(statement).unwrap();
    let shown = match &shown {
        Shown::None => encode(&0_u32).unwrap(),
        Shown::AskedByYou => encode(&1_u32).unwrap(),
        Shown::AskedByThem { statement } => [encode(&2_u32).unwrap(), bytes(statement)].concat(),
        Shown::DeclinedByThem => encode(&3_u32).unwrap(),
        Shown::Peers { mine, theirs } => [encode(&4_u32).unwrap(), bytes(mine), bytes(theirs)].concat(),
        other => panic!("{other:?}"),
    };
    let nameless = encode(&(None::<&str>, None::<&str>)).unwrap();
    let online: Vec<[u8; 32]> = online.iter().map(|device| device.0).collect();
    let rest = encode(&(false, online, Vec::<Vec<u8>>::new())).unwrap();
    [encode(&(BY_ITSELF, VIEW)).unwrap(), encode(&party).unwrap(), nameless, shown, rest].concat()
}

/// What two said to become peers: the request of the one, the acceptance of the other.
pub(crate) struct Said {
    pub(crate) request: Vec<u8>,
    pub(crate) acceptance: Vec<u8>,
}

/// The one asks and the other accepts; the server hands both on, and has said nothing of it yet to the one who asked.
pub(crate) async fn agree(
    (one, line): (&Victim, &mut Line),
    (other, far): (&Victim, &mut Line),
    expect: Option<PeerId>,
) -> Said {
    let taken = async {
        let (id, ask) = line.hears().await;
        line.says(id, &PeerAnswer::Done).await;
        match ask {
            PeerAsk::Ask { statement, .. } => statement,
            other => panic!("{other:?}"),
        }
    };
    let (asked, request) = join(one.peers.ask(other.party, expect), taken).await;
    asked.unwrap();
    far.shows(one.party, Shown::AskedByThem { statement: request.clone() }, &[]).await;
    other.sees(one.party, Standing::Asking).await;
    let taken = async {
        let (id, ask) = far.hears().await;
        far.says(id, &PeerAnswer::Done).await;
        match ask {
            PeerAsk::Accept { statement, .. } => statement,
            other => panic!("{other:?}"),
        }
    };
    let (accepted, acceptance) = join(other.peers.accept(one.party, None), taken).await;
    accepted.unwrap();
    Said { request, acceptance }
}

/// Both are peers, told the truth and online.
pub(crate) async fn befriend((one, line): (&Victim, &mut Line), (other, far): (&Victim, &mut Line)) -> Said {
    let said = agree((one, line), (other, far), None).await;
    let Said { request, acceptance } = &said;
    let shown = Shown::Peers { mine: request.clone(), theirs: acceptance.clone() };
    line.shows(other.party, shown, &[other.device()]).await;
    let shown = Shown::Peers { mine: acceptance.clone(), theirs: request.clone() };
    far.shows(one.party, shown, &[one.device()]).await;
    one.peers.registered(other.party).await.unwrap();
    other.peers.registered(one.party).await.unwrap();
    said
}

/// Two who are peers, and their lines.
pub(crate) struct Two {
    pub(crate) liar: Liar,
    pub(crate) alice: Victim,
    pub(crate) bob: Victim,
    pub(crate) to_alice: Line,
    pub(crate) to_bob: Line,
    pub(crate) said: Said,
}

impl Two {
    pub(crate) async fn peers() -> Self {
        let liar = Liar::new();
        let (alice, mut to_alice) = liar.victim(0xA).await;
        let (bob, mut to_bob) = liar.victim(0xB).await;
        let said = befriend((&alice, &mut to_alice), (&bob, &mut to_bob)).await;
        Self { liar, alice, bob, to_alice, to_bob, said }
    }

    /// Alice's view of the truth.
    pub(crate) fn truth(&self) -> Shown {
        Shown::Peers { mine: self.said.request.clone(), theirs: self.said.acceptance.clone() }
    }

    pub(crate) async fn end(self) {
        self.alice.ends().await;
        self.bob.ends().await;
        drop(self.liar);
    }
}
