//! Counters for observers; the machine never decides by them.

use super::Ignored;

/// What a machine has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RekeyStats {
    /// Own offers made.
    pub offered: u64,
    /// Offers of the peer answered.
    pub answered: u64,
    /// Rounds committed as Leader.
    pub led: u64,
    /// Rounds committed as Loser.
    pub followed: u64,
    /// Committed rounds that both ends signed.
    pub signed: u64,
    /// Rounds that ended without a commit.
    pub cancelled: u64,
    /// Messages sent because a timer fired or the path was replaced.
    pub repeated: u64,
    /// NACKs sent.
    pub nacks: u64,
    /// Messages ignored because they opened under another version than they may be sealed under.
    pub wrong_version: u64,
    /// Messages ignored for any other reason.
    pub ignored: u64,
}

impl RekeyStats {
    /// Counts an ignored message.
    pub(super) fn count_ignored(&mut self, why: Ignored) {
        if why == Ignored::WrongVersion {
            self.wrong_version += 1;
        } else {
            self.ignored += 1;
        }
    }
}
