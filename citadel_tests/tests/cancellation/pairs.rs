//! Two ends of a session over an in-memory path, and what must still work after a future was dropped.

use citadel_sdk::{Endpoint, Identity, Session};
use citadel_tests::canary;
use citadel_tests::cancel::Outcome;

/// Both ends of a session.
pub(super) struct Pair {
    pub(super) opened: Session,
    pub(super) accepted: Session,
}

impl Pair {
    pub(super) async fn new() -> Self {
        canary::watch();
        let (client, server) =
            (Endpoint::client(Identity::generate()), Endpoint::client(Identity::generate()));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (opened, accepted) =
            tokio::join!(client.connect_io(near, server.peer_id()), server.accept_io(far));
        Self { opened: opened.unwrap(), accepted: accepted.unwrap() }
    }
}

/// A round from both ends and a message in both directions on a new channel.
pub(super) async fn works(pair: &Pair) {
    let Pair { opened, accepted } = pair;
    let (first, second) = tokio::join!(opened.rekey(), accepted.rekey());
    first.unwrap();
    second.unwrap();
    let mut there = opened.open_named_channel("works").await.unwrap();
    let mut back = loop {
        let channel = accepted.accept_channel().await.unwrap().unwrap();
        if channel.name() == b"works" {
            break channel;
        }
    };
    there.send("there").await.unwrap();
    assert_eq!(back.recv().await.unwrap().unwrap(), "there");
    back.send("back").await.unwrap();
    assert_eq!(there.recv().await.unwrap().unwrap(), "back");
}

/// Without the value: what matters is whether the future was dropped.
pub(super) fn forget<T>(outcome: Outcome<T>) -> Outcome<()> {
    match outcome {
        Outcome::Finished(_) => Outcome::Finished(()),
        Outcome::Dropped => Outcome::Dropped,
    }
}
