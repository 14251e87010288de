//! The manager without its path: machine, window of keys, credit and pace behind "a record came" and "what is
//! the next record". It reads no clock and does no I/O.
//!
//! What goes out, in this order: rekey messages, the reader's word (credit, stop), messages, the sender's last
//! word. Nothing is sealed before it is asked for, so no record ages in a queue while rounds go on.

use super::HybridAgreement;
use super::credit::Credit;
use super::end::{EndReason, RekeyError};
use super::manager_config::{ManagerConfig, RoundPolicy};
use super::messenger::lane::{self, Delivered, Next};
use super::pace::Pace;
use super::ratchet_manager::{ManagerStats, SessionKeys};
use super::record::{Frame, RecordKind};
use super::rekey::{Event, Input, Message, Output, Owed, Phase, Timestamp, Verdict, Version};
use super::sealing::{Keys, Opened};
use super::shared::{Life, Shared, Status};
use crate::SecrecyMode;
use crate::wire;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// One end of a session, to be moved by a driver.
pub(crate) struct Engine {
    keys: Keys,
    owed: Owed<HybridAgreement>,
    credit: Credit,
    pace: Pace,
    ordered: bool,
    flush: Flush,
    flush_deadline: Duration,
    stats: ManagerStats,
    shared: Arc<Shared>,
}

/// Whether the session is being closed from here.
enum Flush {
    NotAsked,
    Until(Timestamp),
}

impl Engine {
    pub(crate) fn new(session: SessionKeys, config: &ManagerConfig, now: Timestamp) -> Self {
        let keys = Keys::new(session, config.rekey.clone(), now);
        let policy = match (config.rounds, keys.mode()) {
            (RoundPolicy::ByMode, SecrecyMode::Perfect) => RoundPolicy::PERFECT,
            (RoundPolicy::ByMode, SecrecyMode::BestEffort) => RoundPolicy::OnDemand,
            (policy, _) => policy,
        };
        let window = config.receive_window();
        let remembered = config.remembered();
        Self {
            shared: Shared::new(keys.exporter(), remembered, config.send_queue(), window),
            keys,
            owed: Owed::new(),
            credit: Credit::new(config.rekey.reliable_path, window),
            pace: Pace::new(config.rekey.side, policy, config.max_version_age, now),
            ordered: config.rekey.reliable_path,
            flush: Flush::NotAsked,
            flush_deadline: config.flush_deadline,
            stats: ManagerStats::default(),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Somebody here asked for a round.
    pub(crate) fn trigger(&mut self, now: Timestamp) -> Result<(), EndReason> {
        match self.step(now, Input::Trigger, "trigger")? {
            Verdict::Waiting(version) => self.shared.completion.promise(version),
            Verdict::Refused(_) => self.shared.completion.refuse(&RekeyError::Halted),
            // A closed machine has ended the session in the step.
            Verdict::Done | Verdict::Ignored(_) | Verdict::Closed(_) => {}
        }
        Ok(())
    }

    /// Somebody here takes the own offer back.
    pub(crate) fn withdraw(&mut self, now: Timestamp) -> Result<Result<(), RekeyError>, EndReason> {
        match self.step(now, Input::Withdraw, "withdraw")? {
            Verdict::Refused(refusal) => Ok(Err(RekeyError::NotWithdrawable(refusal))),
            _ => {
                self.shared.completion.withdraw(&RekeyError::Withdrawn);
                Ok(Ok(()))
            }
        }
    }

    /// Rounds end here.
    pub(crate) fn halt(&mut self, now: Timestamp) -> Result<(), EndReason> {
        self.pace.halt();
        self.step(now, Input::Halt, "halt").map(drop)
    }

    /// The session is to end once what is queued has left.
    pub(crate) fn close(&mut self, now: Timestamp) {
        if matches!(self.flush, Flush::NotAsked) {
            self.shared.lane.refuse();
            self.flush = Flush::Until(now + self.flush_deadline);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let machine = self.keys.machine().poll_timeout().map(|(when, _)| when);
        let pace = self.pace.deadline(&self.keys.phase());
        let flush = match self.flush {
            Flush::NotAsked => None,
            Flush::Until(when) => Some(when),
        };
        machine.into_iter().chain(pace).chain(flush).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) -> Result<(), EndReason> {
        self.step(now, Input::Timeout, "timer").map(drop)
    }

    /// What a turn leaves: counters for those who look, the end of a flush, a round that the pace asks for.
    /// Whether there is something new to send.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Result<bool, EndReason> {
        let phase = self.keys.phase();
        let waiting = self.shared.lane.queued() > 0;
        self.stats.rekey = self.keys.machine().stats();
        self.shared.set_status(Status { phase, stats: self.stats });
        match self.flush {
            Flush::Until(_) if !waiting && self.owed.is_empty() => return Err(EndReason::Local),
            Flush::Until(when) if when <= now => return Err(EndReason::Local),
            Flush::Until(_) | Flush::NotAsked => {}
        }
        let worn = matches!(phase, Phase::Idle { .. }) && self.keys.are_worn();
        let due = worn || self.pace.is_due(&phase, now) || (waiting && self.pace.is_awaited(&phase));
        if due {
            self.step(now, Input::Trigger, "pace")?;
        }
        Ok(due && !self.owed.is_empty())
    }

    /// An item of the stream.
    pub(crate) fn handle_record(&mut self, now: Timestamp, record: Bytes) -> Result<(), EndReason> {
        match self.keys.open(record)? {
            Some(Opened { under, kind: RecordKind::Data, body }) => {
                self.on_record(now, under)?;
                self.on_message(body.freeze())
            }
            Some(Opened { under, kind: RecordKind::Control, body }) => {
                let frame = Frame::decode(&body).map_err(|_| EndReason::Malformed)?;
                self.on_frame(now, under, frame)
            }
            None if self.ordered => Err(EndReason::BadRecord),
            None => {
                self.stats.records_refused += 1;
                Ok(())
            }
        }
    }

    fn on_frame(&mut self, now: Timestamp, under: Version, frame: Frame<'_>) -> Result<(), EndReason> {
        if let Frame::Rekey(bytes) = frame {
            let message = self.keys.decode(bytes).ok_or(EndReason::Malformed)?;
            return self.step(now, Input::Message { under, message }, "message").map(drop);
        }
        self.on_record(now, under)?;
        match frame {
            Frame::Credit(limit) => self.credit.on_credit(limit),
            Frame::Finish(how) => self.shared.lane.peer_finished(how),
            Frame::Stop => self.shared.lane.stop(),
            Frame::Close { code } => return Err(EndReason::from_peer(code)),
            Frame::Rekey(_) => {}
        }
        Ok(())
    }

    /// A record that is no rekey message speaks for the version it opened under.
    fn on_record(&mut self, now: Timestamp, under: Version) -> Result<(), EndReason> {
        if self.keys.machine().awaits_record(under) {
            self.step(now, Input::Record { under }, "record")?;
        }
        Ok(())
    }

    fn on_message(&mut self, message: Bytes) -> Result<(), EndReason> {
        self.pace.on_received();
        self.credit.on_received(lane::cost(&message))?;
        match self.shared.lane.deliver(message, self.credit.window()) {
            Delivered::Queued => self.stats.messages_received += 1,
            Delivered::AfterFinish if self.ordered => return Err(EndReason::Malformed),
            Delivered::NoReader | Delivered::NoRoom | Delivered::AfterFinish => {
                self.stats.messages_dropped += 1
            }
        }
        Ok(())
    }

    /// Whether [`next_record`](Self::next_record) would give one now.
    pub(crate) fn has_output(&self) -> bool {
        !self.owed.is_empty()
            || self.shared.lane.wants_stop()
            || self.credit.due(self.shared.lane.consumed()).is_some()
            || self.shared.lane.has_next(self.message_credit())
    }

    /// Seals what has to go next, now that the sink takes it.
    pub(crate) fn next_record(&mut self) -> Result<Option<Bytes>, EndReason> {
        if let Some((_, message)) = self.owed.pop() {
            return self.rekey_record(&message).map(Some);
        }
        if let Some(limit) = self.credit.due(self.shared.lane.consumed()) {
            self.credit.grant(limit);
            return self.control_record(&Frame::Credit(limit)).map(Some);
        }
        if self.shared.lane.take_stop() {
            return self.control_record(&Frame::Stop).map(Some);
        }
        match self.shared.lane.next(self.message_credit()) {
            Next::Message(message) => self.data_record(&message).map(Some),
            Next::Finish(how) => self.control_record(&Frame::Finish(how)).map(Some),
            Next::Nothing => Ok(None),
        }
    }

    fn message_credit(&self) -> u64 {
        if self.pace.may_speak() { self.credit.available() } else { 0 }
    }

    fn rekey_record(&mut self, message: &Message<HybridAgreement>) -> Result<Bytes, EndReason> {
        let bytes = wire::rekey::encode_message(message);
        self.control_record(&Frame::Rekey(&bytes))
    }

    fn control_record(&mut self, frame: &Frame<'_>) -> Result<Bytes, EndReason> {
        let mut record = Keys::record(frame.max_len());
        frame.encode(&mut record);
        self.keys.seal(RecordKind::Control, record)
    }

    fn data_record(&mut self, message: &Bytes) -> Result<Bytes, EndReason> {
        let mut record = Keys::record(message.len());
        record.extend_from_slice(message);
        self.pace.on_sent();
        self.credit.on_sent(lane::cost(message));
        self.stats.messages_sent += 1;
        self.keys.seal(RecordKind::Data, record)
    }

    /// The last record: why this end leaves.
    pub(crate) fn close_record(&mut self, code: u16) -> Option<Bytes> {
        // Without a key there is no record; the path's own end must do.
        self.control_record(&Frame::Close { code }).ok()
    }

    /// Everyone who waits or calls learns why.
    pub(crate) fn end(&mut self, reason: &EndReason) {
        self.stats.messages_unsent = u64::try_from(self.shared.lane.queued()).unwrap_or(u64::MAX);
        self.stats.rekey = self.keys.machine().stats();
        self.shared.set_status(Status { phase: self.keys.phase(), stats: self.stats });
        log::debug!(target: "citadel::rekey", session = self.keys.session(), cause:% = reason; "manager ended");
        self.shared.end(reason);
    }

    /// One input to the machine, and everything that follows from it.
    fn step(
        &mut self,
        now: Timestamp,
        input: Input<HybridAgreement>,
        cause: &str,
    ) -> Result<Verdict, EndReason> {
        let before = self.keys.phase();
        let verdict = self.keys.machine_mut().handle(now, input);
        let acted = self.act(now);
        self.log_transition(&before, cause);
        acted.map(|()| verdict)
    }

    fn act(&mut self, now: Timestamp) -> Result<(), EndReason> {
        while let Some(output) = self.keys.machine_mut().poll_output() {
            match output {
                Output::Send { under, message } => self.owed.push(under, message),
                Output::Committed { outcome, ratchet, earliest } => {
                    self.shared.commit(outcome, ratchet.exporter(), earliest);
                    self.keys.commit(ratchet, earliest);
                    self.owed.drop_stale(outcome.version);
                    self.pace.on_commit(outcome.version, now);
                }
                Output::Evict { earliest } => {
                    self.shared.snapshot.evict(earliest);
                    self.keys.evict(earliest);
                }
                Output::Event(event) => self.on_event(event),
                Output::Halted => {
                    self.shared.completion.withdraw(&RekeyError::Halted);
                    self.shared.life.send_replace(Life::Halted);
                }
                Output::Close(fatal) => return Err(EndReason::Rekey(fatal)),
            }
        }
        Ok(())
    }

    fn on_event(&self, event: Event) {
        if let Event::Stalled { round } = event {
            log::warn!(target: "citadel::rekey", session = self.keys.session(), round:? = round; "rekey {round:?} stalls");
        }
        self.shared.observe(event);
    }

    /// One line per transition, for whoever has to find out what two ends did.
    fn log_transition(&self, before: &Phase, cause: &str) {
        let after = self.keys.phase();
        if *before != after && log::log_enabled!(target: "citadel::rekey", log::Level::Debug) {
            let round =
                after.round().or(before.round()).map_or_else(String::new, |round| format!("{round:?}"));
            log::debug!(
                target: "citadel::rekey",
                session = self.keys.session(), round:% = round, from = before.name(), to = after.name(), cause;
                "rekey {round}: {} -> {} on {cause}", before.name(), after.name()
            );
        }
    }
}
