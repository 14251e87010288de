//! What a world is made of.

use super::air::Air;
use crate::world::Dice;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::{RekeyPolicy, SessionConfig};
use core::ops::RangeInclusive;
use core::time::Duration;

/// Every so many seeds agrees on real keys.
const REAL_EVERY: u64 = 25;
/// Every so many seeds, the last of them, seeks direct paths: TLS costs time.
const DIRECT_EVERY: u64 = 4;

/// The parts of a world that do not change.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All chance follows from it.
    pub seed: u64,
    /// Real key agreement in the place of the stand-in.
    pub is_real: bool,
    /// Clients, each an account with one device. All of them are peers.
    pub clients: usize,
    /// Paths break, the server restarts, clients go; else every wish is granted.
    pub is_rough: bool,
    /// Of sessions between peers.
    pub mode: SecrecyMode,
    /// Of sessions between peers.
    pub session: SessionConfig,
    /// Delay of each write on a path of a client.
    pub delay: RangeInclusive<Duration>,
    /// What lies between the clients, where direct paths are sought.
    pub air: Option<Air>,
}

impl Setup {
    const TIGHT: Limits =
        Limits { max_message: 400_000, session_credit: 64 << 10, channel_credit: 16 << 10, max_channels: 8 };

    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0x200);
        let background =
            RekeyPolicy::Background { records: 16, bytes: 100_000, interval: Duration::from_millis(50) };
        let rekey = dice.pick(&[RekeyPolicy::Explicit, RekeyPolicy::ByMode, background]);
        let session = SessionConfig {
            limits: dice.pick(&[Self::TIGHT, Limits::default()]),
            send_buffer: dice.pick(&[32 << 10, 1 << 20]),
            resume: Duration::from_secs(dice.pick(&[0, 2, 10, 10, 30])),
            services: true,
            rekey,
            ..SessionConfig::default()
        };
        let low = Duration::from_micros(dice.pick(&[0, 500, 5_000]));
        let jitter = Duration::from_micros(dice.pick(&[0, 2_000, 20_000]));
        let clients = dice.pick(&[2, 2, 3, 3, 4]);
        Self {
            seed,
            is_real: seed.is_multiple_of(REAL_EVERY),
            clients,
            air: (seed % DIRECT_EVERY == DIRECT_EVERY - 1).then(|| Air::of(seed, clients)),
            is_rough: dice.percent(80),
            mode: dice.pick(&[SecrecyMode::BestEffort, SecrecyMode::Perfect]),
            session,
            delay: low..=low + jitter,
        }
    }

    /// Whether a session of the two gets a direct path when it is left in peace.
    pub(super) fn allows_direct(&self, one: usize, other: usize) -> bool {
        // Whoever cannot resume stays where it is.
        !self.session.resume.is_zero() && self.air.as_ref().is_some_and(|air| air.allows(one, other))
    }
}
