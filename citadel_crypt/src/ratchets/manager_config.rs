//! What a manager is told once: limits and durations, each with the reason for its default.

use super::ratchet_manager::SessionKeys;
use super::rekey::{Reauth, RekeyConfig};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Credit that both ends start from without a word, in bytes of message cost: two of the longest messages.
pub(crate) const INITIAL_CREDIT: u32 = 128 * 1024 + 128;

/// Configuration of a [`RatchetManager`](super::ratchet_manager::RatchetManager) and its messenger.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// The machine's part. `reliable_path` says that the sink and the stream deliver everything in order; then
    /// no message is lost and a record that does not open ends the session. Without it records may be lost,
    /// doubled and reordered: nothing is sent again but rekey messages, and messages that find the reader's
    /// queue full are dropped and counted.
    pub rekey: RekeyConfig,
    /// When rounds start by themselves.
    pub rounds: RoundPolicy,
    /// The longest wait of one rekey call: ten seconds is far above any round trip, so it only ends waits for a
    /// peer that is silent.
    pub deadline: Duration,
    /// How long `close` waits for queued messages to leave.
    pub flush_deadline: Duration,
    /// How long the last record may wait for the sink.
    pub announce_deadline: Duration,
    /// Age at which a version is replaced even if nobody asked (R-CRY-5).
    pub max_version_age: Duration,
    /// Bytes of messages that may wait here for the sink; a message counts 64 more than its length. At least
    /// the longest message.
    pub send_queue: u32,
    /// Bytes of messages that may wait for the reader; at least what both ends start from, 128 KiB.
    pub receive_window: u32,
    /// Where the manager's one task is spawned: empty again when the task is over.
    pub tasks: TaskTracker,
    /// Cancels the task from outside.
    pub token: CancellationToken,
}

impl ManagerConfig {
    /// Defaults for the session of `keys`: its side and suite; signed rounds where its ends have identities.
    pub fn new((toolset, agreement): &SessionKeys) -> Self {
        let mut rekey = RekeyConfig::new(toolset.side(), toolset.suite().id());
        rekey.reauth = agreement.signs().then(Reauth::default);
        Self {
            rekey,
            rounds: RoundPolicy::ByMode,
            deadline: Duration::from_secs(10),
            flush_deadline: Duration::from_secs(5),
            announce_deadline: Duration::from_secs(1),
            max_version_age: Duration::from_secs(24 * 3600),
            send_queue: INITIAL_CREDIT,
            receive_window: INITIAL_CREDIT,
            tasks: TaskTracker::new(),
            token: CancellationToken::new(),
        }
    }

    /// Outcomes that stay readable: those of the last W commits.
    pub(crate) fn remembered(&self) -> usize {
        usize::from(self.rekey.window.clamp(2, 16))
    }

    pub(crate) fn send_queue(&self) -> u32 {
        self.send_queue.max(INITIAL_CREDIT / 2)
    }

    pub(crate) fn receive_window(&self) -> u32 {
        self.receive_window.max(INITIAL_CREDIT)
    }
}

/// When rounds start without anyone asking. A key near its limit or of age always starts one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RoundPolicy {
    /// `Perfect`: as [`Background`](Self::Background) with 64 records and 50 ms (R-CRY-6). `BestEffort`: as
    /// [`OnDemand`](Self::OnDemand).
    ByMode,
    /// Only when asked.
    OnDemand,
    /// While data flows: when this many records and this much time have passed since the last commit.
    Background {
        /// Records, both directions together.
        records: u64,
        /// Time.
        interval: Duration,
    },
    /// Strict: every message goes out under a version that no earlier message of its sender used, so each
    /// message waits for a completed round. The only policy under which sending waits; after a halt none goes out.
    PerMessage,
}

impl RoundPolicy {
    /// What `Perfect` does by default.
    pub(crate) const PERFECT: Self = Self::Background { records: 64, interval: Duration::from_millis(50) };
}
