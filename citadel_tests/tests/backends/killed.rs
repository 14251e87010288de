//! A process that is killed (SIGKILL) after each operation of a script, and in the midst of some: the next one finds everything
//! that was acknowledged.
//!
//! The process is this test binary again, told by its environment to run the operations. It says each one's number when
//! its future has resolved.

use super::setup::File;
use citadel_proto::backend::Redb;
use citadel_tests::backend_script::{Dump, Model, Op, script};
use citadel_tests::canary;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const FILE: &str = "CITADEL_KILLED_FILE";
const FIRST: &str = "CITADEL_KILLED_FIRST";
/// Set if the script has tickets, which a dump does not show: whether a ticket's operation that was cut off was done
/// cannot be told.
const TICKETS: &str = "CITADEL_KILLED_TICKETS";
const OPERATIONS: usize = 500;

fn operations(has_tickets: bool) -> Vec<Op> {
    let is_ticket = |op: &Op| matches!(op, Op::PutTicket(..) | Op::TakeTicket(..) | Op::Purge(..));
    let all = script(3, 2 * OPERATIONS).into_iter();
    all.filter(|op| has_tickets || !is_ticket(op)).take(OPERATIONS).collect()
}

/// The model after `ops`.
fn model_after(ops: &[Op]) -> Model {
    let mut model = Model::default();
    for op in ops {
        model.apply(op);
    }
    model
}

/// The process: runs the operations from `FIRST` on, each when it is told to by a line.
#[test]
fn the_process_that_is_killed() {
    let (Ok(file), Ok(first)) = (std::env::var(FILE), std::env::var(FIRST)) else { return };
    canary::watch();
    let first: usize = first.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let backend = Redb::open(file).unwrap();
    let ops = operations(std::env::var(TICKETS).is_ok());
    let mut model = model_after(&ops[..first]);
    let mut turns = std::io::stdin().lines();
    for (number, op) in ops.iter().enumerate().skip(first) {
        let Some(Ok(_turn)) = turns.next() else { return };
        let answer = runtime.block_on(op.run(&backend, &model));
        assert_eq!(answer, model.apply(op), "{op:?}");
        // Around the harness, which would keep the lines of a test to itself.
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ndone {number}").unwrap();
        out.flush().unwrap();
    }
}

struct Process {
    child: Child,
    turns: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(file: &File, first: usize, has_tickets: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if has_tickets {
            command.env(TICKETS, "1");
        }
        let mut child = command
            .args(["--exact", "killed::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(FILE, file.path())
            .env(FIRST, first.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (turns, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, turns, lines: BufReader::new(out).lines() }
    }

    fn turn(&mut self) {
        self.turns.write_all(b"\n").unwrap();
    }

    /// The number of the operation that is done next; none if there is none.
    fn done(&mut self) -> Option<usize> {
        loop {
            let line = self.lines.next()?.unwrap();
            if let Some(number) = line.strip_prefix("done ") {
                return Some(number.parse().unwrap());
            }
        }
    }

    /// Kills it; the last operation that it said was done.
    fn kill(mut self) -> Option<usize> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut last = None;
        while let Some(done) = self.done() {
            last = Some(done);
        }
        last
    }
}

fn dump(file: &File) -> Dump {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { Dump::of(&Redb::open(file.path()).unwrap()).await.unwrap() })
}

#[test]
fn a_kill_after_each_operation_loses_nothing() {
    let (file, ops) = (File::new(), operations(true));
    for number in 0..OPERATIONS {
        let mut process = Process::start(&file, number, true);
        process.turn();
        assert_eq!(process.done(), Some(number));
        assert_eq!(process.kill(), None);
        assert_eq!(dump(&file), model_after(&ops[..=number]).dump, "after operation {number}");
    }
}

#[test]
fn a_kill_in_the_midst_of_an_operation_leaves_it_done_or_not() {
    let (file, ops) = (File::new(), operations(false));
    let (mut next, mut kills) = (0, 0);
    while next < OPERATIONS - 20 {
        let mut process = Process::start(&file, next, false);
        // It works ahead of us: whatever it does now is cut off somewhere.
        (0..10).for_each(|_| process.turn());
        let first = process.done();
        assert_eq!(first, Some(next));
        let done = process.kill().unwrap_or(next) + 1;
        let found = dump(&file);
        let whole = [done, done + 1].into_iter().find(|count| model_after(&ops[..*count]).dump == found);
        next = whole.unwrap_or_else(|| panic!("neither {done} operations nor one more: {found:#?}"));
        kills += 1;
    }
    assert!(kills > 40, "only {kills} kills");
}
