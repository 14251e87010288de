//! Who waits for a round, and for which version: state, never an event (R-CORE-5).
//!
//! ```text
//! Asked ──promise(v)──▶ Waiting(v) ──commit(≥ v)──▶ Done(outcome)
//!   └─────refuse──────────┴────withdraw, end──────▶ Done(error)
//! ```
//!
//! A caller enters here before the driver sends anything on its behalf, so no round can end unseen; what
//! it gets is fixed at the commit that serves it, however late it looks. The driver's own wake-up lives under
//! the same lock: an ask either finds the driver's waker or is found by the driver's next look.

use super::rekey::{RekeyOutcome, Version};
use super::sync::{Arc, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The waits of one endpoint. `E` is what they fail with.
pub(crate) struct Completion<E> {
    board: Mutex<Board<E>>,
}

struct Board<E> {
    /// The last commits, oldest first.
    outcomes: VecDeque<RekeyOutcome>,
    remembered: usize,
    waits: BTreeMap<u64, Slot<E>>,
    next_id: u64,
    /// A trigger that the driver has not taken yet, with or without a wait behind it.
    asked: bool,
    driver: Option<Waker>,
    end: Option<E>,
}

struct Slot<E> {
    stage: Stage<E>,
    waker: Option<Waker>,
}

enum Stage<E> {
    Asked,
    Waiting(Version),
    Done(Result<RekeyOutcome, E>),
}

impl<E: Clone> Completion<E> {
    /// Nothing committed but version 0; the last `remembered` outcomes stay readable.
    pub(crate) fn new(remembered: usize) -> Self {
        Self {
            board: Mutex::new(Board {
                outcomes: VecDeque::new(),
                remembered,
                waits: BTreeMap::new(),
                next_id: 0,
                asked: false,
                driver: None,
                end: None,
            }),
        }
    }

    /// Asks for a round and waits for the version that the driver promises.
    pub(crate) fn ask(self: &Arc<Self>) -> Wait<E> {
        let mut board = self.board.lock();
        let stage = board.end.clone().map_or(Stage::Asked, |end| Stage::Done(Err(end)));
        let driver = if matches!(stage, Stage::Asked) { board.ring() } else { None };
        let id = board.enter(stage);
        drop(board);
        driver.into_iter().for_each(Waker::wake);
        Wait { completion: Arc::clone(self), id }
    }

    /// Asks for a round without waiting.
    ///
    /// # Errors
    /// What the endpoint ended with.
    pub(crate) fn ask_only(&self) -> Result<(), E> {
        let mut board = self.board.lock();
        if let Some(end) = &board.end {
            return Err(end.clone());
        }
        let driver = board.ring();
        drop(board);
        driver.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Waits for the first commit of `version` or above; one that is remembered resolves at once.
    pub(crate) fn wait_for(self: &Arc<Self>, version: Version) -> Wait<E> {
        let mut board = self.board.lock();
        let known = board.outcomes.iter().find(|outcome| outcome.version >= version).copied();
        let stage = match (known, &board.end) {
            (Some(outcome), _) => Stage::Done(Ok(outcome)),
            (None, Some(end)) => Stage::Done(Err(end.clone())),
            (None, None) => Stage::Waiting(version),
        };
        let id = board.enter(stage);
        drop(board);
        Wait { completion: Arc::clone(self), id }
    }

    /// The last commits, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<RekeyOutcome> {
        self.board.lock().outcomes.iter().copied().collect()
    }

    /// Waits that are registered now.
    pub(crate) fn waiting(&self) -> usize {
        self.board.lock().waits.len()
    }

    /// The driver's look: whether a round was asked for since the last one. The task of `cx` is woken by the
    /// next ask.
    pub(crate) fn poll_asked(&self, cx: &Context<'_>) -> bool {
        let mut board = self.board.lock();
        if !board.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            board.driver = Some(cx.waker().clone());
        }
        std::mem::take(&mut board.asked)
    }

    /// Everyone who asked until now is served by the first commit of `version` or above, also who asked since
    /// the driver's look: the round is not committed, so it is a new one for them too.
    pub(crate) fn promise(&self, version: Version) {
        let mut board = self.board.lock();
        board.asked = false;
        for slot in board.waits.values_mut() {
            if matches!(slot.stage, Stage::Asked) {
                slot.stage = Stage::Waiting(version);
            }
        }
    }

    /// Everyone who asked and was promised nothing yet fails with `error`.
    pub(crate) fn refuse(&self, error: &E) {
        self.change(|board| {
            board.asked = false;
            board.settle(|stage| matches!(stage, Stage::Asked), &Err(error.clone()))
        });
    }

    /// Everyone who was promised a version that is not committed fails with `error`.
    pub(crate) fn withdraw(&self, error: &E) {
        self.change(|board| board.settle(|stage| matches!(stage, Stage::Waiting(_)), &Err(error.clone())));
    }

    /// A round was committed. Its keys must have been published before.
    pub(crate) fn commit(&self, outcome: RekeyOutcome) {
        self.change(|board| {
            board.remember(outcome);
            let served = |stage: &Stage<E>| matches!(stage, Stage::Waiting(v) if *v <= outcome.version);
            board.settle(served, &Ok(outcome))
        });
    }

    /// The endpoint is over: every wait, now or later, fails with `error`. The first end stays.
    pub(crate) fn end(&self, error: &E) {
        self.change(|board| {
            let end = board.end.get_or_insert_with(|| error.clone()).clone();
            board.settle(|stage| !matches!(stage, Stage::Done(_)), &Err(end))
        });
    }

    /// Changes the board, then wakes whom the change concerns, outside the lock.
    fn change(&self, change: impl FnOnce(&mut Board<E>) -> Vec<Waker>) {
        let wakers = change(&mut self.board.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<E: Clone> Board<E> {
    fn enter(&mut self, stage: Stage<E>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waits.insert(id, Slot { stage, waker: None });
        id
    }

    /// Notes that a round was asked for; returns the driver's waker if this is the first ask since its look.
    fn ring(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.asked, true) { None } else { self.driver.clone() }
    }

    fn remember(&mut self, outcome: RekeyOutcome) {
        self.outcomes.push_back(outcome);
        if self.outcomes.len() > self.remembered {
            self.outcomes.pop_front();
        }
    }

    /// Gives `result` to every wait whose stage is `concerned`.
    fn settle(
        &mut self,
        concerned: impl Fn(&Stage<E>) -> bool,
        result: &Result<RekeyOutcome, E>,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for slot in self.waits.values_mut().filter(|slot| concerned(&slot.stage)) {
            slot.stage = Stage::Done(result.clone());
            wakers.extend(slot.waker.take());
        }
        wakers
    }
}

/// One caller's place on the board. Resolves once; dropping it gives the place up and nothing else.
pub(crate) struct Wait<E> {
    completion: Arc<Completion<E>>,
    id: u64,
}

impl<E: Clone> Future for Wait<E> {
    type Output = Result<RekeyOutcome, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut board = self.completion.board.lock();
        let Some(slot) = board.waits.get_mut(&self.id) else { return Poll::Pending };
        if let Stage::Done(result) = &slot.stage {
            return Poll::Ready(result.clone());
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<E> Drop for Wait<E> {
    fn drop(&mut self) {
        self.completion.board.lock().waits.remove(&self.id);
    }
}
