//! Where an exploration must always be able to go: to rest, by timers alone.

use super::invariants::check_rest;
use super::step::{Breach, breach};
use super::table::{FIRST_PACKET, Step, TIMEOUT, Table};
use std::collections::VecDeque;

/// Deliveries after which two ends that still talk are said to talk for ever.
const MANY: u32 = 500;

/// Timer periods after which both must be at rest.
const PERIODS: u32 = 2;

/// Two ends and what is in flight from each, run by a fixed schedule.
struct Run<'a> {
    table: &'a mut Table,
    ends: [u32; 2],
    queues: [VecDeque<u16>; 2],
}

/// Loses everything in flight, then lets each period fire the timers of both ends, `first` first, and deliver
/// all that is sent.
pub(super) fn settle(table: &mut Table, ends: [u32; 2], first: usize) -> Result<(), Breach> {
    let mut run = Run { table, ends, queues: Default::default() };
    for _ in 0..PERIODS {
        for side in [first, 1 - first] {
            run.act(side, TIMEOUT)?;
        }
        run.deliver_all(first)?;
    }
    let [a, b] = run.ends;
    match check_rest(run.table.picture(0, a), run.table.picture(1, b)) {
        Ok(()) => Ok(()),
        Err(Breach(text)) => {
            breach(format!("after everything in flight was lost and {PERIODS} timer periods: {text}"))
        }
    }
}

/// Delivers what is in flight and all that follows from it: it must come to an end.
pub(super) fn run_dry(table: &mut Table, ends: [u32; 2], flight: [&[u16]; 2]) -> Result<(), Breach> {
    let queues = flight.map(|packets| packets.iter().copied().collect());
    Run { table, ends, queues }.deliver_all(0)
}

impl Run<'_> {
    fn act(&mut self, side: usize, act: u16) -> Result<(), Breach> {
        if let Step::To { end, sent } = self.table.step(side, self.ends[side], act)? {
            self.ends[side] = end;
            self.queues[side].extend(self.table.lists.get(sent));
        }
        Ok(())
    }

    fn deliver_all(&mut self, first: usize) -> Result<(), Breach> {
        for _ in 0..MANY {
            let mut idle = true;
            for sender in [first, 1 - first] {
                if let Some(packet) = self.queues[sender].pop_front() {
                    idle = false;
                    self.act(1 - sender, FIRST_PACKET + packet)?;
                }
            }
            if idle {
                return Ok(());
            }
        }
        breach("the ends go on talking for ever")
    }
}
