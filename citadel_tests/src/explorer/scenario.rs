//! What is explored: budgets, network, window.

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// Every message in any order, any number of times or never: the set of messages sent only grows.
    AnyOrder,
    /// One reliable queue in each direction, no timer ever fires.
    Ordered,
    /// One queue in each direction; this many times what is in flight may be lost (a queue, both, or the
    /// next message of one). A timer fires only when nothing is in flight, as one longer than the path does.
    OrderedWithLoss(u8),
}

/// One exhaustive exploration; budgets are for each side.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Printed with the figures.
    pub name: &'static str,
    /// Triggers.
    pub triggers: u8,
    /// Withdrawals that are not refused.
    pub withdrawals: u8,
    /// Whether either side may halt, at any moment.
    pub halts: bool,
    /// Data records; with [`Network::AnyOrder`] the first stands for all of its version.
    pub data: u8,
    /// The most unsigned rounds between signed ones; `None` where rounds are never signed.
    pub unsigned_rounds: Option<u64>,
    /// How messages travel.
    pub network: Network,
    /// W of both ends.
    pub window: u8,
    /// Where a search is given up that would otherwise have no end, as some mutants' have none.
    pub limit: usize,
}

impl Scenario {
    /// Triggers and withdrawals a side, nothing else.
    pub const fn new(name: &'static str, triggers: u8, withdrawals: u8, network: Network) -> Self {
        Self {
            name,
            triggers,
            withdrawals,
            halts: false,
            data: 0,
            unsigned_rounds: None,
            network,
            window: 4,
            limit: usize::MAX,
        }
    }

    /// The same with either side able to halt.
    pub const fn with_halts(mut self) -> Self {
        self.halts = true;
        self
    }

    /// The same with `data` records a side.
    pub const fn with_data(mut self, data: u8) -> Self {
        self.data = data;
        self
    }

    /// The same with a signed round due, and started by itself, after each `rounds` unsigned ones.
    pub const fn with_signed_rounds(mut self, rounds: u64) -> Self {
        self.unsigned_rounds = Some(rounds);
        self
    }

    /// The same with another window.
    pub const fn with_window(mut self, window: u8) -> Self {
        self.window = window;
        self
    }

    /// The same, given up after about `limit` states.
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whether timers fire.
    pub(super) const fn has_timers(&self) -> bool {
        !matches!(self.network, Network::Ordered)
    }
}
