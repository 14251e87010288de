//! What carries a session between two peers, and how it loses a direct path.

use citadel_sdk::{Direct, DirectConfig, PathKind, Session, SessionEvent, SessionEvents};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// What carries a session with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Lanes through the server.
    Relayed,
    /// A direct path, from before a test begins to its end.
    Direct,
    /// A direct path that is lost and found again, with a lane between, while a test goes on.
    Changing,
}

/// How two lose a direct path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Alice's machine is in another network, and says so: her end leaves the path at once.
    AliceLeaves,
    /// The same of Bob's.
    BobLeaves,
    /// The same of both.
    BothLeave,
    /// Nothing comes through any more, and nobody is told.
    Silence,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AliceLeaves, Self::BobLeaves, Self::BothLeave, Self::Silence];
}

/// Where the direct sockets of a scene are: two nodes on one machine in memory.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Until something is sent, and until a path is dead: much longer than any way, much shorter than a caller of a round waits.
const SILENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

impl Way {
    /// What a node is told.
    pub(super) fn direct(self) -> Direct {
        let [keep_alive, dead_after] = SILENCE;
        let pauses = (PAUSE, PAUSE);
        match self {
            Self::Relayed => Direct::Off,
            Self::Direct | Self::Changing => Direct::On(DirectConfig {
                bind: (HOST, 0).into(),
                pauses,
                keep_alive,
                dead_after,
                ..DirectConfig::default()
            }),
        }
    }

    /// Waits until what carries the session is of that kind: a direct path, unless it is relayed.
    ///
    /// # Panics
    /// If the session closes before that.
    pub async fn carries(self, session: &Session) {
        if self != Self::Relayed {
            is_carried(session, PathKind::is_direct).await;
        }
    }
}

/// Waits until the session is carried so.
///
/// # Panics
/// If it closes before that.
pub async fn is_carried(session: &Session, is_it: impl Fn(PathKind) -> bool) {
    let mut events = session.events();
    while !is_it(session.path_kind()) {
        next(&mut events).await;
    }
}

/// Waits for another path than that of before.
///
/// # Panics
/// If the session closes.
pub async fn has_another_path(events: &mut SessionEvents) {
    while !matches!(next(events).await, SessionEvent::Attached { .. }) {}
}

async fn next(events: &mut SessionEvents) -> SessionEvent {
    let event = events.next().await.expect("it did not close before");
    assert!(!matches!(event, SessionEvent::Closed(_)), "{event:?}");
    event
}
