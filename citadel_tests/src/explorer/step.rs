//! One input to one real machine, and everything that can be checked of it without the other end.

use super::agreement::StandIn;
use super::end::{DRAIN, End, UNLIMITED, fingerprint, secrets_of};
use super::packet::{Content, Packet};
use crate::rekey::{
    Event, Input, Lifecycle, Output, Phase, Refusal, RekeyOutcome, Role, Verdict, Version, View,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What can happen at one end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Trigger,
    Withdraw,
    Halt,
    /// The round timer fires.
    Timeout,
    /// So much time passes that every drain ends (and the round timer fires).
    Drain,
    SendData,
    Deliver(Packet),
}

/// An invariant that does not hold, and how.
#[derive(Clone, Debug)]
pub(super) struct Breach(pub(super) String);

pub(super) fn breach<T>(text: impl Into<String>) -> Result<T, Breach> {
    Err(Breach(text.into()))
}

/// What an act led to.
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) sent: Vec<Packet>,
}

/// Whether `act` can happen at `end` at all; `None` for a record that does not open.
pub(super) fn perform(end: &End, act: Act) -> Result<Option<Outcome>, Breach> {
    let before = end.machine.view();
    let mut end = end.clone();
    let possible = match act {
        Act::Trigger => end.budget.triggers > 0 && before.lifecycle == Lifecycle::Running,
        Act::Withdraw => end.budget.withdrawals > 0,
        Act::Halt => before.lifecycle == Lifecycle::Running,
        Act::Timeout => end.machine.poll_timeout().is_some_and(|(when, _)| when <= end.now),
        Act::Drain => !before.draining.is_empty(),
        Act::SendData => end.budget.data > 0,
        Act::Deliver(packet) => opens(&mut end, &packet),
    };
    if !possible {
        return Ok(None);
    }
    if act == Act::Drain {
        end.now = end.now + DRAIN;
    }
    let Some(input) = input(act) else {
        end.budget.data = end.budget.data.saturating_sub(u8::from(end.budget.data != UNLIMITED));
        let sent = end.data().into_iter().collect();
        return Ok(Some(Outcome { end, sent }));
    };
    match catch_unwind(AssertUnwindSafe(|| run(end, &before, act, input))) {
        Ok(result) => result.map(Some),
        Err(_) => breach("I7-I11: an assertion of the machine failed (its message is above)"),
    }
}

fn opens(end: &mut End, packet: &Packet) -> bool {
    end.machine.resolve(packet.under.low_bits()) == Some(packet.under)
        && end.picture().opens(packet.under) == Some(packet.fingerprint)
}

fn run(mut end: End, before: &View, act: Act, input: Input<StandIn>) -> Result<Outcome, Breach> {
    let awaited = match act {
        Act::Deliver(Packet { content: Content::Data, under, .. }) if under == before.latest => {
            end.machine.awaits_record(under)
        }
        _ => true,
    };
    let verdict = end.machine.handle(end.now, input);
    let mut drain = Drain { before, act, latest: before.latest, outcome: None, sent: Vec::new(), halted: 0 };
    while let Some(output) = end.machine.poll_output() {
        drain.take(&end, output)?;
    }
    let Drain { outcome, sent, halted, .. } = drain;
    let after = end.machine.view();
    if let Verdict::Closed(reason) = verdict {
        return breach(format!("a correct peer is closed with {reason:?}"));
    }
    if matches!(verdict, Verdict::Refused(_)) && (after != *before || !sent.is_empty()) {
        return breach("R-CORE-3: a refused request changed something");
    }
    if !awaited && (after != *before || !sent.is_empty()) {
        return breach("a record that the machine did not await changed something");
    }
    let entered = after.lifecycle == Lifecycle::Halted && before.lifecycle != Lifecycle::Halted;
    if halted != u32::from(entered) {
        return breach(format!("`Halted` came out {halted} times in a step that {entered} halted"));
    }
    account(&mut end, act, verdict, outcome)?;
    check_growth(before, &after)?;
    check_secrets(&end, &after)?;
    check_timer(&end, &after)?;
    check_reading(&end, &after)?;
    Ok(Outcome { end, sent })
}

/// The machine's input; it has no part in the sending of data.
fn input(act: Act) -> Option<Input<StandIn>> {
    Some(match act {
        Act::Trigger => Input::Trigger,
        Act::Withdraw => Input::Withdraw,
        Act::Halt => Input::Halt,
        Act::Timeout | Act::Drain => Input::Timeout,
        Act::Deliver(packet) => packet.input(),
        Act::SendData => return None,
    })
}

/// The outputs of one step, in their order.
struct Drain<'a> {
    before: &'a View,
    act: Act,
    latest: Version,
    outcome: Option<RekeyOutcome>,
    sent: Vec<Packet>,
    halted: u32,
}

impl Drain<'_> {
    fn take(&mut self, end: &End, output: Output<StandIn>) -> Result<(), Breach> {
        match output {
            Output::Send { under, message } => {
                if under != self.latest {
                    return breach(format!(
                        "I11: sends under {under:?} while its latest is {:?}",
                        self.latest
                    ));
                }
                let Some(key) = fingerprint(end.machine.provider().chain(), under) else {
                    return breach(format!("sends under {under:?}, which was never committed"));
                };
                self.sent.push(Packet::sealed(under, key, &message));
            }
            Output::Committed { outcome, ratchet, earliest } => {
                self.check_commit(&outcome)?;
                let view = end.machine.view();
                if ratchet.round != outcome.round || earliest > view.earliest {
                    return breach("the committed keys, their name and the window do not fit");
                }
                self.latest = outcome.version;
                self.outcome = Some(outcome);
            }
            Output::Halted => self.halted += 1,
            Output::Close(reason) => return breach(format!("a correct peer is closed with {reason:?}")),
            Output::Evict { earliest } => {
                if earliest > self.latest {
                    return breach("I7: the latest version is evicted");
                }
            }
            Output::Event(Event::Committed(outcome)) if Some(outcome) != self.outcome => {
                return breach("an event tells of a commit that was not");
            }
            Output::Event(_) => {}
        }
        Ok(())
    }

    /// I8: a Leader commits on the answer to its live offer, a Loser on a record under its candidate.
    fn check_commit(&self, outcome: &RekeyOutcome) -> Result<(), Breach> {
        let confirmed = match (self.before.phase, self.act) {
            (Phase::Offered { round, .. }, Act::Deliver(packet)) => {
                outcome.role == Role::Leader
                    && outcome.round == round
                    && packet.answers() == Some(round)
                    && packet.under == round.version.previous()
            }
            (Phase::Answered { round, .. }, Act::Deliver(packet)) => {
                outcome.role == Role::Loser && outcome.round == round && packet.under == round.version
            }
            _ => false,
        };
        let next = outcome.version == self.before.latest.next() && outcome.round.version == outcome.version;
        if confirmed && next && self.outcome.is_none() {
            return Ok(());
        }
        breach(format!("I8: {:?} is committed without the peer's confirmation", outcome.round))
    }
}

/// Keeps what was promised to the user beside the machine, and what the user has left.
fn account(end: &mut End, act: Act, verdict: Verdict, outcome: Option<RekeyOutcome>) -> Result<(), Breach> {
    match (act, verdict) {
        (Act::Trigger, Verdict::Waiting(version)) => {
            end.budget.triggers -= 1;
            if version <= end.machine.latest() {
                return breach(format!("a trigger waits for {version:?}, which is committed"));
            }
            end.promised = end.promised.max(Some(version));
        }
        (Act::Trigger, verdict) => return breach(format!("a trigger is met with {verdict:?}")),
        (Act::Withdraw, Verdict::Done) => {
            end.budget.withdrawals -= 1;
            end.promised = None;
        }
        (Act::Halt, _) => end.promised = None,
        _ => {}
    }
    if let Some(outcome) = outcome
        && end.promised.is_some_and(|version| version <= outcome.version)
    {
        end.promised = None;
    }
    Ok(())
}

/// I7: what only grows.
fn check_growth(before: &View, after: &View) -> Result<(), Breach> {
    let numbers =
        |view: &View| [view.latest.0, view.earliest.0, view.next_attempt.0, view.peer_floor.0, view.floor.0];
    let names = ["latest", "earliest", "next attempt", "peer's floor", "floor"];
    for (name, (old, new)) in names.iter().zip(numbers(before).into_iter().zip(numbers(after))) {
        if new < old {
            return breach(format!("I7: {name} falls from {old} to {new}"));
        }
    }
    Ok(())
}

/// I9: one round secret in Offered and Answered, none elsewhere, and the view tells the truth about it.
fn check_secrets(end: &End, view: &View) -> Result<(), Breach> {
    let alive = secrets_of(end);
    let expected = matches!(view.phase, Phase::Offered { .. } | Phase::Answered { .. });
    if alive != i64::from(expected) || alive != i64::from(view.round_secrets) {
        return breach(format!("I9: {alive} round secrets alive, {} in the view", view.round_secrets));
    }
    Ok(())
}

/// I10: whoever waits for the peer has an armed timer; with no time between, it is due.
fn check_timer(end: &End, view: &View) -> Result<(), Breach> {
    let waits = !matches!(view.phase, Phase::Idle { .. }) && view.lifecycle != Lifecycle::Halted;
    let armed = end.machine.poll_timeout().is_some_and(|(when, _)| when <= end.now);
    if waits && !armed {
        return breach("I10: no timer is armed");
    }
    Ok(())
}

/// After a halt a trigger is refused, typed; header bits name exactly the versions that open.
fn check_reading(end: &End, view: &View) -> Result<(), Breach> {
    let mut end = end.clone();
    if view.lifecycle != Lifecycle::Running {
        let verdict = end.machine.handle(end.now, Input::Trigger);
        if verdict != Verdict::Refused(Refusal::Halted) || end.machine.view() != *view {
            return breach(format!("a trigger after a halt is met with {verdict:?}"));
        }
    }
    let picture = end.picture();
    for version in (0..=view.latest.0 + 2).map(Version) {
        let named = end.machine.resolve(version.low_bits());
        let readable = picture.opens(version).map(|_| version);
        if named != readable {
            return breach(format!("the header bits of {version:?} name {named:?}, not {readable:?}"));
        }
    }
    Ok(())
}
