//! What an arriving record or message counts for, before the table is asked.
//!
//! Order: what the record confirms by itself; does the message count; does it contradict itself; the peer's
//! floor; the row of the table. Only what opened under the latest keys (or the candidate's) can raise a floor,
//! drop a candidate or end the session: keys stolen from an old version steer nothing.

use super::confirm::{Confirmed, OpenedUnderCandidate};
use super::phase::State;
use super::{
    Attempt, Body, CancelCause, Event, Fatal, Ignored, KeyAgreement, Message, MessageKind, Output,
    RekeyMachine, RoundId, Verdict, Version, Violation,
};

impl<P: KeyAgreement> RekeyMachine<P> {
    /// A record that is no rekey message opened under `under`.
    pub(super) fn on_record(&mut self, under: Version) -> Verdict {
        if self.confirm_by_record(under) || self.is_readable(under) {
            Verdict::Done
        } else {
            Verdict::Ignored(Ignored::WrongVersion)
        }
    }

    /// A rekey message from a record that opened under `under`.
    pub(super) fn on_message(&mut self, under: Version, message: Message<P>) -> Verdict {
        let is_finish_at_hand = matches!(&self.state, State::Answered(a) if a.round == message.header.round)
            && message.is_finish()
            && self.candidate_version() == Some(under);
        if is_finish_at_hand {
            return match self.violation_of(&message) {
                Some(violation) => self.close(Fatal::ProtocolViolation(violation)),
                None => self.on_finish(message.header.round, message.body),
            };
        }
        let confirmed = self.confirm_by_record(under);
        let verdict = if under == self.latest.get() {
            self.on_current_message(message)
        } else if self.is_readable(under) {
            self.on_late_message(under, message)
        } else {
            Verdict::Ignored(Ignored::WrongVersion)
        };
        match verdict {
            Verdict::Ignored(_) if confirmed => Verdict::Done,
            other => other,
        }
    }

    /// What a record shows by having opened: under the candidate it is the finish, under the version that is
    /// being confirmed its acknowledgement. True if it was one of them.
    fn confirm_by_record(&mut self, under: Version) -> bool {
        match self.take_state() {
            State::Answered(answered) => match OpenedUnderCandidate::check(under, &answered) {
                Some(proof) => {
                    self.commit_as_loser(Confirmed::by_record(answered, proof), None);
                    true
                }
                None => {
                    self.state = State::Answered(answered);
                    false
                }
            },
            State::Confirming(confirming) if confirming.round.version == under => {
                self.acknowledged(confirming);
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    fn is_readable(&self, under: Version) -> bool {
        (self.earliest.get()..=self.latest.get()).contains(&under)
    }

    /// A message under the latest version.
    fn on_current_message(&mut self, message: Message<P>) -> Verdict {
        if let Some(violation) = self.violation_of(&message) {
            return self.close(Fatal::ProtocolViolation(violation));
        }
        let Message { header, body } = message;
        let round = header.round;
        let latest = self.latest.get();
        let counts = match &body {
            Body::AliceToBob { .. } | Body::BobToAlice { .. } => round.version == latest.next(),
            Body::LoserCanFinish { .. } | Body::Truncate { .. } | Body::LeaderCanFinish => {
                round.version == latest
            }
            Body::Cancel { .. } | Body::CancelAck => true,
        };
        if !counts {
            return Verdict::Ignored(Ignored::WrongVersion);
        }
        let raised = match &body {
            // An offer is live, so every attempt before it is dead even if its header says less.
            Body::AliceToBob { .. } => {
                self.raise_peer_floor(header.floor.max(round.attempt.previous()), CancelCause::Superseded)
            }
            Body::Cancel { reason } => {
                self.raise_peer_floor(header.floor.max(round.attempt), CancelCause::Peer(*reason))
            }
            _ => self.raise_peer_floor(header.floor, CancelCause::Superseded),
        };
        let verdict = match body {
            Body::AliceToBob { signed, offer, .. } => self.on_offer(round, signed, offer),
            Body::BobToAlice { answer } => self.on_answer(round, &answer),
            body @ (Body::LoserCanFinish { .. } | Body::Truncate { .. }) => self.on_finish(round, body),
            // In Confirming the record itself was the acknowledgement.
            Body::LeaderCanFinish => Verdict::Ignored(Ignored::Stale),
            Body::Cancel { .. } => self.on_cancel(round),
            Body::CancelAck => self.on_cancel_ack(round),
        };
        match verdict {
            Verdict::Ignored(_) if raised => Verdict::Done,
            other => other,
        }
    }

    /// A message under an older version whose receive keys are live: a repetition, or someone who stole its
    /// keys. It gets a repetition in turn where the peer may need one, and moves nothing.
    fn on_late_message(&mut self, under: Version, message: Message<P>) -> Verdict {
        let round = message.header.round;
        let side = self.config.side;
        match (&self.state, &message.body) {
            (State::Confirming(confirming), Body::BobToAlice { .. })
                if confirming.round == round && under == round.version.previous() =>
            {
                self.repeat_state();
                Verdict::Done
            }
            (_, Body::Cancel { .. })
                if under == self.latest.get().previous() && round.side == side.peer() =>
            {
                self.send(round, Body::CancelAck);
                Verdict::Done
            }
            (_, Body::AliceToBob { .. } | Body::BobToAlice { .. }) if under == round.version.previous() => {
                Verdict::Ignored(Ignored::Stale)
            }
            (_, Body::LoserCanFinish { .. } | Body::Truncate { .. } | Body::LeaderCanFinish)
                if under == round.version =>
            {
                Verdict::Ignored(Ignored::Stale)
            }
            (_, Body::CancelAck) if under == self.latest.get().previous() => Verdict::Ignored(Ignored::Stale),
            _ => Verdict::Ignored(Ignored::WrongVersion),
        }
    }

    /// What no correct peer sends under the latest keys.
    fn violation_of(&self, message: &Message<P>) -> Option<Violation> {
        let header = &message.header;
        let round = header.round;
        let is_owners =
            matches!(message.kind(), MessageKind::AliceToBob | MessageKind::Finish | MessageKind::Cancel);
        let owner = if is_owners { self.config.side.peer() } else { self.config.side };
        if round.side != owner {
            return Some(Violation::WrongSide);
        }
        let is_live = matches!(message.kind(), MessageKind::AliceToBob | MessageKind::Finish);
        if is_live && header.floor >= round.attempt {
            return Some(Violation::FloorContradiction);
        }
        if let Body::AliceToBob { suite, .. } = &message.body {
            if *suite != self.config.suite {
                return Some(Violation::WrongSuite);
            }
            if round.version > self.latest.get().next() {
                return Some(Violation::VersionAhead(round.version));
            }
        }
        None
    }

    /// Takes note that the peer's attempts up to `floor` are dead. True if that is news.
    fn raise_peer_floor(&mut self, floor: Attempt, cause: CancelCause) -> bool {
        if !self.peer_floor.raise(floor) {
            return false;
        }
        self.state.drop_held_up_to(floor);
        let passed = match &self.state {
            State::Answered(answered) if answered.round.attempt <= floor => Some(answered.round),
            _ => None,
        };
        if let Some(round) = passed {
            self.drop_candidate(round, cause);
        }
        true
    }

    /// Wipes the candidate of a round that its owner gave up.
    fn drop_candidate(&mut self, round: RoundId, reason: CancelCause) {
        self.state = State::IDLE;
        self.stats.cancelled += 1;
        self.outputs.push_back(Output::Event(Event::Cancelled { round, reason }));
    }
}
