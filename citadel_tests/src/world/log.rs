//! What happened, line by line; the same seed gives the same lines.

use citadel_crypt::Timestamp;
use core::fmt;
use std::cell::RefCell;
use std::rc::Rc;

/// A log that whoever started the world keeps when the world falls.
#[derive(Clone, Default, Debug)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    /// Appends a line.
    pub(crate) fn line(&self, now: Timestamp, text: fmt::Arguments<'_>) {
        let micros = now.as_nanos() / 1000;
        let line = format!("{:>4}.{:06} {text}", micros / 1_000_000, micros % 1_000_000);
        self.0.borrow_mut().push(line);
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let lines = self.0.borrow();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}
