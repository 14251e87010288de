//! The mutants: what is changed, and what becomes of it.

use citadel_tests::mutants::{Change, Mutant, dies, survives};

const NO_FLOOR: Change =
    Change { file: "receive.rs", old: "if !self.peer_floor.raise(floor) {", new: "if floor == floor {" };

const NO_NACK: Change = Change {
    file: "finish.rs",
    old: "_ => self.send(round, Body::Cancel { reason: CancelReason::Unknown }),",
    new: "_ => {}",
};

pub(crate) const MUTANTS: &[Mutant] = &[
    dies(
        "no tie-break",
        &[Change {
            file: "offers.rs",
            old: "State::Offered(_) if self.config.side.is_winner(round.version) => return self.insist(),",
            new: "",
        }],
    ),
    dies(
        "nobody yields",
        &[Change {
            file: "offers.rs",
            old: "State::Offered(_) if self.config.side.is_winner(round.version) =>",
            new: "State::Offered(_) =>",
        }],
    ),
    dies(
        "commit before confirmation",
        &[Change {
            file: "offers.rs",
            old: "self.state = State::Answered(Answered { round, signed, candidate, answer, retry });",
            new: "
                use super::confirm::{Confirmed, OpenedUnderCandidate};
                self.send(round, super::Body::BobToAlice { answer: answer.clone() });
                let answered = Answered { round, signed, candidate, answer, retry };
                if let Some(proof) = OpenedUnderCandidate::check(round.version, &answered) {
                    self.commit_as_loser(Confirmed::by_record(answered, proof), None);
                }",
        }],
    ),
    dies(
        "round named by version only",
        &[Change {
            file: "finish.rs",
            old: "State::Offered(offered) if offered.round == round =>",
            new: "State::Offered(offered) if offered.round.version == round.version =>",
        }],
    ),
    dies(
        "Loser forgets the finished round",
        &[Change { file: "finish.rs", old: "self.last_finished = Some(outcome.round);", new: "" }],
    ),
    dies(
        "offer ignored while withdrawing",
        &[Change {
            file: "phase.rs",
            old: "Self::Withdrawing(w) => Some(&mut w.held),",
            new: "Self::Withdrawing(_) => None,",
        }],
    ),
    dies(
        "held offer forgotten when the withdrawal ends",
        &[Change {
            file: "withdraw_halt.rs",
            old: "self.state = State::Idle(Idle { held: withdrawing.held });",
            new: "self.state = State::IDLE;",
        }],
    ),
    dies(
        "candidate dropped at halt",
        &[Change {
            file: "withdraw_halt.rs",
            old: "State::Confirming(_) | State::Answered(_) => {}",
            new: "State::Answered(_) => self.state = State::IDLE, State::Confirming(_) => {}",
        }],
    ),
    dies(
        "want cleared by an offer",
        &[Change {
            file: "offers.rs",
            old: "if let Some(own) = yields {",
            new: "if let Some(own) = yields { self.want = None;",
        }],
    ),
    dies(
        "want cleared by any commit",
        &[Change {
            file: "offers.rs",
            old: "if self.want <= Some(committed) {",
            new: "if committed == committed {",
        }],
    ),
    dies(
        "eviction while Confirming",
        &[Change {
            file: "finish.rs",
            old: "self.state = State::Confirming(Confirming { round: outcome.round, tag, truncate, retry });",
            new: "self.start_drain(outcome.version);
        self.state = State::Confirming(Confirming { round: outcome.round, tag, truncate, retry });",
        }],
    ),
    dies(
        "window one version too short",
        &[Change { file: "window.rs", old: "Version((version.0 + 1)", new: "Version((version.0 + 2)" }],
    ),
    dies("no floor and no NACK together", &[NO_FLOOR, NO_NACK]),
    dies("no floor", &[NO_FLOOR]),
    dies(
        "live attempt counted into the floor",
        &[Change {
            file: "machine.rs",
            old: "Some(round) => round.attempt.previous(),",
            new: "Some(round) => round.attempt,",
        }],
    ),
    dies(
        "attempt number used again",
        &[Change { file: "offers.rs", old: "self.last_attempt.raise(attempt);", new: "" }],
    ),
    dies(
        "Cancel not acknowledged",
        &[Change {
            file: "withdraw_halt.rs",
            old: "fn on_cancel(&mut self, round: RoundId) -> Verdict {
        self.send(round, Body::CancelAck);",
            new: "fn on_cancel(&mut self, _: RoundId) -> Verdict {",
        }],
    ),
    dies(
        "acknowledgement unheard",
        &[Change {
            file: "receive.rs",
            old: "State::Confirming(confirming) if confirming.round.version == under =>",
            new: "State::Confirming(confirming) if confirming.round.version == under.next() =>",
        }],
    ),
    dies(
        "no acknowledgement after a halt",
        &[Change {
            file: "finish.rs",
            old: "if self.last_finished == Some(round) &&",
            new: "if self.lifecycle == Lifecycle::Running && self.last_finished == Some(round) &&",
        }],
    ),
    dies(
        "Answered without a timer",
        &[Change {
            file: "phase.rs",
            old: "Self::Answered(a) => Some(&a.retry),",
            new: "Self::Answered(_) => None,",
        }],
    ),
    dies(
        "signed round put off",
        &[Change {
            file: "offers.rs",
            old: "let signed = self.reauth.is_due(self.now);",
            new: "let signed = false;",
        }],
    ),
    survives(
        "no NACK",
        &[NO_NACK],
        "a Cancel is repeated until it is acknowledged, and every header carries the floor",
    ),
    survives(
        "any acknowledgement ends a withdrawal",
        &[Change {
            file: "withdraw_halt.rs",
            old: "State::Withdrawing(withdrawing) if withdrawing.round == round => {",
            new: "State::Withdrawing(withdrawing) => {",
        }],
        "floor and NACK tell the peer whatever the withdrawal did not",
    ),
    survives(
        "Cancel without its own attempt",
        &[Change {
            file: "receive.rs",
            old: "self.raise_peer_floor(header.floor.max(round.attempt), CancelCause::Peer(*reason))",
            new: "self.raise_peer_floor(header.floor, CancelCause::Peer(*reason))",
        }],
        "the header of a Cancel carries a floor past its round",
    ),
    survives(
        "record under the candidate is no finish",
        &[Change {
            file: "confirm.rs",
            old: "(under == answered.round.version).then_some(Self(()))",
            new: "(under.next() == answered.round.version.next().next()).then_some(Self(()))",
        }],
        "the finish itself is repeated until it is acknowledged",
    ),
    survives(
        "messages under an older version count",
        &[Change {
            file: "receive.rs",
            old: "let verdict = if under == self.latest.get() {",
            new: "let verdict = if self.is_readable(under) {",
        }],
        "nobody here has stolen keys; what is late is stale by its round as well",
    ),
];
