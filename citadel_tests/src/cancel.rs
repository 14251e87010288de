//! Dropping a future at one of its polls, to see that nothing is lost and nobody blocked (R-SES-4).

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// What became of a future that was given `polls` polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<T> {
    /// It was ready within them.
    Finished(T),
    /// It was dropped while pending.
    Dropped,
}

impl<T> Outcome<T> {
    /// Whether the future was dropped while pending.
    pub fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped)
    }
}

/// Polls `future` at most `polls` times, each but the first when it was woken, then drops it. With 0 it is
/// dropped unpolled.
pub async fn poll_then_drop<F: Future>(future: F, polls: usize) -> Outcome<F::Output> {
    if polls == 0 {
        return Outcome::Dropped;
    }
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Outcome::Finished(value)),
            Poll::Pending if left == 0 => Poll::Ready(Outcome::Dropped),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs `case` with 0, 1, 2, … polls until the future finishes within them, at most `most` times; returns how
/// many polls it needed. The case makes the future, hands it to [`poll_then_drop`] and checks what must hold
/// afterwards.
///
/// # Panics
/// When the future is still pending after `most` polls.
pub async fn at_each_poll<T>(most: usize, mut case: impl AsyncFnMut(usize) -> Outcome<T>) -> usize {
    let mut polls = 0;
    while case(polls).await.is_dropped() {
        polls += 1;
        assert!(polls <= most, "still pending after {most} polls");
    }
    polls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_is_dropped_at_the_poll_asked_for() {
        let yielding = || async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(poll_then_drop(yielding(), 0).await, Outcome::Dropped);
        assert_eq!(poll_then_drop(yielding(), 2).await, Outcome::Dropped);
        assert_eq!(poll_then_drop(yielding(), 3).await, Outcome::Finished(7));
        assert_eq!(at_each_poll(9, async |polls| poll_then_drop(yielding(), polls).await).await, 3);
    }
}
