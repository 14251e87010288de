//! The plan's outputs, carried out, and the facts that it runs on.

use super::link::Link;
use super::policy::AckDelay;
use super::{Output, SessionMachine};
use crate::shutdown::{self, CloseReason, CloseReport, Stage};
use citadel_crypt::ratchets::rekey;

/// The frames that speak of the end.
#[derive(Default, Debug)]
pub(super) struct Announcement {
    closing: Closing,
    close: Close,
}

#[derive(Default, Debug)]
enum Closing {
    /// Not yet, or no more: a `Close` says it all.
    #[default]
    No,
    Owed(CloseReason),
    /// In a record of this path; owed again on another.
    Sealed(CloseReason),
}

#[derive(Default, Debug)]
enum Close {
    #[default]
    NotYet,
    Owed(CloseReason),
    /// In the last record that this end will seal.
    Sealed,
    /// That record left this end.
    Written,
}

impl Announcement {
    /// The `Closing` that is owed, once for each path.
    pub(super) fn take_closing(&mut self) -> Option<CloseReason> {
        match core::mem::take(&mut self.closing) {
            Closing::Owed(reason) => {
                self.closing = Closing::Sealed(reason.clone());
                Some(reason)
            }
            other => {
                self.closing = other;
                None
            }
        }
    }

    /// The `Close` that is owed, once: after it nothing is sealed.
    pub(super) fn take_close(&mut self) -> Option<CloseReason> {
        match core::mem::take(&mut self.close) {
            Close::Owed(reason) => {
                self.close = Close::Sealed;
                Some(reason)
            }
            other => {
                self.close = other;
                None
            }
        }
    }

    /// Whether the last record was sealed.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.close, Close::Sealed | Close::Written)
    }

    /// Whether a `Close` is owed: then no more data goes out.
    pub(super) const fn is_close_owed(&self) -> bool {
        matches!(self.close, Close::Owed(_))
    }

    pub(super) const fn is_closing_owed(&self) -> bool {
        matches!(self.closing, Closing::Owed(_))
    }

    /// Another path: what was said on the one before may not have arrived.
    pub(super) fn on_path(&mut self) {
        self.closing = match core::mem::take(&mut self.closing) {
            Closing::Sealed(reason) => Closing::Owed(reason),
            other => other,
        };
    }

    /// All that was sealed left this end.
    pub(super) fn on_flushed(&mut self) {
        if let Close::Sealed = self.close {
            self.close = Close::Written;
        }
    }
}

impl SessionMachine {
    /// After anything happened: rounds that are due, facts, the plan, events. Only here outputs of the plan are acted on.
    pub(super) fn settle(&mut self) {
        self.ask_for_round();
        loop {
            self.tell_facts();
            let mut any = false;
            while let Some(output) = self.plan.poll_output() {
                any = true;
                self.act(output);
            }
            if !any && !self.is_stranded() {
                break;
            }
        }
        if self.plan.stage() < Stage::Releasing {
            self.arm_acknowledgement();
        }
    }

    fn ask_for_round(&mut self) {
        let Some(keys) = &self.keys else { return };
        let is_worn = keys.are_worn();
        if self.plan.stage() == Stage::Running && self.clock.take_due(self.now, is_worn) {
            self.rekey(rekey::Input::Trigger);
        }
    }

    /// Tells the plan what holds now. While the session runs, nothing of it matters.
    fn tell_facts(&mut self) {
        if self.plan.stage() == Stage::Running {
            return;
        }
        self.facts.items_acknowledged = self.channels.is_acknowledged();
        self.facts.peer_finished = self.channels.is_peer_finished();
        self.facts.close_written = matches!(self.announcement.close, Close::Written);
        self.facts.detached = !self.link.is_attached();
        self.facts.round_trip = self.liveness.round_trip().unwrap_or_default();
        self.plan.handle(self.now, shutdown::Input::Facts(self.facts));
    }

    fn act(&mut self, output: shutdown::Output) {
        match output {
            shutdown::Output::Tell(_) => {
                self.outputs.push_back(Output::Closing(self.reason()));
                self.channels.wake_all();
                self.datagrams.on_closing();
                self.outputs.push_back(Output::Datagram);
            }
            shutdown::Output::SendClosing(reason) => self.announcement.closing = Closing::Owed(reason),
            shutdown::Output::Flush => self.channels.finish_all_but_lanes(),
            shutdown::Output::HaltRekey => {
                self.channels.finish_lanes();
                self.rekey(rekey::Input::Halt);
            }
            shutdown::Output::SendClose(reason) => {
                self.channels.finish_lanes();
                self.announcement.closing = Closing::No;
                self.announcement.close = Close::Owed(reason);
            }
            shutdown::Output::Release => self.release(),
            shutdown::Output::Closed(summary) => {
                let unconfirmed = self.channels.unconfirmed();
                self.channels.release();
                let report = CloseReport::new(self.instance, summary, unconfirmed);
                self.outputs.push_back(Output::Closed(report));
            }
        }
    }

    /// Wipes the keys; what was received stays for its readers, who are woken for the last time.
    fn release(&mut self) {
        if let Some(keys) = self.keys.take() {
            self.stats.rekey = keys.machine.stats();
        }
        self.ack = AckDelay::None;
        self.link = Link::Gone;
        self.channels.wake_all();
        self.plan.handle(self.now, shutdown::Input::Released);
    }
}
