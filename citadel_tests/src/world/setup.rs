//! What a world is made of.

use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::RekeyPolicy;
use citadel_proto::session::SessionConfig;
use core::time::Duration;

/// The parts of a world that do not change.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All chance follows from it.
    pub seed: u64,
    /// Real key agreement in the place of the stand-in.
    pub is_real: bool,
    /// Clients.
    pub clients: usize,
    /// Sessions of each client at a time.
    pub lines: usize,
    /// Of both ends.
    pub mode: SecrecyMode,
    /// Of both ends.
    pub config: SessionConfig,
    /// Longest delay of a path in one direction.
    pub delay: Duration,
    /// Most of what comes on top, anew for each piece.
    pub jitter: Duration,
    /// Most bytes in flight in one direction.
    pub capacity: usize,
}

impl Setup {
    /// Little credit, so that senders wait.
    pub const TIGHT: Limits =
        Limits { max_message: 400_000, session_credit: 64 << 10, channel_credit: 16 << 10, max_channels: 4 };
    /// Some credit.
    pub const MEDIUM: Limits = Limits {
        max_message: 400_000,
        session_credit: 512 << 10,
        channel_credit: 128 << 10,
        max_channels: 6,
    };

    /// One client with one session over a short path: what a schedule of a property test runs on.
    pub fn simple(seed: u64) -> Self {
        let config = SessionConfig {
            limits: Self::TIGHT,
            resume: Duration::from_secs(10),
            send_buffer: 64 << 10,
            rekey: RekeyPolicy::Explicit,
            services: true,
            ..SessionConfig::default()
        };
        Self {
            seed,
            is_real: false,
            clients: 1,
            lines: 1,
            mode: SecrecyMode::BestEffort,
            config,
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(2),
            capacity: 64 << 10,
        }
    }
}
