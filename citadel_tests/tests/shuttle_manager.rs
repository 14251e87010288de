//! The two files of the manager that publish keys and completions, under shuttle's scheduler: the shipped
//! sources, included beside a `sync` module of shuttle's types.
//!
//! The driver's order is kept as it is there: keys first, then the waiters, then the rest of the world.

use citadel_crypt::ratchets::rekey;
use completion::Completion;
use rekey::{Attempt, RekeyOutcome, Role, RoundId, Side, Version};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;
use snapshot::{Snapshot, Window};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[path = "../../citadel_crypt/src/ratchets/completion.rs"]
mod completion;
#[path = "../../citadel_crypt/src/ratchets/snapshot.rs"]
mod snapshot;

/// Shuttle's counterparts of what `ratchets/sync.rs` names.
mod sync {
    pub(crate) use shuttle::sync::Arc;
    use shuttle::sync::MutexGuard;

    /// As parking_lot's: no poison.
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a panic ends the whole execution")
        }
    }

    /// As arc-swap's: each load and each store is one step.
    pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

    impl<T> ArcSwap<T> {
        pub(crate) fn new(value: Arc<T>) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            Arc::clone(&self.0.lock())
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            *self.0.lock() = value;
        }
    }
}

const SCHEDULES: usize = 20_000;
const DEPTH: usize = 3;

/// An entry says which version it belongs to.
type Keys = Snapshot<u64>;
type Waits = Completion<&'static str>;

struct Endpoint {
    keys: Keys,
    waits: Arc<Waits>,
}

impl Endpoint {
    fn new() -> Arc<Self> {
        Arc::new(Self { keys: Snapshot::new(Arc::new(0)), waits: Arc::new(Completion::new(2)) })
    }

    /// What the driver does at a commit, in its order.
    fn commit(&self, version: Version) {
        let earliest = Version(version.0.saturating_sub(1));
        self.keys.publish(Arc::new(version.0), earliest);
        self.waits.commit(outcome(version));
    }

    /// The driver: one round for all who asked since its last look, until the last call.
    fn drive_until(&self, last_call: &AtomicBool) -> Version {
        let mut latest = Version(0);
        block_on(std::future::poll_fn(|cx| {
            while self.waits.poll_asked(cx) {
                if last_call.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                latest = latest.next();
                self.waits.promise(latest);
                self.commit(latest);
            }
            Poll::Pending
        }));
        latest
    }

    /// The driver for one round.
    fn drive_once(&self) {
        block_on(std::future::poll_fn(|cx| {
            if self.waits.poll_asked(cx) { Poll::Ready(()) } else { Poll::Pending }
        }));
        self.waits.promise(Version(1));
        self.commit(Version(1));
    }
}

fn outcome(version: Version) -> RekeyOutcome {
    let round = RoundId { version, side: Side::Initiator, attempt: Attempt(version.0) };
    RekeyOutcome { version, role: Role::Leader, round, signed: false }
}

/// Every version that a window claims to hold is there and is itself.
fn assert_whole(window: &Window<u64>) {
    assert_eq!(*window.first(), 0);
    for version in window.earliest().0..=window.latest().0 {
        assert_eq!(window.at(Version(version)), Some(&version));
    }
    assert_eq!(window.at(window.latest().next()), None);
    assert!(window.earliest().0 == 0 || window.at(window.earliest().previous()).is_none());
}

#[test]
fn every_ask_is_served_by_a_version_above_the_one_it_started_from_and_its_keys_are_there() {
    let run = || {
        let endpoint = Endpoint::new();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let endpoint = Arc::clone(&endpoint);
                thread::spawn(move || {
                    let before = endpoint.keys.load().latest();
                    let outcome = block_on(endpoint.waits.ask()).expect("the driver serves every ask");
                    assert!(outcome.version > before);
                    let window = endpoint.keys.load();
                    assert!(window.latest() >= outcome.version);
                    assert_whole(&window);
                })
            })
            .collect();
        let last_call = Arc::new(AtomicBool::new(false));
        let driver = {
            let (endpoint, last_call) = (Arc::clone(&endpoint), Arc::clone(&last_call));
            thread::spawn(move || endpoint.drive_until(&last_call))
        };
        callers.into_iter().for_each(|caller| caller.join().expect("caller"));
        last_call.store(true, Ordering::SeqCst);
        endpoint.waits.ask_only().expect("not ended");
        let latest = driver.join().expect("driver");
        assert!((1..=3).contains(&latest.0), "asks coalesce, none is lost");
        assert_eq!(endpoint.waits.waiting(), 0);
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn callers_served_by_one_commit_get_one_outcome() {
    let run = || {
        let endpoint = Endpoint::new();
        let first = endpoint.waits.ask();
        let second = endpoint.waits.ask();
        let driver = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || endpoint.drive_once())
        };
        let caller = thread::spawn(move || block_on(first));
        let second = block_on(second);
        assert_eq!(caller.join().expect("caller"), second);
        assert_eq!(second, Ok(outcome(Version(1))));
        driver.join().expect("driver");
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn a_reader_never_sees_versions_fall_or_a_hole_in_the_window() {
    let run = || {
        let endpoint = Endpoint::new();
        let writer = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || {
                for version in 1..=3 {
                    endpoint.commit(Version(version));
                }
                endpoint.keys.evict(Version(3));
            })
        };
        let mut last = Version(0);
        for _ in 0..4 {
            let window = endpoint.keys.load();
            assert!(window.latest() >= last);
            last = window.latest();
            assert_whole(&window);
        }
        writer.join().expect("writer");
        let window = endpoint.keys.load();
        assert_eq!((window.earliest(), window.latest()), (Version(3), Version(3)));
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn a_wait_registered_during_or_after_the_commit_resolves() {
    let run = || {
        let endpoint = Endpoint::new();
        let committer = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || endpoint.commit(Version(1)))
        };
        let during = block_on(endpoint.waits.wait_for(Version(1)));
        committer.join().expect("committer");
        let after = block_on(endpoint.waits.wait_for(Version(1)));
        assert_eq!(during, Ok(outcome(Version(1))));
        assert_eq!(after, during);
        assert_eq!(endpoint.waits.outcomes(), [outcome(Version(1))]);
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn a_wait_dropped_at_any_moment_leaves_nothing_and_takes_nobody_with_it() {
    let run = || {
        let endpoint = Endpoint::new();
        let dropped = endpoint.waits.ask();
        let kept = endpoint.waits.ask();
        let driver = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || endpoint.drive_once())
        };
        let dropper = thread::spawn(move || {
            let mut dropped = pin!(dropped);
            let _either_way = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert_eq!(block_on(kept), Ok(outcome(Version(1))));
        dropper.join().expect("dropper");
        driver.join().expect("driver");
        assert_eq!(endpoint.waits.waiting(), 0);
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn the_end_reaches_every_wait_before_and_after_it_and_the_first_reason_stays() {
    let run = || {
        let endpoint = Endpoint::new();
        let caller = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || block_on(endpoint.waits.ask()))
        };
        let watcher = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || block_on(endpoint.waits.wait_for(Version(9))))
        };
        endpoint.waits.end(&"over");
        endpoint.waits.end(&"over again");
        assert_eq!(caller.join().expect("caller"), Err("over"));
        assert_eq!(watcher.join().expect("watcher"), Err("over"));
        assert_eq!(block_on(endpoint.waits.ask()), Err("over"));
        assert_eq!(endpoint.waits.ask_only(), Err("over"));
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn a_refusal_reaches_who_asked_and_a_withdrawal_who_was_promised() {
    let run = || {
        let endpoint = Endpoint::new();
        let promised = endpoint.waits.ask();
        endpoint.waits.promise(Version(1));
        let asked = endpoint.waits.ask();
        let driver = {
            let endpoint = Arc::clone(&endpoint);
            thread::spawn(move || {
                endpoint.waits.refuse(&"refused");
                endpoint.waits.withdraw(&"withdrawn");
            })
        };
        assert_eq!(block_on(asked), Err("refused"));
        assert_eq!(block_on(promised), Err("withdrawn"));
        driver.join().expect("driver");
    };
    shuttle::check_pct(run, SCHEDULES, DEPTH);
    shuttle::check_random(run, SCHEDULES);
}
