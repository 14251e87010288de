//! The logger of the tests: it searches each record, and keeps those of a thread that asks for them.

use super::search::find;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Once;

/// A record.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its target.
    pub target: String,
    /// Its message.
    pub text: String,
    /// Its key-values.
    pub fields: BTreeMap<String, String>,
}

thread_local! {
    static KEPT: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
}

/// Looks for canaries in whatever this process logs from now on, at every level. Further calls do nothing.
///
/// A record that holds one ends the process, with a message on its standard error.
///
/// # Panics
/// When somebody else installed a logger.
pub fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // Makes the table of spellings: not while a test counts bytes or time.
        let _none = find("");
        log::set_logger(&Watcher).expect("no test installs a logger of its own");
        log::set_max_level(LevelFilter::Trace);
    });
}

/// Keeps the records of this thread from now on. Watches, too.
pub fn keep() {
    watch();
    KEPT.set(Some(Vec::new()));
}

/// The records of this thread since [`keep`], and no more of them.
pub fn kept() -> Vec<Line> {
    KEPT.take().unwrap_or_default()
}

struct Watcher;

impl Log for Watcher {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some((canary, text)) = search(record) {
            end(record, canary, &text);
        }
        // A thread that ends may log after its place is gone.
        let _gone = KEPT.try_with(|kept| {
            let is_kept = kept.borrow().is_some();
            let line = is_kept.then(|| Line::new(record));
            if let (Some(kept), Some(line)) = (kept.borrow_mut().as_mut(), line) {
                kept.push(line);
            }
        });
    }

    fn flush(&self) {}
}

/// The canary in a record, and all that the record says.
fn search(record: &Record<'_>) -> Option<(&'static str, String)> {
    let mut text = Text(String::with_capacity(256));
    text.say(format_args!("{} {}", record.target(), record.args()));
    record.key_values().visit(&mut text).expect("writing text does not fail");
    find(&text.0).map(|canary| (canary, text.0))
}

/// No test outlives a record with a canary, whoever catches panics.
fn end(record: &Record<'_>, canary: &str, text: &str) -> ! {
    let place = (record.file().unwrap_or("?"), record.line().unwrap_or(0));
    // Around the harness, which would keep the lines of a test to itself, and would not get to show them.
    let _unseen = writeln!(
        std::io::stderr().lock(),
        "\nA LOG RECORD HOLDS A CANARY, {canary:?}: {} {text}\nlogged at {}:{}",
        record.level(),
        place.0,
        place.1,
    );
    std::process::abort();
}

/// All that a record says, as text.
struct Text(String);

impl Text {
    fn say(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing text does not fail");
    }
}

impl<'a> VisitSource<'a> for Text {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        // `Debug` puts text in quotes; what was captured by `Display` is written as that writes it.
        self.say(format_args!(" {key}={value:?}"));
        Ok(())
    }
}

/// The key-values of a record.
struct Fields(BTreeMap<String, String>);

impl<'a> VisitSource<'a> for Fields {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl Line {
    fn new(record: &Record<'_>) -> Self {
        let mut fields = Fields(BTreeMap::new());
        record.key_values().visit(&mut fields).expect("collecting does not fail");
        let (target, text) = (record.target().to_owned(), record.args().to_string());
        Self { level: record.level(), target, text, fields: fields.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MARK, marked};
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::{Command, Output};

    /// Tells the process what to log.
    const PART: &str = "CITADEL_CANARY_PART";

    #[test]
    fn message_target_and_every_value_are_searched() {
        let secret = marked("word");
        let hit = |record: &Record<'_>| search(record).map(|(canary, _)| canary.to_owned());
        let quiet = hit(&Record::builder().target("citadel::test").args(format_args!("session 7")).build());
        assert_eq!(quiet, None);
        let loud = hit(&Record::builder().args(format_args!("sent {MARK}word")).build());
        assert_eq!(loud.as_deref(), Some(MARK));
        let loud = Record::builder().target("canary~target").build();
        assert_eq!(hit(&loud).as_deref(), Some(MARK));
        let values = [("round", Value::from(7)), ("secret", Value::from_debug(&secret))];
        let loud = Record::builder().key_values(&values).build();
        assert_eq!(hit(&loud).as_deref(), Some("99, 97, 110, 97, 114, 121, 126"));
    }

    /// The process: logs one record where a panic would be caught.
    #[test]
    fn the_process_that_logs() {
        let Ok(part) = std::env::var(PART) else { return };
        watch();
        watch();
        let message = marked("payload");
        let _caught = catch_unwind(AssertUnwindSafe(|| match &*part {
            "message" => log::trace!(target: "citadel::test", "sends {message:?}"),
            "value" => log::trace!(target: "citadel::test", message:? = message; "sends"),
            _ => log::error!(target: "citadel::test", "sends {} bytes", message.len()),
        }));
    }

    fn run(part: &str) -> Output {
        let mut command = Command::new(std::env::current_exe().expect("a test is a program"));
        let name = "canary::logger::tests::the_process_that_logs";
        command.args(["--exact", name]).env(PART, part).output().expect("it starts again")
    }

    #[test]
    fn a_record_with_a_canary_ends_the_process_and_says_so() {
        for part in ["message", "value"] {
            let output = run(part);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{part}: the process goes on");
            assert!(said.contains("A LOG RECORD HOLDS A CANARY") && said.contains("logger.rs:"), "{said}");
        }
        let output = run("neither");
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_thread_keeps_its_records_until_it_asks_for_them() {
        keep();
        log::debug!(target: "citadel::test", session = 7, cause:% = "a test"; "told");
        let lines = kept();
        assert_eq!(lines.len(), 1);
        let Line { level, target, text, fields } = &lines[0];
        assert_eq!((*level, &**target, &**text), (Level::Debug, "citadel::test", "told"));
        assert_eq!((&*fields["session"], &*fields["cause"]), ("7", "a test"));
        log::debug!(target: "citadel::test", "told to nobody");
        assert!(kept().is_empty());
    }
}
