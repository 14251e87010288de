//! Sixty-four lanes to one client: one is not read, one is greedy, and the rest get the same.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Cid, ClientConfig, DeviceName, DisplayName, HandshakeConfig, Request, ServerConfig, SessionKind, Trust,
    UserName,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use citadel_proto::accounts::{Accounts, AccountsConfig, RateLimits};
use citadel_proto::backend::{Backend, Device, Memory, NewAccount, PairLimits, PasswordHash, UnixTime};
use citadel_proto::driver::memory::{Faults, Pipe, pair_with};
use citadel_proto::driver::{Channel, Hub, Session};
use citadel_proto::peers::wire::{self, LaneFrom, LaneOpen};
use citadel_proto::peers::{Pair, Party, Stance, Switchboard};
use citadel_proto::{CloseReason, LANE_WINDOW, SessionConfig};
use citadel_tests::canary::{self, marked};
use core::time::Duration;
use futures::future::join_all;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

const LANES: usize = 64;
const STALLED: usize = 0;
const GREEDY: usize = 1;
const SMALL: usize = 1_350;
const LARGE: usize = 60_000;
/// How long is counted.
const TIME: Duration = Duration::from_secs(4);
/// Of who is called.
const CALLED: u64 = 1_000;

fn common(identity: &Arc<Identity>) -> HandshakeConfig {
    HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), SessionKind::C2S)
}

fn services() -> SessionConfig {
    SessionConfig { services: true, ..SessionConfig::default() }
}

fn user(number: u64) -> UserName {
    UserName::new(format!("user {number}")).unwrap()
}

/// A server, and everybody's account at it; all are peers of who is called.
struct Post {
    identity: Arc<Identity>,
    hub: Hub,
    accounts: Accounts,
    board: Switchboard,
    tasks: TaskTracker,
}

impl Post {
    fn new() -> Self {
        canary::watch();
        let (identity, hub, tasks) = (Arc::new(Identity::generate()), Hub::new(), TaskTracker::new());
        let config = AccountsConfig { rates: RateLimits::none(), ..AccountsConfig::default() };
        let accounts = Accounts::new(hub.clone(), Arc::new(Memory::new()), config, Arc::new(Native)).unwrap();
        let board = Switchboard::new(accounts.clone(), identity.peer_id(), tasks.clone());
        Self { identity, hub, accounts, board, tasks }
    }

    fn backend(&self) -> &dyn Backend {
        &**self.accounts.backend()
    }

    async fn enrol(&self, cid: u64, device: PeerId) {
        let account = NewAccount {
            cid: Cid(cid),
            user: user(cid),
            display_name: DisplayName::new("of the test").unwrap(),
            password: PasswordHash::new("none").unwrap(),
            created: UnixTime(1),
        };
        let device = Device::new(device, DeviceName::new("a device").unwrap(), UnixTime(1));
        self.backend().create_account(account, device).await.unwrap();
        if cid == CALLED {
            return;
        }
        let limits = PairLimits { pairs: 1_024, requests: 64, now: UnixTime(1) };
        let mut pair = Pair::default();
        for half in [&mut pair.lower, &mut pair.upper] {
            half.stance = Stance::Accepted;
        }
        self.backend().put_pair(Cid(cid), Cid(CALLED), &pair, None, limits).await.unwrap();
    }

    /// An account's client with its session.
    async fn client(&self, cid: u64) -> (Hub, Session, PeerId) {
        let identity = Arc::new(Identity::generate());
        self.enrol(cid, identity.peer_id()).await;
        let delay = Duration::from_millis(2);
        let (near, far) = pair_with(cid, Faults { delay: delay..=delay, cut_after: None });
        self.tasks.spawn(self.serve(far));
        let request = Request::Login { user: user(cid) };
        let trust = Trust::Peer(self.identity.peer_id());
        let config = ClientConfig { request: request.into(), ..ClientConfig::new(common(&identity), trust) };
        let hub = Hub::new();
        let session = hub.connect(near, config, services(), None).await.unwrap();
        (hub, session, identity.peer_id())
    }

    fn serve(&self, io: Pipe) -> impl Future<Output = ()> + Send + 'static {
        let config = Arc::new(ServerConfig::new(common(&self.identity)).unwrap());
        let (hub, accounts, board) = (self.hub.clone(), self.accounts.clone(), self.board.clone());
        async move {
            let identified = hub.identify(io, b"source", config, services(), false).await.unwrap();
            let session = accounts.admit(identified, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
            let attendance = board.attend(&session);
            accounts.serve_beside(&session, |channel| attendance.take(channel)).await;
        }
    }
}

/// Messages and bytes of each lane.
#[derive(Clone, Copy, Default)]
struct Count {
    messages: u64,
    bytes: u64,
}

type Counts = Arc<Mutex<[Count; LANES]>>;

fn add(counts: &Counts, lane: usize, bytes: usize) {
    let count = &mut counts.lock()[lane];
    count.messages += 1;
    count.bytes += bytes as u64;
}

/// As much as goes, until the lane is over.
async fn send(session: Session, lane: usize, to: LaneOpen, sent: Counts) {
    let mut channel = session.open_service_channel("relay").unwrap();
    channel.send(wire::encode_lane(&to).unwrap()).await.unwrap();
    let message = bytes::Bytes::from(marked(vec![lane as u8; if lane == GREEDY { LARGE } else { SMALL }]));
    while channel.send(message.clone()).await.is_ok() {
        add(&sent, lane, message.len());
    }
}

/// Everything that comes, but on the lane that is not read.
async fn read(mut channel: Channel, taken: Counts) {
    let head = channel.recv().await.unwrap().unwrap();
    let LaneFrom { from, .. } = wire::decode_lane(&head).unwrap();
    let lane = usize::try_from(from.cid().unwrap().0).unwrap() - 1;
    if lane == STALLED {
        core::future::pending::<()>().await;
    }
    while let Ok(Some(message)) = channel.recv().await {
        add(&taken, lane, message.len());
    }
}

/// Jain, Chiu, Hawe, "A quantitative measure of fairness" (1984): 1 when all get the same.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (shares.len() as f64 * squares)
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stalls_and_one_that_is_greedy_take_nothing_from_the_rest() {
    let post = Post::new();
    let (called_hub, called, device) = post.client(CALLED).await;
    let senders = join_all((1..=LANES as u64).map(|cid| post.client(cid))).await;
    let (sent, taken) = (
        Counts::new(Mutex::new([Count::default(); LANES])),
        Counts::new(Mutex::new([Count::default(); LANES])),
    );
    let users = TaskTracker::new();
    let to = LaneOpen { to: Party::Account(Cid(CALLED)), device };
    for (lane, (_, session, _)) in senders.iter().enumerate() {
        users.spawn(send(session.clone(), lane, to, Arc::clone(&sent)));
    }
    let (reads, counts, of_called) = (users.clone(), Arc::clone(&taken), called.clone());
    users.spawn(async move {
        while let Ok(Some(channel)) = of_called.accept_service_channel().await {
            reads.spawn(read(channel, Arc::clone(&counts)));
        }
    });
    let begin = now() + Duration::from_secs(1);
    sleep_until(begin).await;
    let before = *taken.lock();
    sleep_until(begin + TIME).await;
    let (after, offered) = (*taken.lock(), *sent.lock());
    assert_eq!(post.board.lanes(), LANES);
    let shares: Vec<f64> =
        (2..LANES).map(|lane| (after[lane].messages - before[lane].messages) as f64).collect();
    let index = jain(&shares);
    let greedy = after[GREEDY].bytes - before[GREEDY].bytes;
    let total: f64 = shares.iter().sum::<f64>() * SMALL as f64;
    println!(
        "Jain's index of {} lanes: {index:.4}; each {:.0} KB/s, the greedy one {:.0} KB/s",
        shares.len(),
        total / shares.len() as f64 / TIME.as_secs_f64() / 1e3,
        greedy as f64 / TIME.as_secs_f64() / 1e3
    );
    assert!(shares.iter().all(|share| *share > 0.0));
    assert!(index >= 0.95, "{index}");
    // What is on the way of a lane fits into the windows of its two legs, and the one message that the server has in hand.
    let most = 2 * LANE_WINDOW + LARGE as u64;
    for (lane, (sent, taken)) in offered.iter().zip(&after).enumerate() {
        let under_way = sent.bytes - taken.bytes;
        assert!(under_way <= most, "lane {lane}: {under_way} bytes are under way, at most {most} may be");
    }
    assert!(offered[STALLED].bytes > 0 && after[STALLED].bytes == 0);
    called.abort();
    called_hub.close(CloseReason::GoingAway).await;
    for (hub, session, _) in senders {
        session.abort();
        hub.close(CloseReason::GoingAway).await;
    }
    post.hub.close(CloseReason::GoingAway).await;
    let ended = timeout(Duration::from_secs(60), async {
        post.tasks.close();
        post.tasks.wait().await;
    });
    ended.await.unwrap();
    assert_eq!((post.board.lanes(), post.board.parties()), (0, 0));
}
