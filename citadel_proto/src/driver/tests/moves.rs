//! What a redial and a move to another path do to each other, and a close to a move.

use super::*;
use crate::driver::shared::Wake;
use crate::driver::transport::boxed;
use crate::session::{Input, PathKind};
use citadel_crypt::handshake::{HandshakeError, RefusalCode};
use citadel_crypt::ratchets::PathId;
use core::time::Duration;
use futures::FutureExt;
use futures::future::join;
use tokio::sync::{Semaphore, mpsc};

const RESUME: Duration = Duration::from_secs(60);

/// A client that dials again, and a server that answers when the test says so.
struct Line {
    hubs: [Hub; 2],
    client: Session,
    server: Session,
    served: Arc<ServerConfig>,
    /// Dials that may end.
    may_dial: Arc<Semaphore>,
    /// Dials that fail.
    failures: Arc<Mutex<usize>>,
    begun: mpsc::UnboundedReceiver<()>,
    /// The far ends of what was dialled.
    dialled: mpsc::UnboundedReceiver<DuplexStream>,
}

fn resumable() -> SessionConfig {
    SessionConfig { resume: RESUME, ..SessionConfig::default() }
}

fn direct() -> PathKind {
    PathKind::Direct("192.0.2.1:1".parse().unwrap())
}

async fn identify(hub: &Hub, served: &Arc<ServerConfig>, far: DuplexStream) -> Identified {
    hub.identify(far, b"", Arc::clone(served), resumable(), false).await.unwrap()
}

impl Line {
    async fn new() -> Self {
        let (may_dial, failures) = (Arc::new(Semaphore::new(1)), Arc::<Mutex<usize>>::default());
        let (begins, begun) = mpsc::unbounded_channel();
        let (arrives, mut dialled) = mpsc::unbounded_channel();
        let (permits, fails) = (Arc::clone(&may_dial), Arc::clone(&failures));
        let dialer: Dialer = Arc::new(move || {
            let (permits, fails) = (Arc::clone(&permits), Arc::clone(&fails));
            let (begins, arrives) = (begins.clone(), arrives.clone());
            async move {
                begins.send(()).unwrap();
                permits.acquire().await.unwrap().forget();
                let left = fails.lock().checked_sub(1);
                if let Some(left) = left {
                    *fails.lock() = left;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                let (near, far) = duplex(1 << 16);
                arrives.send(far).unwrap();
                Ok(boxed(near))
            }
            .boxed()
        });
        let hubs = [Hub::new(), Hub::new()];
        let served = Arc::new(ServerConfig::new(config()).unwrap());
        let trust = Trust::Peer(served.common.identity.peer_id());
        let client = ClientConfig::new(config(), trust);
        let connecting = hubs[0].connect_with(dialer, client, resumable(), None);
        let accepting = async {
            let far = dialled.recv().await.unwrap();
            identify(&hubs[1], &served, far).await.accept().await
        };
        let (client, server) = join(connecting, accepting).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        let mut line = Self { hubs, client, server, served, may_dial, failures, begun, dialled };
        line.begun.recv().await.unwrap();
        line
    }

    fn lose(&self) {
        self.client.shared().act(|core, clock| {
            core.machine.handle(clock.now(), Input::PathLost(PathLoss::Io));
            ((), Wake::Task)
        });
    }

    async fn identify(&self, far: DuplexStream) -> Identified {
        identify(&self.hubs[1], &self.served, far).await
    }

    fn carrier(&self) -> (Option<PathId>, PathKind) {
        self.client.shared().look(|core| (core.machine.path(), core.kind))
    }

    /// Moves the session to a direct path.
    async fn go_direct(&self) {
        let (near, far) = duplex(1 << 16);
        let answering = async { self.identify(far).await.resume_on(Some(direct())).await };
        let (moved, answered) =
            join(self.hubs[0].move_to(&self.client, boxed(near), direct()), answering).await;
        assert!(moved.unwrap());
        drop(answered.unwrap());
        settle().await;
        assert_eq!(self.carrier(), (Some(PathId(1)), direct()));
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0070_a_redial_that_a_move_of_this_end_overtook_goes_on_when_that_failed() {
    let mut line = Line::new().await;
    line.lose();
    line.may_dial.add_permits(1);
    let far = line.dialled.recv().await.unwrap();
    let redialled = line.identify(far).await;
    // A move with a higher number is answered, and its path breaks before this end hears of it.
    let (near, far) = duplex(1 << 16);
    let moving = line.hubs[0].move_to(&line.client, boxed(near), direct());
    let answering = async { line.identify(far).await.resume_on(Some(direct())).await };
    let mut moving = Box::pin(moving);
    let answered = tokio::select! {
        biased;
        answered = answering => answered,
        moved = &mut moving => panic!("{moved:?}"),
    };
    drop((moving, answered.unwrap()));
    settle().await;
    let refused = redialled.resume().await;
    let superseded = HandshakeError::Rejected(RefusalCode::RESUME_SUPERSEDED);
    assert!(matches!(refused, Err(EstablishError::Handshake(error)) if error == superseded));
    line.may_dial.add_permits(1);
    let mut events = line.client.events();
    let far = tokio::select! {
        biased;
        report = line.client.closed() => panic!("{report}"),
        far = line.dialled.recv() => far.unwrap(),
    };
    drop(line.identify(far).await.resume().await.unwrap());
    while !matches!(events.next().await.unwrap(), SessionEvent::Attached { path } if path == PathId(3)) {}
    let (one, other) = join(line.client.close(0, ""), line.server.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}

#[tokio::test(start_paused = true)]
async fn fix_0071_moves_hold_a_redial_up_for_half_of_the_time_without_a_path_in_all() {
    let mut line = Line::new().await;
    *line.failures.lock() = 1;
    let _moving = line.client.shared().begin_move();
    line.lose();
    line.may_dial.add_permits(2);
    let far = tokio::select! {
        biased;
        report = line.client.closed() => panic!("{report}"),
        far = line.dialled.recv() => far.unwrap(),
    };
    drop(line.identify(far).await.resume().await.unwrap());
    let mut events = line.client.events();
    while line.carrier().0 != Some(PathId(1)) {
        events.next().await.unwrap();
    }
    let (one, other) = join(line.client.close(0, ""), line.server.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}

#[tokio::test(start_paused = true)]
async fn fix_0072_a_move_that_begins_while_a_redial_dials_is_not_undone_by_it() {
    let mut line = Line::new().await;
    line.lose();
    line.begun.recv().await.unwrap();
    let (near, far) = duplex(1 << 16);
    let (hub, client) = (line.hubs[0].clone(), line.client.clone());
    let moving = hub.move_to(&client, boxed(near), direct());
    let answering = async {
        let asked = line.identify(far).await;
        line.may_dial.add_permits(1);
        let far = line.dialled.recv().await.unwrap();
        // What the redial has asked by now is answered as well, a moment later.
        let redialled = tokio::select! {
            biased;
            redialled = line.identify(far) => Some(redialled),
            () = settle() => None,
        };
        drop(asked.resume_on(Some(direct())).await.unwrap());
        if let Some(redialled) = redialled {
            drop(redialled.resume().await);
        }
    };
    let (moved, ()) = join(moving, answering).await;
    assert!(moved.unwrap());
    settle().await;
    assert_eq!(line.carrier(), (Some(PathId(1)), direct()));
    let (one, other) = join(line.client.close(0, ""), line.server.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}

/// It closes where it is: a close goes to its end on the path that it began on.
#[tokio::test(start_paused = true)]
async fn fix_0073_a_session_that_closes_keeps_its_direct_path_when_the_network_changes() {
    for turns in 0..24 {
        let line = Line::new().await;
        line.go_direct().await;
        line.client.begin_shutdown(CloseReason::GoingAway);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        line.client.leave_direct_path();
        let (one, other) = join(line.client.closed(), line.server.closed()).await;
        assert!(one.clean && other.clean, "after {turns} turns: {one} {other}");
    }
}
