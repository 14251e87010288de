//! Helpers about credit.

use bytes::Bytes;
use citadel_proto::{ChannelId, TrySendError};
use citadel_tests::session_world::{Side, World};

/// Sends messages of `len` bytes until there is no credit; returns how many were accepted.
pub(crate) fn fill(world: &mut World, side: Side, channel: ChannelId, len: usize) -> usize {
    let message = Bytes::from(vec![7; len]);
    let mut accepted = 0;
    loop {
        match world.end(side).machine.try_send(channel, message.clone()) {
            Ok(()) => accepted += 1,
            Err(TrySendError::Full(_)) => return accepted,
            Err(other) => panic!("{other}"),
        }
        assert!(accepted < 1_000_000, "no end to the credit");
        if accepted % 8 == 0 {
            world.turn();
        }
    }
}
