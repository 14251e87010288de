//! What a rekey call does at each of its polls.

use citadel_tests::manager_world::{Setting, managers};
use tokio_test::{assert_pending, assert_ready_ok, task};

#[tokio::test(start_paused = true)]
async fn a_rekey_is_asked_for_at_its_first_poll_and_not_before() {
    let world = managers(&Setting::default());
    let manager = &world.initiator.handle;
    let mut rekey = task::spawn(manager.rekey());
    assert_eq!(manager.waiting(), 0);
    assert_pending!(rekey.poll());
    assert_eq!(manager.waiting(), 1);

    world.both_at(manager.version().next()).await;
    assert!(rekey.is_woken());
    let outcome = assert_ready_ok!(rekey.poll());
    assert_eq!((outcome.version, manager.waiting()), (manager.version(), 0));
    drop(rekey);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_rekey_that_is_never_polled_asks_for_nothing() {
    let world = managers(&Setting::default());
    drop(task::spawn(world.initiator.handle.rekey()));
    assert_eq!(world.initiator.handle.stats().rekey.offered, 0);
    world.finish().await;
}
