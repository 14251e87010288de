//! The explorer of meetings must be able to see: each mutant of the machine breaks one rule, and a violation is required.
//!
//! A copy of `peers/meeting.rs` with one change is compiled with the explorer into a program of its own and run. The words
//! that both take from `citadel_crypt` are written again there.

use citadel_tests::mutants::{Change, Mutant, Workshop, check_list, dies, survives};
use std::path::Path;

/// The program: the smallest scenarios that show every rule, the first violation printed.
const MAIN: &str = r#"
extern crate self as citadel_crypt;

#[path = "machine/meeting.rs"]
pub mod meeting;
#[path = "meeting_world/mod.rs"]
pub mod meeting_world;
mod time;
pub mod explorer {
    pub mod hash;
}
pub mod addr {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub struct PeerId(pub [u8; 32]);
}
pub mod handshake {
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Instance(pub [u8; 16]);
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct RefusalCode(pub u16);
    impl RefusalCode {
        pub const PEER_SIMULTANEOUS: Self = Self(27);
    }
    pub enum HandshakeError {
        Refused { code: RefusalCode, authenticated: bool },
        DeadlineExceeded,
    }
    impl HandshakeError {
        pub const fn is_retryable(&self) -> bool {
            matches!(self, Self::DeadlineExceeded)
        }
    }
}

pub use time::Timestamp;
use meeting_world::{Scenario, explore};

fn main() -> std::process::ExitCode {
    let scenarios = [
        Scenario::new("(2 dials)", 2),
        Scenario::new("(1 dial, 1 withdrawal)", 1).with_withdrawals(1),
        Scenario::new("(1 dial, 1 end)", 1).with_ends(1),
        Scenario::new("(1 dial), 2 losses", 1).with_losses(2),
    ];
    for scenario in scenarios {
        match explore(&scenario.with_limit(200_000)) {
            Ok(report) => println!("  {report}{}", if report.exhausted { "" } else { ", given up" }),
            Err(violation) => {
                print!("{violation}");
                return std::process::ExitCode::from(1);
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
"#;

const fn change(old: &'static str, new: &'static str) -> Change {
    Change { file: "meeting.rs", old, new }
}

const MUTANTS: &[Mutant] = &[
    dies("the larger id keeps", &[change("keeps: own < peer,", "keeps: own > peer,")]),
    dies("both yield", &[change("keeps: own < peer,", "keeps: own == peer,")]),
    dies("both keep", &[change("keeps: own < peer,", "keeps: own != peer,")]),
    dies(
        "refused at once instead of held",
        &[change(
            "Phase::Dialling { own, tries, until, held: Some(attempt) }",
            "self.refuse(attempt);
                Phase::Dialling { own, tries, until, held: None }",
        )],
    ),
    dies(
        "held and forgotten when the own attempt fails",
        &[change(
            "(Some(theirs), _) => self.answer_instead(now, theirs, tries),",
            "(Some(_), _) => self.fail(NotMet::MayPass),",
        )],
    ),
    dies(
        "held and forgotten when the own attempt is too slow",
        &[change(
            "Some(theirs) => self.answer_instead(now, theirs, tries),",
            "Some(_) => self.fail(NotMet::TimedOut),",
        )],
    ),
    dies(
        "held and forgotten when callers go",
        &[change(
            "Some(attempt) => Phase::Answering(self.accept(now, attempt, Callers::Nobody)),",
            "Some(_) => Phase::Idle,",
        )],
    ),
    dies(
        "held and forgotten when the own attempt is established",
        &[change(
            "held.into_iter().for_each(|older| self.refuse(older));
                self.meet(session);",
            "self.meet(session);",
        )],
    ),
    dies(
        "callers forgotten by who yields",
        &[change(
            "Phase::Answering(self.accept(now, attempt, Callers::Waiting { tries }))",
            "Phase::Answering(self.accept(now, attempt, Callers::Nobody))",
        )],
    ),
    dies("callers who join forgotten", &[change("*self = Self::Waiting { tries };", "let _ = tries;")]),
    dies(
        "own attempt goes on where it yields",
        &[change(
            "self.outputs.push_back(Output::GiveUp(own));
                Phase::Answering(",
            "let _ = own;
                Phase::Answering(",
        )],
    ),
    dies(
        "dials beside an accepted attempt",
        &[change(
            "Phase::Idle => self.begin(now, tries),",
            "Phase::Idle | Phase::Answering(_) => self.begin(now, tries),",
        )],
    ),
    dies(
        "renewed without an end of the old session",
        &[change("self.outputs.push_back(Output::Supersede(older));", "")],
    ),
    dies(
        "old session ended before the new one is heard",
        &[change(
            "Phase::Met { session, renewal: Some(renewal) }
            }",
            "self.outputs.push_back(Output::Supersede(session));
                Phase::Answering(renewal)
            }",
        )],
    ),
    dies(
        "renewal forgotten when the old session ends",
        &[change(
            "self.phase = renewal.map_or(Phase::Idle, Phase::Answering);",
            "let _ = renewal; self.phase = Phase::Idle;",
        )],
    ),
    dies(
        "who waits for a renewal is not told that it failed",
        &[change(
            "Callers::Waiting { .. } => self.meet(session),",
            "Callers::Waiting { .. } => self.phase = Phase::Met { session, renewal: None },",
        )],
    ),
    dies(
        "session of an attempt that was given up is kept",
        &[change(
            "// It was given up, and the peer has not heard it.
            _ => self.outputs.push_back(Output::Supersede(session)),",
            "_ => self.meet(session),",
        )],
    ),
    dies(
        "a late end ends the session that there is",
        &[change(
            "Phase::Met { session, renewal } if session == ended =>",
            "Phase::Met { renewal, .. } if ended == ended =>",
        )],
    ),
    dies(
        "an older attempt takes the place of a newer one",
        &[change("if self.newest >= Some(attempt) {", "if self.newest == Some(attempt) {")],
    ),
    dies(
        "a withdrawal takes the peer's attempt along",
        &[change(
            "answered.callers = Callers::Nobody;",
            "let attempt = answered.attempt;
                self.outputs.push_back(Output::Abandon(attempt));
                self.phase = Phase::Idle;",
        )],
    ),
    dies(
        "callers fail with the peer's attempt",
        &[change(
            "Callers::Waiting { tries } => self.try_again(now, tries),",
            "Callers::Waiting { .. } => self.fail(NotMet::Unsettled),",
        )],
    ),
    survives(
        "refused once, failed",
        &[change(
            "(None, Failure::Simultaneous) => self.try_again(now, tries),",
            "(None, Failure::Simultaneous) => self.fail(NotMet::MayPass),",
        )],
        "only a loss leads there, and after a loss callers may fail",
    ),
    survives(
        "refused when callers go",
        &[change(
            "Some(attempt) => Phase::Answering(self.accept(now, attempt, Callers::Nobody)),",
            "Some(attempt) => { self.refuse(attempt); Phase::Idle }",
        )],
        "the peer begins again: a round trip and a try",
    ),
    survives(
        "an older attempt is left to itself",
        &[change("self.outputs.push_back(Output::Abandon(older.attempt));", "let _ = older.attempt;")],
        "it is over at the peer, whose end of it comes",
    ),
];

#[test]
fn every_mutant_is_seen_and_the_machine_itself_passes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("meeting_mutants");
    let parts = &[
        ("../citadel_proto/src/peers/meeting.rs", "machine/meeting.rs"),
        ("../citadel_crypt/src/ratchets/rekey/time.rs", "time.rs"),
        ("src/meeting_world", "meeting_world"),
        ("src/explorer/hash.rs", "explorer/hash.rs"),
    ];
    Workshop { folder, parts, machine: "machine", main: MAIN }.judge(MUTANTS);
}

#[test]
fn the_list_is_well_formed() {
    check_list(MUTANTS, 20);
}
