//! Messages that name themselves, sent and read as credit allows, checked as they arrive.

use super::{Chunks, Side, World};
use bytes::Bytes;
use citadel_proto::{ChannelId, Taken, TrySendError};
use std::collections::VecDeque;
use std::time::Duration;

/// What both ends say to each other.
pub struct Talk {
    lanes: Vec<Lane>,
}

/// One direction of one channel.
struct Lane {
    from: Side,
    channel: ChannelId,
    to_say: VecDeque<Bytes>,
    said: VecDeque<Bytes>,
}

impl Talk {
    /// `count` messages of at most `longest` bytes on each of the lanes, named by their sender.
    pub fn new(seed: u64, lanes: &[(Side, ChannelId)], count: usize, longest: usize) -> Self {
        let mut sizes = Chunks::new(seed);
        let lane = |(number, (from, channel)): (usize, &(Side, ChannelId))| {
            let to_say = (0..count).map(|message| {
                let len = sizes.below(longest + 1);
                let name = [number as u8, message as u8, len as u8];
                name.iter().copied().cycle().take(len).collect()
            });
            Lane { from: *from, channel: *channel, to_say: to_say.collect(), said: VecDeque::new() }
        };
        Self { lanes: lanes.iter().enumerate().map(lane).collect() }
    }

    /// Sends what there is credit for and reads what came. True if anything moved.
    pub fn step(&mut self, world: &mut World) -> bool {
        let mut moved = false;
        for lane in &mut self.lanes {
            while let Some(message) = lane.to_say.front() {
                match world.end(lane.from).machine.try_send(lane.channel, message.clone()) {
                    Ok(()) => lane.said.extend(lane.to_say.pop_front()),
                    Err(TrySendError::Full(_)) => break,
                    Err(error) => panic!("{error}"),
                }
                moved = true;
            }
            while let Taken::Message(message) = world.take(lane.from.other(), lane.channel) {
                let expected = lane.said.pop_front();
                assert!(expected.as_ref() == Some(&message), "channel {}: out of order", lane.channel);
                moved = true;
            }
        }
        moved
    }

    /// Whether everything was said and heard.
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.to_say.is_empty() && lane.said.is_empty())
    }

    /// Talks until everything was said and heard. A session that was cut gets another path once nothing else happens.
    pub fn finish(&mut self, world: &mut World) {
        for _ in 0..100_000 {
            let moved = self.step(world);
            if world.turn() || moved {
                continue;
            }
            if world.is_detached() {
                world.attach();
            } else if self.is_over() {
                return;
            } else {
                world.pass(Duration::from_millis(25));
            }
        }
        panic!("the talk does not end: {:?} records", world.records);
    }
}
