//! Limits and durations of a session, each with the reason for its default.

use crate::shutdown::ShutdownConfig;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::KeyLimits;
use citadel_crypt::ratchets::rekey::{Reauth, Timing};
use core::time::Duration;

/// What a session is told once.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// What this end takes: the same limits that its handshake announced.
    pub limits: Limits,
    /// Most units that a channel keeps for the peer, whatever credit it gives; a longer message still goes alone. 1 MiB,
    /// as the default credit.
    pub send_buffer: u64,
    /// Most units of datagrams that wait to be sent, and as many that wait to be taken, where somebody asked for them: 64 for
    /// each and its bytes; the oldest go for new ones. 256 KiB: a picture of video in packets, or a tenth of a second of
    /// 20 Mbit/s.
    pub datagram_buffer: u64,
    /// Longest time without a path before the session ends; zero where a lost path ends it at once. Zero by default: a
    /// resumption needs someone who dials again or takes it in, which is what a node adds.
    pub resume: Duration,
    /// Whether the peer may open service channels: those of nodes, which applications never see. Not by default: a
    /// session without services resets them.
    pub services: bool,
    /// Deadlines of the close.
    pub shutdown: ShutdownConfig,
    /// Silence after which the peer is asked for a sign of life. 10 s: under the usual half minute of address translators.
    pub ping_after: Duration,
    /// Silence after which the path counts as lost. 30 s: three pings.
    pub dead_after: Duration,
    /// Time without a message after which the session closes; `None` for never.
    pub idle_after: Option<Duration>,
    /// Longest time that an acknowledgement waits for data to travel with. 25 ms: below what a person notices.
    pub ack_delay: Duration,
    /// When rounds start by themselves.
    pub rekey: RekeyPolicy,
    /// How much one key may carry before a round is due, and before the session ends; both ends hold the peer to their own.
    pub key_limits: KeyLimits,
    /// Timers of rounds.
    pub rekey_timing: Timing,
    /// When rounds are signed; `None` where the ends have no identities to sign with.
    pub reauth: Option<Reauth>,
    /// Longest life of a version; a round is due an hour before, or at half of it if that is later. 24 h (R-CRY-5).
    pub version_age: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            send_buffer: 1 << 20,
            datagram_buffer: 256 << 10,
            resume: Duration::ZERO,
            services: false,
            shutdown: ShutdownConfig::default(),
            ping_after: Duration::from_secs(10),
            dead_after: Duration::from_secs(30),
            idle_after: None,
            ack_delay: Duration::from_millis(25),
            rekey: RekeyPolicy::default(),
            key_limits: KeyLimits::default(),
            rekey_timing: Timing::default(),
            reauth: Some(Reauth::default()),
            version_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// When rounds start without anyone asking. Worn keys and old versions start one in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RekeyPolicy {
    /// In `Perfect` mode as [`RekeyPolicy::BACKGROUND`], in `BestEffort` not.
    #[default]
    ByMode,
    /// Only by request.
    Explicit,
    /// While messages flow: when this many records with messages, or bytes in them, and this much time have passed since
    /// the last round.
    Background {
        /// Records, both directions together.
        records: u64,
        /// Bytes, both directions together.
        bytes: u64,
        /// Time.
        interval: Duration,
    },
}

impl RekeyPolicy {
    /// 64 records, or the 4 MiB that so many can hold, and 50 ms: a round costs less than 64 records, and no path has many
    /// rounds in flight (R-CRY-6).
    pub const BACKGROUND: Self =
        Self::Background { records: 64, bytes: 4 << 20, interval: Duration::from_millis(50) };

    /// The background rounds of a session in `mode`.
    pub(super) const fn background(self, mode: SecrecyMode) -> Option<Background> {
        match (self, mode) {
            (Self::Background { records, bytes, interval }, _) => {
                Some(Background { records, bytes, interval })
            }
            (Self::ByMode, SecrecyMode::Perfect) => Self::BACKGROUND.background(mode),
            _ => None,
        }
    }
}

/// When a background round is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Background {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) interval: Duration,
}
