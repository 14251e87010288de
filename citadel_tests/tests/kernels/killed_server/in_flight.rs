//! A session with messages in flight whose server is killed: the client is told which may be lost, and its prefab connects again.

use super::process::{Server, patiently};
use citadel_sdk::prefabs::client::SingleClientServerConnectionKernel as Prefab;
use citadel_sdk::{
    CloseReason, CloseReport, Connection, Identity, KernelResult, NodeBuilder, PathLoss, Reconnect,
    SendError, Unconfirmed,
};
use core::time::Duration;
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Messages that a server which stands still is sent.
const UNREAD: u64 = 10;
/// Messages that have come back when the server is killed while they stream.
const ECHOED: u64 = 100;
const LOST: CloseReason = CloseReason::PathLost(PathLoss::ResumeUnknown);

/// What the client's callback tells the test.
#[derive(Debug)]
enum Event {
    /// Everything so far was acknowledged.
    Quiet,
    /// Messages are on their way to a server that stands still.
    Sent,
    /// Messages stream to a server and back.
    Streams,
    /// The session is over, so many messages were accepted and so many came back.
    Over { report: CloseReport, accepted: u64, echoed: u64 },
}

struct Client {
    events: UnboundedSender<Event>,
    /// Told to go on.
    goes_on: Notify,
    sessions: AtomicUsize,
}

impl Client {
    fn tell(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    async fn run(&self, connection: Connection) -> KernelResult {
        match self.sessions.fetch_add(1, Ordering::AcqRel) {
            0 => self.send_to_a_server_that_stands_still(connection).await,
            1 => self.stream(connection).await,
            _ => echo(connection).await,
        }
    }

    async fn send_to_a_server_that_stands_still(&self, connection: Connection) -> KernelResult {
        let Connection { session, mut channel } = connection;
        for _ in 0..3 {
            channel.send("read").await?;
            assert_eq!(channel.recv().await?.as_deref(), Some(&b"read"[..]));
        }
        channel.acknowledged().await?;
        self.tell(Event::Quiet);
        self.goes_on.notified().await;
        for _ in 0..UNREAD {
            channel.send("unread").await?;
        }
        assert_eq!(channel.acknowledged().now_or_never(), None);
        self.tell(Event::Sent);
        let error = channel.acknowledged().await.unwrap_err();
        assert_eq!(error, SendError::Closed(LOST));
        let report = session.closed().await;
        self.tell(Event::Over { report, accepted: 3 + UNREAD, echoed: 3 });
        Err(error.into())
    }

    async fn stream(&self, connection: Connection) -> KernelResult {
        let Connection { session, channel } = connection;
        let (mut send, mut recv) = channel.split();
        let sending = async {
            let mut accepted = 0u64;
            loop {
                match send.send(accepted.to_be_bytes().to_vec()).await {
                    Ok(()) => accepted += 1,
                    Err(error) => break (accepted, error),
                }
            }
        };
        let receiving = async {
            let mut echoed = 0u64;
            while let Ok(message) = recv.recv().await {
                assert_eq!(message.as_deref(), Some(&echoed.to_be_bytes()[..]));
                echoed += 1;
                if echoed == ECHOED {
                    self.tell(Event::Streams);
                }
            }
            echoed
        };
        let ((accepted, error), echoed) = tokio::join!(sending, receiving);
        assert_eq!(error, SendError::Closed(LOST));
        self.tell(Event::Over { report: session.closed().await, accepted, echoed });
        Err(error.into())
    }
}

async fn echo(mut connection: Connection) -> KernelResult {
    connection.channel.send("hello").await?;
    assert_eq!(connection.channel.recv().await?.as_deref(), Some(&b"hello"[..]));
    Ok(())
}

/// What the report of a session says of channel 0.
fn unconfirmed(report: &CloseReport) -> u64 {
    assert!(*report.reason() == LOST && !report.clean, "{report}");
    let [Unconfirmed { channel: 0, messages }] = report.unconfirmed[..] else { panic!("{report:?}") };
    messages
}

#[tokio::test]
async fn messages_in_flight_are_reported_and_the_client_connects_again() {
    let mut server = Server::start("killed-in-flight").await;
    let (events, mut told) = unbounded_channel();
    let client = Arc::new(Client { events, goes_on: Notify::new(), sessions: AtomicUsize::new(0) });
    let pause = Duration::from_millis(1);
    let again = Reconnect::Backoff { first: pause, most: pause, attempts: None };
    let account = server.to().register("alice", "correct horse").reconnect(again);
    let acting = Arc::clone(&client);
    let kernel = Prefab::new(account, move |connection| {
        let client = Arc::clone(&acting);
        async move { client.run(connection).await }
    });
    let node = patiently(NodeBuilder::new(kernel).identity(Identity::generate())).start().await.unwrap();

    assert!(matches!(told.recv().await, Some(Event::Quiet)));
    server.freeze().await;
    client.goes_on.notify_one();
    assert!(matches!(told.recv().await, Some(Event::Sent)));
    server.kill_and_restart().await;
    let Some(Event::Over { report, .. }) = told.recv().await else { panic!("the session is not over") };
    assert_eq!(unconfirmed(&report), UNREAD);

    assert!(matches!(told.recv().await, Some(Event::Streams)));
    server.kill_and_restart().await;
    let Some(Event::Over { report, accepted, echoed }) = told.recv().await else {
        panic!("the session is not over")
    };
    // What came back had arrived; what was accepted after the kill had not.
    assert!(unconfirmed(&report) <= accepted - echoed, "{report}: {accepted} accepted, {echoed} echoed");

    let (_kernel, report) = node.await.unwrap();
    let clean: Vec<bool> = report.sessions.iter().map(|session| session.clean).collect();
    assert_eq!(clean, [false, false, true], "{report}");
    server.stop().await;
}
