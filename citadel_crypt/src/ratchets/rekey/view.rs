//! Everything the machine's behaviour depends on, without secrets and without clock readings.

use super::phase::{HeldOffer, State};
use super::{Attempt, CancelReason, Fatal, KeyAgreement, RekeyMachine, RekeyOutcome, Role, RoundId, Version};
use core::fmt;

/// A picture of the machine. Two machines with equal views, equal configuration and equal key material
/// behave alike but for times; the explorer takes it for the identity of a state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// Where the life cycle and the round stand.
    pub phase: Phase,
    /// Whether a halt was asked for and whether it is over.
    pub lifecycle: Lifecycle,
    /// Latest committed version.
    pub latest: Version,
    /// Earliest version with live receive keys.
    pub earliest: Version,
    /// The attempt that the next own offer will use.
    pub next_attempt: Attempt,
    /// Highest floor seen from the peer.
    pub peer_floor: Attempt,
    /// Own floor as the next header will carry it.
    pub floor: Attempt,
    /// Highest version that a waiter asked for and that is not committed.
    pub want: Option<Version>,
    /// The last round that was finished as Loser, whose finish is acknowledged again while it is the latest.
    pub last_finished: Option<RoundId>,
    /// The last committed outcomes, oldest first, at most W.
    pub outcomes: Vec<RekeyOutcome>,
    /// Versions waiting for their drain to end, as the first version that will stay.
    pub draining: Vec<Version>,
    /// The version last answered and not committed: replacing its round costs a token.
    pub answered: Option<Version>,
    /// The peer's offer that the own one yields to as soon as there is a token.
    pub yields_to: Option<RoundId>,
    /// Whether the next own round must be signed.
    pub signed_due: bool,
    /// Rounds since the last signed one; 0 where rounds are never signed.
    pub unsigned_rounds: u64,
    /// Round secrets alive, 0 or 1: the offerer's keys in Offered, the candidate in Answered.
    pub round_secrets: u8,
}

impl View {
    /// Role in the round at hand, as the application sees it.
    pub fn role(&self) -> Role {
        match self.phase {
            Phase::Idle { .. } | Phase::Withdrawing { .. } => Role::Idle,
            Phase::Offered { .. } | Phase::Confirming { .. } => Role::Leader,
            Phase::Answered { .. } => Role::Loser,
        }
    }
}

/// State of the round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// No round.
    Idle {
        /// An offer that waits for a token.
        held: Option<RoundId>,
    },
    /// Own offer out; tentative Leader.
    Offered {
        /// The round.
        round: RoundId,
        /// Flag S.
        signed: bool,
    },
    /// Committed as Leader, finish out.
    Confirming {
        /// The round.
        round: RoundId,
        /// The new earliest version, where the finish tells it (`Truncate`).
        truncate: Option<Version>,
    },
    /// Answered as Loser; the candidate is not committed.
    Answered {
        /// The round.
        round: RoundId,
        /// Flag S.
        signed: bool,
    },
    /// Own round withdrawn, `Cancel` out.
    Withdrawing {
        /// The round.
        round: RoundId,
        /// What `Cancel` says.
        reason: CancelReason,
        /// The peer's newest offer meanwhile.
        held: Option<RoundId>,
    },
}

/// Life cycle around the round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifecycle {
    /// Rounds may start.
    Running,
    /// No new round; the one at hand may end.
    Halting,
    /// Over by request; still repeats what the peer may need.
    Halted,
    /// Over by a fault.
    Closed(Fatal),
}

impl Phase {
    /// The round at hand.
    pub fn round(&self) -> Option<RoundId> {
        match *self {
            Self::Idle { .. } => None,
            Self::Offered { round, .. }
            | Self::Confirming { round, .. }
            | Self::Answered { round, .. }
            | Self::Withdrawing { round, .. } => Some(round),
        }
    }

    /// The state's name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "Idle",
            Self::Offered { .. } => "Offered",
            Self::Confirming { .. } => "Confirming",
            Self::Answered { .. } => "Answered",
            Self::Withdrawing { .. } => "Withdrawing",
        }
    }
}

impl<P: KeyAgreement> RekeyMachine<P> {
    /// Where the round at hand stands.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// The picture of this moment; for tests, logs and observers, never for decisions of a driver.
    pub fn view(&self) -> View {
        View {
            phase: self.state.phase(),
            lifecycle: self.lifecycle,
            latest: self.latest.get(),
            earliest: self.earliest.get(),
            next_attempt: self.last_attempt.get().next(),
            peer_floor: self.peer_floor.get(),
            floor: self.floor(),
            want: self.want,
            last_finished: self.last_finished,
            outcomes: self.outcomes.iter().copied().collect(),
            draining: self.drains.iter().map(|d| d.stays).collect(),
            answered: self.answered,
            yields_to: match &self.state {
                State::Offered(o) => o.held.as_ref().map(|h| h.round),
                _ => None,
            },
            signed_due: self.reauth.is_due(self.now),
            unsigned_rounds: self.reauth.unsigned_rounds(),
            round_secrets: u8::from(matches!(self.state, State::Offered(_) | State::Answered(_))),
        }
    }
}

impl<P: KeyAgreement> fmt::Debug for RekeyMachine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RekeyMachine")
            .field("view", &self.view())
            .field("timer", &self.poll_timeout())
            .finish()
    }
}

impl<P: KeyAgreement> State<P> {
    fn phase(&self) -> Phase {
        let name = |held: &Option<HeldOffer<P>>| held.as_ref().map(|h| h.round);
        match self {
            Self::Idle(i) => Phase::Idle { held: name(&i.held) },
            Self::Offered(o) => Phase::Offered { round: o.round, signed: o.signed },
            Self::Confirming(c) => Phase::Confirming { round: c.round, truncate: c.truncate },
            Self::Answered(a) => Phase::Answered { round: a.round, signed: a.signed },
            Self::Withdrawing(w) => {
                Phase::Withdrawing { round: w.round, reason: w.reason, held: name(&w.held) }
            }
        }
    }
}
