//! One end: the real machine, its stand-in keys, what its user may still do, and what was promised to its user.

use super::agreement::{Committed, Facts, StandIn, secrets_alive};
use super::packet::Packet;
use super::scenario::{Network, Scenario};
use crate::rekey::{
    Lifecycle, Phase, Reauth, RekeyConfig, RekeyMachine, Side, Timestamp, Timing, TokenBucket, Version, View,
};
use std::time::Duration;

/// A drain takes this long, everything else no time at all: it ends when the clock moves, and only then.
pub(super) const DRAIN: Duration = Duration::from_secs(3600);

/// Suite number of the stand-in.
const SUITE: u16 = 0x5354;

/// A budget for data records that sending does not reduce.
pub(super) const UNLIMITED: u8 = u8::MAX;

/// One end of the session.
#[derive(Clone)]
pub(super) struct End {
    pub(super) machine: RekeyMachine<StandIn>,
    /// Moves at the end of a drain only; behaviour depends on differences, so it is no part of the key.
    pub(super) now: Timestamp,
    pub(super) budget: Budget,
    /// The version that a waiter was promised and did not get; `None` after withdrawal and halt.
    pub(super) promised: Option<Version>,
}

/// What the user of one end may still do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Budget {
    pub(super) triggers: u8,
    pub(super) withdrawals: u8,
    pub(super) data: u8,
}

/// Identity of an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct EndKey {
    pub(super) view: View,
    facts: Facts,
    pub(super) budget: Budget,
    pub(super) promised: Option<Version>,
    /// That a timer is armed, and that one is due, is all that is left of time.
    pub(super) timer: Option<bool>,
}

/// What the checks of two ends need, as plain words.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) phase: Phase,
    pub(super) lifecycle: Lifecycle,
    pub(super) latest: Version,
    pub(super) earliest: Version,
    pub(super) floor: u64,
    pub(super) want: Option<Version>,
    pub(super) promised: Option<Version>,
    pub(super) candidate: Option<(Version, u64)>,
    pub(super) chain: Vec<Committed>,
}

impl Picture {
    /// Fingerprint of the key with which this end opens records under `version`.
    pub(super) fn opens(&self, version: Version) -> Option<u64> {
        if let Some((candidate, fingerprint)) = self.candidate
            && candidate == version
        {
            return Some(fingerprint);
        }
        (self.earliest <= version && version <= self.latest).then(|| self.fingerprint(version)).flatten()
    }

    /// Fingerprint of a version of the own history.
    pub(super) fn fingerprint(&self, version: Version) -> Option<u64> {
        fingerprint(&self.chain, version)
    }
}

pub(super) fn fingerprint(chain: &[Committed], version: Version) -> Option<u64> {
    match usize::try_from(version.0).ok()?.checked_sub(1) {
        None => Some(StandIn::genesis()),
        Some(index) => chain.get(index).map(|committed| committed.fingerprint),
    }
}

impl End {
    pub(super) fn new(scenario: &Scenario, side: Side) -> Self {
        let unlimited = TokenBucket { burst: u32::MAX, refill: Duration::ZERO };
        let config = RekeyConfig {
            side,
            suite: SUITE,
            window: scenario.window,
            reliable_path: false,
            timing: Timing { min_drain: DRAIN, max_drain: DRAIN, ..Timing::ZERO },
            reauth: scenario.unsigned_rounds.map(|rounds| Reauth { interval: Duration::MAX, rounds }),
            replacement: unlimited,
            signed_replacement: unlimited,
        };
        let budget = Budget {
            triggers: scenario.triggers,
            withdrawals: scenario.withdrawals,
            data: if scenario.network == Network::AnyOrder && scenario.data > 0 {
                UNLIMITED
            } else {
                scenario.data
            },
        };
        let machine = RekeyMachine::new(config, StandIn::new(), Timestamp::ZERO);
        Self { machine, now: Timestamp::ZERO, budget, promised: None }
    }

    pub(super) fn key(&self) -> EndKey {
        let view = self.machine.view();
        let facts = self.machine.provider().facts(view.next_attempt, view.peer_floor);
        let timer = self.machine.poll_timeout().map(|(when, _)| when <= self.now);
        EndKey { view, facts, budget: self.budget, promised: self.promised, timer }
    }

    pub(super) fn picture(&mut self) -> Picture {
        let view = self.machine.view();
        let candidate = self.machine.candidate_mut();
        let candidate = candidate.map(|(version, candidate)| (version, candidate.fingerprint()));
        Picture {
            phase: view.phase,
            lifecycle: view.lifecycle,
            latest: view.latest,
            earliest: view.earliest,
            floor: view.floor.0,
            want: view.want,
            promised: self.promised,
            candidate,
            chain: self.machine.provider().chain().to_vec(),
        }
    }

    /// A record under the latest version, as any sender seals it.
    pub(super) fn data(&self) -> Option<Packet> {
        let under = self.machine.latest();
        let fingerprint = fingerprint(self.machine.provider().chain(), under)?;
        Some(Packet { under, fingerprint, content: super::packet::Content::Data })
    }
}

/// Round secrets that `end` holds now: what a copy of it adds.
pub(super) fn secrets_of(end: &End) -> i64 {
    let before = secrets_alive();
    let copy = end.clone();
    let held = secrets_alive() - before;
    drop(copy);
    held
}
