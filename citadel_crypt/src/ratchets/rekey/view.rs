//! Everything the machine's behaviour depends on, without secrets and without clock readings.

use super::{Attempt, Fatal, RekeyOutcome, Role, RoundId, Version};

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
    /// The last round that was finished as Loser.
    pub last_finished: Option<RoundId>,
    /// The last committed outcomes, oldest first, at most W.
    pub outcomes: Vec<RekeyOutcome>,
    /// Versions waiting for their drain to end, as the first version that will stay.
    pub draining: Vec<Version>,
    /// The version last answered and not committed: replacing its round costs a token.
    pub answered: Option<Version>,
    /// Whether the next own round must be signed.
    pub signed_due: bool,
    /// Round secrets alive: 0 or 1.
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
