//! Two managers of one session over an in-memory path, with everything that a test asks about them.
//!
//! Owns: the path and its faults, the count of round secrets, what must be true after every round and at the end.
//! Never: a stand-in for crypto or for the manager itself.

mod counting;
mod link;

pub use counting::{CountingProvider, RoundSecrets};
pub use link::{Fate, Link, LinkCut, LinkSink, LinkStream, Rule, link};

use crate::canary;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::InitialSecrets;
use citadel_crypt::ratchets::end::EndReason;
use citadel_crypt::ratchets::manager_config::{ManagerConfig, RoundPolicy};
use citadel_crypt::ratchets::messenger::Messenger;
use citadel_crypt::ratchets::ratchet_manager::{RatchetManager, SessionKeys};
use citadel_crypt::ratchets::rekey::{RekeyOutcome, Role, Side, Version};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::Suite;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// What a test chooses.
#[derive(Clone)]
pub struct Setting {
    /// Secrecy mode of the session.
    pub mode: SecrecyMode,
    /// When rounds start by themselves.
    pub rounds: RoundPolicy,
    /// Whether the path keeps order and loses nothing.
    pub ordered: bool,
    /// One way.
    pub latency: Duration,
    /// Records in flight in one direction before its sink blocks.
    pub capacity: usize,
    /// W.
    pub window: u8,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            mode: SecrecyMode::BestEffort,
            rounds: RoundPolicy::OnDemand,
            ordered: true,
            latency: Duration::ZERO,
            capacity: 1024,
            window: 4,
        }
    }
}

/// One end: a handle and what is counted beside it.
pub struct Peer<H> {
    /// The handle under test.
    pub handle: H,
    /// Its round secrets.
    pub secrets: Arc<RoundSecrets>,
    /// Records on their way from this end.
    pub out: Link,
    tasks: TaskTracker,
}

/// Both ends.
pub struct World<H> {
    /// The side that opened the session.
    pub initiator: Peer<H>,
    /// The other.
    pub responder: Peer<H>,
}

/// What a handle's manager is.
pub trait HasManager {
    /// The manager.
    fn manager(&self) -> &RatchetManager;
}

impl HasManager for RatchetManager {
    fn manager(&self) -> &RatchetManager {
        self
    }
}

impl HasManager for Messenger {
    fn manager(&self) -> &RatchetManager {
        Self::manager(self)
    }
}

/// Two managers without messages.
pub fn managers(setting: &Setting) -> World<RatchetManager> {
    world(setting, RatchetManager::spawn)
}

/// Two messengers.
pub fn messengers(setting: &Setting) -> World<Messenger> {
    world(setting, Messenger::spawn)
}

fn world<H>(
    setting: &Setting,
    spawn: impl Fn(SessionKeys, ManagerConfig, LinkSink, LinkStream) -> H,
) -> World<H> {
    canary::watch();
    let (there, sink_there, stream_there) = link(setting.capacity, setting.latency);
    let (back, sink_back, stream_back) = link(setting.capacity, setting.latency);
    let initiator = peer(setting, Side::Initiator, there, |k, c| spawn(k, c, sink_there, stream_back));
    let responder = peer(setting, Side::Responder, back, |k, c| spawn(k, c, sink_back, stream_there));
    World { initiator, responder }
}

fn peer<H>(
    setting: &Setting,
    side: Side,
    out: Link,
    spawn: impl FnOnce(SessionKeys, ManagerConfig) -> H,
) -> Peer<H> {
    let provider = CountingProvider::default();
    let secrets = provider.secrets();
    let keys = initial().into_parts(Arc::new(provider), side, setting.mode, None);
    let config = config(setting, &keys);
    let tasks = config.tasks.clone();
    let handle = spawn(keys, config);
    tasks.close();
    Peer { handle, secrets, out, tasks }
}

/// What a handshake would leave at both ends.
fn initial() -> InitialSecrets {
    let session_id = *b"session of two managers in tests";
    InitialSecrets { session_id, suite: Suite::DEFAULT, hs: Secret::copy_from(&[0x42; 32]), th0: [0x17; 32] }
}

/// The configuration of one end under `setting`.
pub fn config(setting: &Setting, keys: &SessionKeys) -> ManagerConfig {
    let mut config = ManagerConfig::new(keys);
    config.rekey.window = setting.window;
    config.rekey.reliable_path = setting.ordered;
    config.rounds = setting.rounds;
    config
}

impl<H: HasManager> World<H> {
    /// Waits until both ends are at `version` or above.
    pub async fn both_at(&self, version: Version) {
        for peer in [&self.initiator, &self.responder] {
            let mut versions = peer.handle.manager().subscribe();
            versions.wait_for(|v| *v >= version).await.expect("the manager lives");
        }
    }

    /// What must hold when no round is under way: same version, same keys at every version of both windows, no
    /// round secret, nobody waiting.
    pub fn assert_agreed(&self) {
        let [a, b] = [&self.initiator, &self.responder].map(|peer| peer.handle.manager());
        assert_eq!(a.version(), b.version());
        let latest = a.version().0;
        assert_eq!(a.fingerprint(Version(latest)), b.fingerprint(Version(latest)));
        assert!(a.fingerprint(Version(latest)).is_some());
        let both = (0..=latest)
            .filter(|&v| a.fingerprint(Version(v)).is_some() && b.fingerprint(Version(v)).is_some());
        both.for_each(|v| assert_eq!(a.fingerprint(Version(v)), b.fingerprint(Version(v)), "version {v}"));
        self.assert_secrets_bounded();
        for peer in [&self.initiator, &self.responder] {
            assert_eq!(peer.secrets.alive(), 0, "a round secret outlived its round");
            assert_eq!(peer.handle.manager().waiting(), 0);
        }
    }

    /// At no moment more than one round secret at either end.
    pub fn assert_secrets_bounded(&self) {
        assert!(self.initiator.secrets.most() <= 1 && self.responder.secrets.most() <= 1);
    }

    /// Waits until nothing is on its way and no round is under way. Only under a paused clock or soon after the
    /// last input.
    pub async fn settle(&self) {
        while self.initiator.out.in_flight() + self.responder.out.in_flight() > 0
            || self.initiator.secrets.alive() + self.responder.secrets.alive() > 0
            || self.initiator.handle.manager().version() != self.responder.handle.manager().version()
        {
            pause().await;
        }
        pause().await;
    }

    /// Closes both ends and sees that nothing is left: no task, no secret, no waiter.
    pub async fn finish(self) {
        let Self { initiator, responder } = self;
        for peer in [&initiator, &responder] {
            let stats = peer.handle.manager().stats().rekey;
            assert_eq!(
                stats.wrong_version, 0,
                "a rekey message was sealed under a version that is not its own"
            );
        }
        let reason = initiator.handle.manager().close().await;
        assert!(matches!(reason, EndReason::Local), "{reason}");
        let reason = responder.handle.manager().closed().await;
        assert!(matches!(reason, EndReason::Peer), "{reason}");
        for peer in [initiator, responder] {
            peer.assert_nothing_left().await;
        }
    }
}

/// Lets a millisecond pass: every task that can move does.
async fn pause() {
    tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_or_default();
}

impl<H> Peer<H> {
    /// The handle, and the tracker of its task.
    pub fn into_parts(self) -> (H, TaskTracker) {
        (self.handle, self.tasks)
    }

    /// The end is over: its task is gone and its secrets with it.
    pub async fn assert_nothing_left(self) {
        drop(self.handle);
        self.tasks.wait().await;
        assert!(self.tasks.is_empty());
        assert_eq!(self.secrets.alive(), 0);
    }
}

/// The two callers of one step saw the same thing if one round served both: the same version names the same
/// round, with opposite roles.
pub fn assert_same_round(a: RekeyOutcome, b: RekeyOutcome) {
    if a.version == b.version {
        assert_eq!(a.round, b.round);
        assert_eq!(a.round.version, a.version);
        assert!(matches!((a.role, b.role), (Role::Leader, Role::Loser) | (Role::Loser, Role::Leader)));
    }
}
