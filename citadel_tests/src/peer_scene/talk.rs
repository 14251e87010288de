//! Numbered messages on a channel, each of which is known by its bytes.

use citadel_sdk::{RecvHalf, SendError, SendHalf, Session};
use core::ops::Range;
use futures::future::join;

/// Message `number`, of `len` bytes, rounded up to a multiple of eight.
pub fn message(number: u64, len: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(len.div_ceil(8).max(1))
}

/// Sends these; says how many `send` took before it failed, if it did.
pub async fn say(half: &mut SendHalf, numbers: Range<u64>, len: usize) -> (u64, Option<SendError>) {
    let mut said = 0;
    for number in numbers {
        match half.send(message(number, len)).await {
            Ok(()) => said += 1,
            Err(error) => return (said, Some(error)),
        }
    }
    (said, None)
}

/// Hears these, in their order and nothing else.
///
/// # Panics
/// If something else comes, or the end.
pub async fn hear(half: &mut RecvHalf, numbers: Range<u64>, len: usize) {
    for number in numbers {
        let heard = half.recv().await.expect("no end").expect("no finish");
        assert!(heard == message(number, len), "message {number}");
    }
}

/// How many messages there are until the end, whatever that is; they begin with 0 and have their order.
///
/// # Panics
/// If one is missing before another, or is another one.
pub async fn heard_of(half: &mut RecvHalf, len: usize) -> u64 {
    let mut number = 0;
    while let Ok(Some(heard)) = half.recv().await {
        assert!(heard == message(number, len), "message {number}");
        number += 1;
    }
    number
}

/// A channel between two.
pub struct Talk {
    /// One end.
    pub near: (SendHalf, RecvHalf),
    /// The other.
    pub far: (SendHalf, RecvHalf),
    said: u64,
}

impl Talk {
    /// Takes channel 0 of both.
    pub fn new(near: &Session, far: &Session) -> Self {
        let [near, far] = [near, far].map(|session| session.channel().expect("not taken yet").split());
        Self { near, far, said: 0 }
    }

    /// Opens another one.
    ///
    /// # Panics
    /// If there is none.
    pub async fn open(near: &Session, far: &Session) -> Self {
        let (near, far) = join(near.open_channel(), far.accept_channel()).await;
        let far = far.expect("a session that is open").expect("a channel");
        Self { near: near.expect("a channel").split(), far: far.split(), said: 0 }
    }

    /// So many messages each way, all of which arrive.
    ///
    /// # Panics
    /// If one does not.
    pub async fn go_on(&mut self, count: u64, len: usize) {
        let numbers = || self.said..self.said + count;
        let (one, (), other, ()) = tokio::join!(
            say(&mut self.near.0, numbers(), len),
            hear(&mut self.near.1, numbers(), len),
            say(&mut self.far.0, numbers(), len),
            hear(&mut self.far.1, numbers(), len),
        );
        assert_eq!((one, other), ((count, None), (count, None)));
        self.said += count;
    }

    /// Both finish, both see it.
    ///
    /// # Panics
    /// If either does not.
    pub async fn finish(&mut self) {
        self.near.0.finish().await.expect("open");
        self.far.0.finish().await.expect("open");
        assert_eq!(self.near.1.recv().await, Ok(None));
        assert_eq!(self.far.1.recv().await, Ok(None));
    }
}
