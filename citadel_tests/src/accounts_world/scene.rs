//! The nodes: one server with accounts in memory, devices, and the network's weather.

use super::device::Device;
use super::model::Model;
use super::{Report, dice};
use crate::canary;
use crate::quick_hasher::Quick;
use crate::world::Log;
use crate::world::crypto::{WorldProvider, identity};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{Cid, HandshakeConfig, Request, ServerConfig, SessionKind};
use citadel_proto::SessionConfig;
use citadel_proto::accounts::{Accounts, AccountsClock, AccountsConfig, Policy, RateLimits, SystemClock};
use citadel_proto::backend::{Backend, Memory};
use citadel_proto::driver::memory::{Faults, Network};
use citadel_proto::driver::{Arrived, Hub, Session, Transport};
use core::cell::RefCell;
use core::time::Duration;
use futures::future::join_all;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where the server listens.
pub(super) const ADDRESS: (&str, u16) = ("192.0.2.1", 7);
/// How long a session waits for another path.
pub(super) const RESUME: Duration = Duration::from_secs(10);

/// Everything.
pub(super) struct Scene {
    pub(super) log: Log,
    clock: SystemClock,
    pub(super) network: Network,
    pub(super) provider: Arc<WorldProvider>,
    pub(super) hub: Hub,
    pub(super) accounts: Accounts,
    pub(super) devices: usize,
    pub(super) users: usize,
    /// Paths break and devices give up; else everything is answered.
    pub(super) is_rough: bool,
    pub(super) model: RefCell<Model>,
    tasks: TaskTracker,
    stop: CancellationToken,
    seed: u64,
}

/// Time passes for whoever waits for this.
#[expect(clippy::disallowed_methods, reason = "the clock is paused: time is the script's")]
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(super) fn common(provider: &Arc<WorldProvider>, number: usize) -> HandshakeConfig {
    let provider = Arc::clone(provider);
    HandshakeConfig::new(provider, identity(number), SessionKind::C2S)
}

impl Scene {
    pub(super) async fn new(seed: u64, log: Log) -> Self {
        canary::watch();
        let mut dice = dice(seed, 0);
        let provider = WorldProvider::new(seed, false);
        let (hub, clock) = (Hub::new(), SystemClock::new());
        let policy = Policy { resume: RESUME, ..Policy::default() };
        let config = AccountsConfig { policy, rates: RateLimits::none(), ..AccountsConfig::default() };
        let accounts = Accounts::with_parts(
            hub.clone(),
            Arc::new(Memory::new()),
            config,
            Arc::<WorldProvider>::clone(&provider),
            Arc::new(Quick),
            Arc::new(clock),
        );
        let scene = Self {
            log,
            clock,
            network: Network::new(seed),
            provider,
            hub,
            accounts: accounts.expect("randomness is there"),
            devices: 2 + dice.index(4),
            users: 1 + dice.index(2),
            is_rough: dice.percent(75),
            model: RefCell::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            seed,
        };
        scene.serve().await;
        scene
    }

    /// The server: each stream is answered by a task that serves its session to the end.
    async fn serve(&self) {
        let config = ServerConfig::new(common(&self.provider, 0)).expect("randomness is there");
        let (config, hub, accounts) = (Arc::new(config), self.hub.clone(), self.accounts.clone());
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        let address = format!("{}:{}", ADDRESS.0, ADDRESS.1);
        let mut listener = self.network.listen(&address).await.expect("the network is empty");
        self.tasks.spawn(async move {
            while let Some(Ok(arrived)) = stop.run_until_cancelled(listener.accept()).await {
                tasks.spawn(answer(hub.clone(), accounts.clone(), Arc::clone(&config), arrived));
            }
        });
    }

    pub(super) fn say(&self, text: core::fmt::Arguments<'_>) {
        self.log.line(self.now(), text);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &**self.accounts.backend()
    }

    /// Lets devices live and the network break, then holds everybody to what was promised.
    pub(super) async fn play(self) -> Report {
        let mut devices: Vec<Device> = (0..self.devices).map(|n| Device::new(n, self.seed)).collect();
        let living = join_all(devices.iter_mut().map(|device| device.live(&self)));
        tokio::select! {
            biased;
            _lived = living => {}
            () = self.weather() => {}
        }
        self.finish(&mut devices).await;
        self.stop.cancel();
        self.hub.close(citadel_proto::CloseReason::GoingAway).await;
        self.tasks.close();
        self.tasks.wait().await;
        let left = (self.hub.sessions(), self.network.paths());
        assert_eq!(left, (0, 0), "sessions and paths are left");
        let model = self.model.into_inner();
        let gone = model.members.values().filter(|member| member.revoked.is_some()).count();
        let removed = model.accounts.values().filter(|account| account.removed_by.is_some()).count();
        Report {
            log: self.log,
            granted: model.granted,
            refused: model.refused,
            unanswered: model.unanswered,
            revoked: gone + removed,
        }
    }

    /// Cuts, at any byte and at any time, until it is dropped.
    async fn weather(&self) {
        if !self.is_rough {
            return core::future::pending().await;
        }
        let mut dice = dice(self.seed, 1);
        loop {
            pass(dice.time(Duration::from_secs(4))).await;
            match dice.below(6) {
                0 => {
                    self.network.take_down();
                    self.say(format_args!("the network is down"));
                    pass(dice.time(Duration::from_secs(14))).await;
                    self.network.heal();
                }
                1 | 2 => {
                    let cut = self.network.cut();
                    self.say(format_args!("{cut} paths are cut"));
                }
                3 | 4 => self.network.set_faults(Faults { cut_after: Some(0..=16_000), ..Faults::DELAYS }),
                _ => self.network.set_faults(Faults::DELAYS),
            }
        }
    }

    /// The server's sessions of a device that nobody has begun to close, by account.
    pub(super) fn sessions_of(&self, device: usize) -> Vec<Cid> {
        let peer = Device::identity(device).peer_id();
        let sessions = self.hub.sessions_of(peer).into_iter();
        sessions.filter(|session| session.closing().is_none()).filter_map(|session| session.cid()).collect()
    }

    /// One session of a device in an account, and none of one that was shut out.
    pub(super) fn check_sessions(&self, is_calm: bool) {
        let model = self.model.borrow();
        for device in 0..self.devices {
            let mut cids = self.sessions_of(device);
            for cid in &cids {
                let may = model.may_have_session(*cid, device, is_calm);
                assert!(may, "device {device} was shut out and has a session");
            }
            let count = cids.len();
            cids.sort();
            cids.dedup();
            assert_eq!(cids.len(), count, "device {device} has two sessions of an account");
        }
    }
}

async fn answer(hub: Hub, accounts: Accounts, config: Arc<ServerConfig>, arrived: Arrived) {
    let services = SessionConfig { services: true, resume: RESUME, ..SessionConfig::default() };
    // A handshake that fails is the network's doing; its client knows.
    let Ok(identified) = hub.identify(arrived.io, b"source", config, services, false).await else { return };
    let is_new = !matches!(identified.request(), Request::Resume(_));
    let admitted: Result<Session, _> = accounts.admit(identified, arrived.remote.ip()).await;
    if let Ok(session) = admitted
        && is_new
    {
        accounts.serve(&session).await;
    }
}
