//! Back-pressure from a reader's hand to the peer's `send`: absolute offsets, monotone, in bytes of message cost.
//!
//! Only on a path that delivers in order: where messages may be lost, so may be the bytes they cost, and the
//! reader's queue drops what finds no room instead.

use super::end::EndReason;
use super::manager_config::INITIAL_CREDIT;

/// Both directions' accounts.
#[derive(Debug)]
pub(crate) struct Credit {
    /// `None` on a path that may lose messages.
    accounts: Option<Accounts>,
    window: u32,
}

#[derive(Debug)]
struct Accounts {
    sent: u64,
    /// How far the peer lets this end send.
    limit: u64,
    received: u64,
    /// How far this end lets the peer send.
    granted: u64,
}

impl Credit {
    /// `window`: what may wait for the own reader.
    pub(crate) fn new(ordered: bool, window: u32) -> Self {
        let initial = u64::from(INITIAL_CREDIT);
        let accounts = Accounts { sent: 0, limit: initial, received: 0, granted: initial };
        Self { accounts: ordered.then_some(accounts), window }
    }

    /// What may wait for the own reader.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// What may be sent now.
    pub(crate) fn available(&self) -> u64 {
        self.accounts.as_ref().map_or(u64::MAX, |a| a.limit.saturating_sub(a.sent))
    }

    /// A message of this cost was sent.
    pub(crate) fn on_sent(&mut self, cost: u32) {
        if let Some(a) = &mut self.accounts {
            a.sent += u64::from(cost);
        }
    }

    /// The peer's word on how far this end may send; an older one changes nothing.
    pub(crate) fn on_credit(&mut self, limit: u64) {
        if let Some(a) = &mut self.accounts {
            a.limit = a.limit.max(limit);
        }
    }

    /// A message of this cost came.
    ///
    /// # Errors
    /// [`EndReason::Overrun`] beyond what was granted.
    pub(crate) fn on_received(&mut self, cost: u32) -> Result<(), EndReason> {
        let Some(a) = &mut self.accounts else { return Ok(()) };
        a.received += u64::from(cost);
        if a.received > a.granted { Err(EndReason::Overrun) } else { Ok(()) }
    }

    /// What to tell the peer, given what the reader took so far: nothing before a quarter of the window is free.
    pub(crate) fn due(&self, consumed: u64) -> Option<u64> {
        let a = self.accounts.as_ref()?;
        let limit = consumed + u64::from(self.window);
        (limit >= a.granted + u64::from(self.window / 4)).then_some(limit)
    }

    /// The peer is told.
    pub(crate) fn grant(&mut self, limit: u64) {
        if let Some(a) = &mut self.accounts {
            a.granted = a.granted.max(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_absolute_monotone_and_enforced() {
        let mut credit = Credit::new(true, 131_200);
        assert_eq!(credit.available(), 131_200);
        credit.on_sent(131_000);
        assert_eq!(credit.available(), 200);
        credit.on_credit(262_400);
        credit.on_credit(140_000);
        assert_eq!(credit.available(), 131_400);
        assert!(credit.on_received(131_200).is_ok());
        assert!(matches!(credit.on_received(1), Err(EndReason::Overrun)));
    }

    #[test]
    fn a_grant_waits_for_a_quarter_of_the_window_and_is_given_once() {
        let mut credit = Credit::new(true, 131_200);
        assert_eq!(credit.due(32_799), None);
        assert_eq!(credit.due(32_800), Some(164_000));
        credit.grant(164_000);
        assert_eq!(credit.due(32_800), None);
        assert_eq!(Credit::new(true, 262_400).due(0), Some(262_400));
    }

    #[test]
    fn a_path_that_loses_messages_has_no_accounts() {
        let mut credit = Credit::new(false, 131_200);
        credit.on_sent(u32::MAX);
        assert_eq!(credit.available(), u64::MAX);
        assert!(credit.on_received(u32::MAX).is_ok());
        assert_eq!(credit.due(u64::from(u32::MAX)), None);
    }
}
