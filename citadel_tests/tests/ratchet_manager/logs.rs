//! One log line per transition, target `citadel::rekey`; none above debug unless a round stalls.

use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::manager_world::{Setting, managers};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Level and fields of a line.
type Line = (Level, BTreeMap<String, String>);

thread_local! {
    /// Lines of this thread's runtime, while a test asks for them.
    static LINES: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
}

struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "citadel::rekey"
    }

    fn log(&self, record: &Record<'_>) {
        let mut fields = Fields(BTreeMap::new());
        record.key_values().visit(&mut fields).expect("collecting does not fail");
        LINES.with_borrow_mut(|lines| {
            lines.iter_mut().for_each(|l| l.push((record.level(), fields.0.clone())))
        });
    }

    fn flush(&self) {}
}

struct Fields(BTreeMap<String, String>);

impl<'a> VisitSource<'a> for Fields {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

/// Captures from now on.
fn capture() {
    // Another test of this process was first.
    let _there = log::set_logger(&Capture);
    log::set_max_level(LevelFilter::Debug);
    LINES.set(Some(Vec::new()));
}

fn captured() -> Vec<Line> {
    LINES.take().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn each_transition_of_a_round_is_one_line_that_names_session_round_and_cause() {
    capture();
    let world = managers(&Setting::default());
    world.initiator.handle.rekey().await.expect("both ends live");
    world.both_at(Version(1)).await;
    world.settle().await;
    let mut seen = Vec::new();
    for (level, fields) in captured() {
        assert_eq!(level, Level::Debug);
        assert_eq!(fields["round"], "v1/i#1");
        assert_eq!(fields["session"], u32::from_be_bytes(*b"sess").to_string());
        seen.push(format!("{} -> {} on {}", fields["from"], fields["to"], fields["cause"]));
    }
    let expected = [
        "Idle -> Offered on trigger",
        "Idle -> Answered on message",
        "Offered -> Confirming on message",
        "Answered -> Idle on message",
        "Confirming -> Idle on message",
    ];
    assert_eq!(seen, expected);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_round_is_one_warning() {
    capture();
    let world = managers(&Setting::default());
    world.responder.out.hold_after(0);
    assert!(world.initiator.handle.rekey().await.is_err());
    tokio::time::sleep_until(super::now() + Duration::from_secs(120)).await;
    let warnings: Vec<_> = captured().into_iter().filter(|(level, _)| *level < Level::Debug).collect();
    // The offerer repeats at its longest pace, and so does the end that answers in vain.
    assert!((1..=2).contains(&warnings.len()), "{warnings:?}");
    assert!(warnings.iter().all(|(level, _)| *level == Level::Warn));
    world.responder.out.release();
    world.both_at(Version(1)).await;
    world.finish().await;
}
