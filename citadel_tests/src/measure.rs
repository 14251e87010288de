//! Measuring in alternation: every body once a turn, so that whatever slows the machine slows all of them alike.
//!
//! Criterion gives absolute times; a ratio of two of its figures is taken minutes apart. Ratios with a target come
//! from here: the median over the turns of the quotient *within* a turn.

use std::time::{Duration, Instant};

/// Something to measure.
pub struct Body<'a> {
    /// What the table calls it.
    pub name: String,
    /// One call.
    pub call: Box<dyn FnMut() + 'a>,
}

impl<'a> Body<'a> {
    /// A body of that name.
    pub fn new(name: impl Into<String>, call: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), call: Box::new(call) }
    }
}

/// Nanoseconds per call of each body, by turn.
pub struct Turns {
    names: Vec<String>,
    nanos: Vec<Vec<f64>>,
}

/// Runs each body once a turn for about `time`, `turns` times.
pub fn alternate(turns: usize, time: Duration, mut bodies: Vec<Body<'_>>) -> Turns {
    let calls: Vec<u32> = bodies.iter_mut().map(|body| calibrate(time, &mut body.call)).collect();
    let mut nanos = vec![Vec::with_capacity(turns); bodies.len()];
    for _ in 0..turns {
        for ((body, calls), nanos) in bodies.iter_mut().zip(&calls).zip(&mut nanos) {
            nanos.push(elapsed(*calls, &mut body.call).as_nanos() as f64 / f64::from(*calls));
        }
    }
    Turns { names: bodies.into_iter().map(|body| body.name).collect(), nanos }
}

/// Calls that take about `time`; warms the body up on the way.
fn calibrate(time: Duration, call: &mut dyn FnMut()) -> u32 {
    let mut calls = 1_u32;
    loop {
        let taken = elapsed(calls, call);
        if taken * 4 >= time || calls >= 1 << 24 {
            let scale = time.as_secs_f64() / taken.as_secs_f64().max(1e-9);
            return ((f64::from(calls) * scale) as u32).max(1);
        }
        calls *= 2;
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn elapsed(calls: u32, call: &mut dyn FnMut()) -> Duration {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    begin.elapsed()
}

impl Turns {
    fn index(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).expect("the caller asks for a body that it gave")
    }

    /// Median nanoseconds of a body.
    pub fn nanos(&self, name: &str) -> f64 {
        median(self.nanos[self.index(name)].clone())
    }

    /// Median over the turns of `one` ÷ `other`, times of one call each.
    pub fn ratio(&self, one: &str, other: &str) -> f64 {
        let (one, other) = (&self.nanos[self.index(one)], &self.nanos[self.index(other)]);
        median(one.iter().zip(other).map(|(one, other)| one / other).collect())
    }

    /// Names in the order given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

/// Resident memory of this process in KiB; none where the system does not tell.
pub fn resident_kib() -> Option<f64> {
    status_kib("VmRSS:")
}

/// The most resident memory that this process ever had, in KiB; none where the system does not tell.
pub fn peak_resident_kib() -> Option<f64> {
    status_kib("VmHWM:")
}

fn status_kib(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time that the threads of this process with that name have used, in nanoseconds: the first 15 bytes of a name count. None
/// where the system does not tell.
pub fn cpu_nanos(name: &str) -> Option<f64> {
    let mut nanos = 0.0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?.path();
        // A thread may end while it is looked at.
        let Ok(own) = std::fs::read_to_string(thread.join("comm")) else { continue };
        if own.trim_end() == name.get(..15).unwrap_or(name) {
            let spent = std::fs::read_to_string(thread.join("schedstat")).ok()?;
            nanos += spent.split_whitespace().next()?.parse::<f64>().ok()?;
        }
    }
    Some(nanos)
}

/// Median of `values`, which must not be empty.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

/// The value that `share` (0 ..= 1) of `values` do not exceed.
pub fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Target {
    /// One row of a table: what, the figure, the bound, whether it holds.
    pub fn row(self, what: &str, figure: f64) -> String {
        let (sign, bound, holds) = match self {
            Self::AtMost(bound) => ("<=", bound, figure <= bound),
            Self::AtLeast(bound) => (">=", bound, figure >= bound),
        };
        let verdict = if holds { "met" } else { "MISSED" };
        format!("{what:<64} {figure:>8.3}   {sign} {bound:<6} {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_turn() {
        let turns = Turns {
            names: vec!["a".to_owned(), "b".to_owned()],
            nanos: vec![vec![2.0, 20.0, 4.0], vec![1.0, 10.0, 1.0]],
        };
        assert!((turns.ratio("a", "b") - 2.0).abs() < 1e-9);
        assert!((turns.nanos("a") - 4.0).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(values.clone(), 0.99) - 99.0).abs() < 1e-9);
        assert!((percentile(values, 0.5) - 50.0).abs() < 1e-9);
        assert!((median(vec![3.0, 1.0]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_row_says_whether_the_target_is_met() {
        assert!(Target::AtMost(1.15).row("round", 1.1).ends_with("<= 1.15   met"));
        assert!(Target::AtLeast(0.9).row("seal", 0.5).ends_with(">= 0.9    MISSED"));
    }
}
