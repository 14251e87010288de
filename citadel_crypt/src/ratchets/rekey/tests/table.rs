//! The transition table, written again: every input in every state.

use super::bench::{End, Letter, SUITE, dead_round, id, letter, line, pair, place, round};
use super::stand_in::{Answer, Arithmetic, Offer};
use crate::ratchets::rekey::{Body, CancelReason, Input, RoundId, Side, Verdict, Version};
use core::time::Duration;

/// Columns. Both ends are at version 2; `me` led version 1, the peer version 2; attempts 1 and 2 of both are
/// over, 2 was withdrawn. Version 3 is won by the responder.
const STATES: [&str; 10] = [
    "Idle",
    "Offered, wins",
    "Offered, yields",
    "Confirming",
    "Answered",
    "Withdrawing",
    "Confirming/Halting",
    "Answered/Halting",
    "Withdrawing/Halting",
    "Halted",
];

fn build(state: &str) -> (End, End) {
    let side = if state.contains("wins") { Side::Responder } else { Side::Initiator };
    let (mut me, mut peer) = pair(side);
    round(&mut me, &mut peer);
    round(&mut peer, &mut me);
    dead_round(&mut me, &mut peer);
    dead_round(&mut peer, &mut me);
    let (phase, halts) = match state.split_once('/') {
        Some((phase, _)) => (phase, true),
        None => (state, state == "Halted"),
    };
    match phase {
        "Idle" | "Halted" => {}
        "Offered, wins" | "Offered, yields" => {
            me.step(Input::Trigger);
        }
        "Withdrawing" => {
            me.step(Input::Trigger);
            me.step(Input::Withdraw);
        }
        "Confirming" => {
            me.step(Input::Trigger);
            peer.take(me.letter());
            me.take(peer.letter());
        }
        "Answered" => {
            peer.step(Input::Trigger);
            me.take(peer.letter());
        }
        other => panic!("no state {other}"),
    }
    if halts {
        me.step(Input::Halt);
    }
    (me, peer)
}

fn offer(under: u64, version: u64, side: Side, attempt: u64) -> Letter {
    let offer = Offer { share: 5, signature: None };
    letter(
        under,
        id(version, side, attempt),
        attempt - 1,
        Body::AliceToBob { suite: SUITE, signed: false, offer },
    )
}

/// The right answer to the own round at hand, or one of no worth.
fn answer(me: &End, version: u64, attempt: u64) -> Letter {
    let side = me.side();
    let round = id(version, side, attempt);
    let share = 77;
    // Own shares are drawn one by one, so the live one is the last drawn.
    let provider = me.machine.provider();
    let key = Arithmetic::key(provider.root, round, provider.next, share);
    let answer = Answer { share, confirm: key ^ 0xB, signature: None };
    letter(version - 1, round, 2, Body::BobToAlice { answer })
}

fn finish(me: &mut End, round: RoundId, right: bool) -> Letter {
    let key = me.machine.candidate_mut().map_or(0, |(_, key)| *key);
    let tag = if right { key ^ 0xA } else { 1 };
    letter(round.version.0, round, round.attempt.0 - 1, Body::LoserCanFinish { tag })
}

/// Feeds the named input.
fn feed(me: &mut End, input: &str) -> Verdict {
    let mine = me.side();
    let theirs = mine.peer();
    let latest = me.machine.latest().0;
    let by_hand = match input {
        "trigger" => return me.step(Input::Trigger),
        "withdraw" => return me.step(Input::Withdraw),
        "halt" => return me.step(Input::Halt),
        "path replaced" => return me.step(Input::PathReplaced { reauthenticate: false }),
        "timer, early" => return me.step(Input::Timeout),
        "timer" => {
            me.pass(Duration::from_secs(60));
            return me.step(Input::Timeout);
        }
        "record under latest" => return me.step(Input::Record { under: Version(latest) }),
        "record under 1" => return me.step(Input::Record { under: Version(1) }),
        "record under latest + 1" => return me.step(Input::Record { under: Version(latest + 1) }),
        "offer, next" => offer(latest, latest + 1, theirs, 4),
        "offer, at hand" => offer(latest, latest + 1, theirs, 3),
        "offer, old attempt" => offer(latest, latest + 1, theirs, 2),
        "offer, old version" => offer(latest - 1, latest, theirs, 9),
        "offer, version ahead" => offer(latest, latest + 2, theirs, 9),
        "offer, under old keys" => offer(latest - 1, latest + 1, theirs, 9),
        "answer, at hand" => answer(me, 3, 3),
        "answer, dead round" => answer(me, latest + 1, 2),
        "answer, old version" => answer(me, latest, 1),
        "finish, at hand" => finish(me, id(3, theirs, 3), true),
        "finish, wrong tag" => finish(me, id(3, theirs, 3), false),
        "finish, last" => finish(me, id(2, theirs, 1), false),
        "finish, unknown" => finish(me, id(latest, theirs, 8), false),
        "ack, at hand" => letter(latest, id(latest, mine, 3), 2, Body::LeaderCanFinish),
        "ack, other" => letter(2, id(2, mine, 2), 2, Body::LeaderCanFinish),
        "cancel, at hand" => {
            letter(latest, id(3, theirs, 3), 3, Body::Cancel { reason: CancelReason::Withdrawn })
        }
        "cancel, dead round" => {
            letter(latest, id(3, theirs, 2), 2, Body::Cancel { reason: CancelReason::Unknown })
        }
        "cancel, old keys" => {
            letter(latest - 1, id(3, theirs, 3), 9, Body::Cancel { reason: CancelReason::Withdrawn })
        }
        "cancel ack, at hand" => letter(latest, id(3, mine, 3), 2, Body::CancelAck),
        "cancel ack, other" => letter(latest, id(3, mine, 2), 2, Body::CancelAck),
        "floor past" => letter(latest, id(3, mine, 2), 3, Body::CancelAck),
        other => panic!("no input {other}"),
    };
    me.take(by_hand)
}

/// Input, what it does in most states, and the states where it does something else: verdict, next state
/// (`=`: the same), outputs in order.
type Row = (&'static str, &'static str, &'static [(&'static [&'static str], &'static str)]);

const TABLE: [Row; 30] = [
    (
        "trigger",
        "refused Halted > =",
        &[
            (&["Idle"], "wait 3 > Offered AliceToBob +started"),
            (&["Offered, wins", "Offered, yields", "Withdrawing"], "wait 3 > ="),
            (&["Confirming", "Answered"], "wait 4 > ="),
        ],
    ),
    (
        "withdraw",
        "refused NoRound > =",
        &[
            (&["Offered, wins", "Offered, yields"], "done > Withdrawing Cancel +cancelled:Own(Withdrawn)"),
            (&["Confirming", "Confirming/Halting"], "refused AlreadyCommitted > ="),
            (&["Answered", "Answered/Halting"], "refused NotOwner > ="),
        ],
    ),
    (
        "halt",
        "done > =",
        &[
            (&["Idle"], "done > Idle/Halted HALTED"),
            (
                &["Offered, wins", "Offered, yields"],
                "done > Withdrawing/Halting Cancel +cancelled:Own(Halting)",
            ),
            (&["Confirming"], "done > Confirming/Halting"),
            (&["Answered"], "done > Answered/Halting"),
            (&["Withdrawing"], "done > Withdrawing/Halting"),
        ],
    ),
    (
        "path replaced",
        "done > =",
        &[
            (&["Offered, wins", "Offered, yields"], "done > = AliceToBob"),
            (&["Confirming", "Confirming/Halting"], "done > = Finish"),
            (&["Answered", "Answered/Halting"], "done > = BobToAlice"),
            (&["Withdrawing", "Withdrawing/Halting"], "done > = Cancel"),
        ],
    ),
    ("timer, early", "done > =", &[]),
    (
        "timer",
        "done > = Evict<2 AliceToBob",
        &[
            (&["Idle"], "done > = Evict<2"),
            (&["Confirming", "Confirming/Halting"], "done > = Evict<2 Finish"),
            (&["Answered", "Answered/Halting"], "done > = Evict<2 BobToAlice"),
            (&["Withdrawing", "Withdrawing/Halting"], "done > = Evict<2 Cancel"),
            (&["Halted"], "done > ="),
        ],
    ),
    (
        "record under latest",
        "done > =",
        &[(&["Confirming"], "done > Idle"), (&["Confirming/Halting"], "done > Idle/Halted HALTED")],
    ),
    ("record under 1", "done > =", &[]),
    (
        "record under latest + 1",
        "ignored WrongVersion > =",
        &[
            (&["Answered"], "done > Idle Committed LeaderCanFinish +committed"),
            (&["Answered/Halting"], "done > Idle/Halted Committed LeaderCanFinish +committed HALTED"),
        ],
    ),
    (
        "offer, next",
        "done > Answered BobToAlice +started",
        &[
            (&["Offered, wins"], "done > = AliceToBob"),
            (&["Offered, yields"], "done > Answered +cancelled:Yielded BobToAlice +started"),
            (&["Answered"], "done > = +cancelled:Superseded BobToAlice +started"),
            (&["Withdrawing"], "done > Withdrawing+held"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
            (&["Answered/Halting"], "done > Idle/Halted +cancelled:Superseded HALTED"),
            (&["Withdrawing/Halting", "Halted"], "done > ="),
        ],
    ),
    (
        "offer, at hand",
        "done > Answered BobToAlice +started",
        &[
            (&["Offered, wins"], "ignored LostTie > = AliceToBob"),
            (&["Offered, yields"], "done > Answered +cancelled:Yielded BobToAlice +started"),
            (&["Answered", "Answered/Halting"], "done > = BobToAlice"),
            (&["Withdrawing"], "done > Withdrawing+held"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
            (&["Withdrawing/Halting", "Halted"], "ignored Halting > ="),
        ],
    ),
    (
        "offer, old attempt",
        "ignored Stale > =",
        &[(&["Confirming"], "done > Idle"), (&["Confirming/Halting"], "done > Idle/Halted HALTED")],
    ),
    ("offer, old version", "ignored Stale > =", &[]),
    (
        "offer, version ahead",
        "closed ProtocolViolation(VersionAhead(v4)) > Idle/Closed CLOSE",
        &[(
            &["Confirming", "Confirming/Halting"],
            "closed ProtocolViolation(VersionAhead(v5)) > Idle/Closed CLOSE",
        )],
    ),
    ("offer, under old keys", "ignored WrongVersion > =", &[]),
    (
        "answer, at hand",
        "done > = Cancel",
        &[
            (&["Offered, wins", "Offered, yields"], "done > Confirming Committed Finish +committed"),
            (&["Confirming", "Confirming/Halting"], "done > = Finish"),
        ],
    ),
    (
        "answer, dead round",
        "done > = Cancel",
        &[
            (&["Confirming"], "done > Idle Cancel"),
            (&["Confirming/Halting"], "done > Idle/Halted Cancel HALTED"),
        ],
    ),
    ("answer, old version", "ignored Stale > =", &[]),
    (
        "finish, at hand",
        "ignored WrongVersion > =",
        &[
            (&["Confirming"], "done > Idle"),
            (&["Answered"], "done > Idle Committed LeaderCanFinish +committed"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
            (&["Answered/Halting"], "done > Idle/Halted Committed LeaderCanFinish +committed HALTED"),
        ],
    ),
    (
        "finish, wrong tag",
        "ignored WrongVersion > =",
        &[
            (&["Confirming"], "done > Idle"),
            (&["Answered", "Answered/Halting"], "closed KeyMismatch > Idle/Closed CLOSE"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
        ],
    ),
    (
        "finish, last",
        "done > = LeaderCanFinish",
        &[(&["Confirming", "Confirming/Halting"], "ignored Stale > =")],
    ),
    (
        "finish, unknown",
        "done > =",
        &[
            (&["Confirming"], "done > Idle"),
            (&["Answered"], "done > Idle +cancelled:Superseded"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
            (&["Answered/Halting"], "done > Idle/Halted +cancelled:Superseded HALTED"),
        ],
    ),
    (
        "ack, at hand",
        "ignored Stale > =",
        &[(&["Confirming"], "done > Idle"), (&["Confirming/Halting"], "done > Idle/Halted HALTED")],
    ),
    ("ack, other", "ignored Stale > =", &[]),
    (
        "cancel, at hand",
        "done > = CancelAck",
        &[
            (&["Confirming"], "done > Idle CancelAck"),
            (&["Answered"], "done > Idle +cancelled:Peer(Withdrawn) CancelAck"),
            (&["Confirming/Halting"], "done > Idle/Halted CancelAck HALTED"),
            (&["Answered/Halting"], "done > Idle/Halted +cancelled:Peer(Withdrawn) CancelAck HALTED"),
        ],
    ),
    (
        "cancel, dead round",
        "done > = CancelAck",
        &[
            (&["Confirming"], "done > Idle CancelAck"),
            (&["Confirming/Halting"], "done > Idle/Halted CancelAck HALTED"),
        ],
    ),
    ("cancel, old keys", "done > = CancelAck", &[]),
    (
        "cancel ack, at hand",
        "ignored Stale > =",
        &[
            (&["Confirming", "Withdrawing"], "done > Idle"),
            (&["Confirming/Halting", "Withdrawing/Halting"], "done > Idle/Halted HALTED"),
        ],
    ),
    (
        "cancel ack, other",
        "ignored Stale > =",
        &[(&["Confirming"], "done > Idle"), (&["Confirming/Halting"], "done > Idle/Halted HALTED")],
    ),
    (
        "floor past",
        "done > =",
        &[
            (&["Confirming"], "done > Idle"),
            (&["Answered"], "done > Idle +cancelled:Superseded"),
            (&["Confirming/Halting"], "done > Idle/Halted HALTED"),
            (&["Answered/Halting"], "done > Idle/Halted +cancelled:Superseded HALTED"),
        ],
    ),
];

#[test]
fn every_input_in_every_state_does_what_the_table_says() {
    let mut cells = 0;
    for (input, usual, exceptions) in TABLE {
        for (names, _) in exceptions {
            assert!(names.iter().all(|name| STATES.contains(name)), "{input}: {names:?}");
        }
        for state in STATES {
            let (mut me, _) = build(state);
            let before = place(&me.machine);
            let verdict = feed(&mut me, input);
            let expected =
                exceptions.iter().find(|(names, _)| names.contains(&state)).map_or(usual, |(_, e)| e);
            assert_eq!(line(verdict, &me), expected.replacen('=', &before, 1), "{input} in {state}");
            cells += 1;
        }
    }
    assert_eq!(cells, 300);
}
