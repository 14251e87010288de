//! What lies between clients that seek direct paths: where each is, and what happens to packets on the way.

use crate::nat::NatKind;
use crate::world::Dice;
use citadel_proto::peers::{Direct, DirectConfig};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::net::Ipv4Addr;

/// Where a client is, and what it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its translator; none at a public address.
    pub nat: Option<NatKind>,
    /// Whether it seeks direct paths.
    pub is_on: bool,
}

/// The ways of UDP in a world.
#[derive(Clone, Debug)]
pub struct Air {
    /// Of each client.
    pub places: Vec<Place>,
    /// Packets lost of a hundred.
    pub loss: u64,
    /// Packets that come twice of a hundred.
    pub twice: u64,
    /// How long a packet takes; shorter ones overtake.
    pub delay: RangeInclusive<Duration>,
    /// Whether clients tell the addresses of their interfaces.
    pub interfaces: bool,
    /// Shortest and longest pause between attempts.
    pub pauses: (Duration, Duration),
    /// Silence until something is sent on a direct path, and until it is dead.
    pub silence: (Duration, Duration),
    /// After which translators forget what nothing has gone out by: longer than that, or no path would last.
    pub binding: Duration,
}

impl Air {
    /// That of the world of a seed.
    pub(super) fn of(seed: u64, clients: usize) -> Self {
        let mut dice = Dice::new(seed, 0x203);
        let natural = |dice: &mut Dice| dice.pick(&NatKind::ALL);
        let place =
            |dice: &mut Dice| Place { nat: dice.percent(80).then(|| natural(dice)), is_on: dice.percent(85) };
        let places = (0..clients).map(|_| place(&mut dice)).collect();
        let (low, jitter) = (dice.pick(&[1, 5, 40]), dice.pick(&[0, 10, 60]));
        let (loss, twice) = (dice.pick(&[0, 0, 2, 10]), dice.pick(&[0, 3]));
        let (interfaces, pause) = (dice.percent(70), dice.pick(&[1, 5]));
        let (quiet, dead) = dice.pick(&[(1, 4), (5, 15)]);
        Self {
            places,
            loss,
            twice,
            delay: Duration::from_millis(low)..=Duration::from_millis(low + jitter),
            interfaces,
            pauses: (Duration::from_secs(pause), Duration::from_secs(20)),
            silence: (Duration::from_secs(quiet), Duration::from_secs(dead)),
            binding: Duration::from_secs(quiet * dice.pick(&[4, 6, 24])),
        }
    }

    /// What a client is told.
    pub(super) fn direct(&self, client: usize) -> Direct {
        if !self.places[client].is_on {
            return Direct::Off;
        }
        Direct::On(DirectConfig {
            bind: (Ipv4Addr::UNSPECIFIED, 0).into(),
            interfaces: self.interfaces,
            pauses: self.pauses,
            keep_alive: self.silence.0,
            dead_after: self.silence.1,
            ..DirectConfig::default()
        })
    }

    /// Whether both want a direct path.
    pub(super) fn is_wanted(&self, one: usize, other: usize) -> bool {
        [one, other].iter().all(|client| self.places.get(*client).is_some_and(|place| place.is_on))
    }

    /// Whether there is one, too.
    pub(super) fn allows(&self, one: usize, other: usize) -> bool {
        let is_hopeless = match (self.places[one].nat, self.places[other].nat) {
            (Some(one), Some(other)) => one.is_hopeless_with(other),
            _ => false,
        };
        self.is_wanted(one, other) && !is_hopeless
    }
}
