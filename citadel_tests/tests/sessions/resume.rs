//! Paths that go and come, in memory under a paused clock.

use citadel_crypt::handshake::{HandshakeError, RefusalCode};
use citadel_crypt::ratchets::PathId;
use citadel_proto::driver::memory::{Faults, Network};
use citadel_proto::driver::{Arrived, Dialer, EstablishError, Session, SessionEvent, Transport};
use citadel_proto::{CloseReason, PathLoss};
use citadel_tests::canary::marked;
use citadel_tests::resumable::{Ends, half_open};
use futures::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const RESUME: Duration = Duration::from_secs(60);
const MESSAGES: u32 = 10_000;
const CUTS: u64 = 10;

/// Sends the numbers from 0 and finishes, while the other end's numbers are read, each once and in order.
async fn exchange(session: &Session) {
    let (mut send, mut recv) = session.channel().unwrap().split();
    let write = async {
        for number in 0..MESSAGES {
            send.send(marked(number.to_le_bytes())).await.unwrap();
        }
        send.finish().await.unwrap();
        send.acknowledged().await.unwrap();
    };
    let read = async {
        for number in 0..MESSAGES {
            assert_eq!(recv.recv().await.unwrap().unwrap(), marked(number.to_le_bytes()));
        }
        assert_eq!(recv.recv().await.unwrap(), None);
    };
    tokio::join!(write, read);
}

/// Ends a session in order and finds nothing left of it on either end.
async fn close(ends: &Ends, client: Session, server: Session) {
    let report = client.close(0, "").await;
    assert!(report.clean, "{report}");
    assert!(server.closed().await.clean);
    drop((client, server));
    ends.client_hub.close(CloseReason::GoingAway).await;
    ends.server_hub.close(CloseReason::GoingAway).await;
    assert_eq!((ends.client_hub.sessions(), ends.server_hub.sessions()), (0, 0));
}

async fn until_lost(session: &Session) -> PathLoss {
    let mut events = session.events();
    loop {
        match events.next().await {
            Some(SessionEvent::Detached { loss }) => return loss,
            Some(_) => {}
            None => panic!("the session is over"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_comes_back_by_itself_and_loses_nothing() {
    let ends = Ends::new(RESUME);
    let (dialer, switch) = ends.dialer();
    let client =
        ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None).await.unwrap();
    let server = ends.server_hub.session(client.instance()).unwrap();
    let cuts = async {
        for cut in 1..=CUTS {
            let mut events = client.events();
            switch.cut();
            while !matches!(events.next().await, Some(SessionEvent::Attached { path }) if path >= PathId(cut))
            {
            }
        }
    };
    tokio::join!(exchange(&client), exchange(&server), cuts);
    assert_eq!(switch.dials() as u64, CUTS + 1);
    assert!(client.version().0 > 0, "a resumption renews the keys");
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn messages_accepted_while_there_is_no_path_arrive_on_the_next() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    drop(cut);
    tokio::join!(until_lost(&client), until_lost(&server));
    let (mut there, mut back) = (client.channel().unwrap(), server.channel().unwrap());
    there.send("there").await.unwrap();
    back.send("back").await.unwrap();
    let (asked, given, _cut) = ends.resume(&client).await;
    asked.unwrap();
    assert_eq!(given.unwrap().instance(), client.instance());
    assert_eq!(back.recv().await.unwrap().unwrap(), "there");
    assert_eq!(there.recv().await.unwrap().unwrap(), "back");
    let outcome = client.rekey().await.unwrap();
    assert!(outcome.version >= server.version());
    drop((there, back));
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn fix_0018_a_writer_learns_that_all_was_read_although_the_word_went_with_the_path() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    let (mut there, mut back) = (client.channel().unwrap(), server.channel().unwrap());
    there.finish().await.unwrap();
    assert_eq!(back.recv().await.unwrap(), None);
    back.send("read me").await.unwrap();
    back.finish().await.unwrap();
    // Received is told, read is not.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(there.recv().await.unwrap().unwrap(), "read me");
    assert_eq!(there.recv().await.unwrap(), None);
    // The reader's end forgets the channel with its last word, which goes into a pipe that is cut.
    drop(there);
    drop(cut);
    tokio::join!(until_lost(&client), until_lost(&server));
    let (asked, given, _cut) = ends.resume(&client).await;
    asked.unwrap();
    given.unwrap();
    tokio::time::timeout(RESUME, back.acknowledged()).await.unwrap().unwrap();
    drop(back);
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_back_before_the_server_noticed_the_loss() {
    let ends = Ends::new(RESUME);
    let (near, far, held) = half_open();
    let connect = ends.client_hub.connect(near, ends.client.clone(), ends.session.clone(), None);
    let accept = async { ends.identify(far).await.unwrap().accept().await };
    let (client, server) = tokio::join!(connect, accept);
    let (client, server) = (client.unwrap(), server.unwrap());
    let mut there = client.channel().unwrap();
    // The client's end is gone, the server's stays as it is: nothing tells it.
    let silent = held.cut_near();
    until_lost(&client).await;
    there.send("still here").await.unwrap();
    let mut events = server.events();
    let (asked, given, _cut) = ends.resume(&client).await;
    asked.unwrap();
    given.unwrap();
    assert_eq!(events.next().await, Some(SessionEvent::Attached { path: PathId(1) }), "never detached");
    assert_eq!(server.channel().unwrap().recv().await.unwrap().unwrap(), "still here");
    drop((silent, there));
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_still_works_is_replaced_as_well() {
    let ends = Ends::new(RESUME);
    let (client, server, _first) = ends.session().await;
    let again = async {
        for _ in 0..5 {
            let (asked, given, cut) = ends.resume(&client).await;
            asked.unwrap();
            given.unwrap();
            client.rekey().await.unwrap();
            std::mem::forget(cut);
        }
    };
    tokio::join!(exchange(&client), exchange(&server), again);
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_while_the_server_cleans_up_and_both_ends_are_clean() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    drop(cut);
    tokio::join!(until_lost(&client), until_lost(&server));
    let mut back = server.channel().unwrap();
    back.send("last words").await.unwrap();
    server.begin_shutdown(CloseReason::application(7, "done"));
    let (asked, given, _cut) = ends.resume(&client).await;
    asked.unwrap();
    given.unwrap();
    let mut there = client.channel().unwrap();
    assert_eq!(there.recv().await.unwrap().unwrap(), "last words");
    let (a, b) = tokio::join!(client.closed(), server.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[tokio::test(start_paused = true)]
async fn of_two_resumptions_at_once_the_higher_path_wins() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    drop(cut);
    tokio::join!(until_lost(&client), until_lost(&server));
    let ((near_a, far_a), (near_b, far_b)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
    let answers = async {
        let (first, second) = tokio::join!(ends.identify(far_a), ends.identify(far_b));
        let second = second.unwrap().resume().await;
        (first.unwrap().resume().await, second)
    };
    let (a, b, (first, second)) = tokio::join!(
        ends.client_hub.resume(&client, near_a),
        ends.client_hub.resume(&client, near_b),
        answers
    );
    let code = RefusalCode::RESUME_SUPERSEDED;
    let refused = HandshakeError::Refused { code, authenticated: true, retry_after: None };
    assert!(matches!(a, Err(EstablishError::Handshake(error)) if error == refused), "{a:?}");
    let rejected = HandshakeError::Rejected(code);
    assert!(matches!(first, Err(EstablishError::Handshake(error)) if error == rejected));
    b.unwrap();
    second.unwrap();
    client.rekey().await.unwrap();
    close(&ends, client, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_resumes_ends_with_its_time() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    let began = tokio::time::Instant::now();
    drop(cut);
    let (a, b) = tokio::join!(client.closed(), server.closed());
    assert_eq!(began.elapsed().as_secs(), RESUME.as_secs());
    for report in [a, b] {
        assert!(matches!(report.reason(), CloseReason::PathLost(_)), "{report}");
    }
    drop((client, server));
    tokio::task::yield_now().await;
    assert_eq!((ends.client_hub.sessions(), ends.server_hub.sessions()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_without_a_path_ends_the_session_and_the_redialling() {
    let ends = Ends::new(RESUME);
    let (dialer, switch) = ends.dialer();
    let client =
        ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None).await.unwrap();
    switch.refuse(true);
    switch.cut();
    until_lost(&client).await;
    let mut events = client.events();
    drop(client);
    let mut last = events.next().await;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(SessionEvent::Closed(report)) if *report.reason() == CloseReason::Aborted));
    ends.client_hub.close(CloseReason::GoingAway).await;
    assert_eq!(ends.client_hub.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_closes_does_not_wait_for_a_path_longer_than_the_stages_do() {
    let ends = Ends::new(RESUME);
    let (dialer, switch) = ends.dialer();
    let client =
        ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None).await.unwrap();
    switch.refuse(true);
    switch.cut();
    until_lost(&client).await;
    let mut channel = client.channel().unwrap();
    channel.send("never heard").await.unwrap();
    let began = tokio::time::Instant::now();
    let reports = ends.client_hub.close(CloseReason::GoingAway).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].unconfirmed.len(), 1, "{}", reports[0]);
    assert!(!reports[0].clean);
}

/// From one end to the other.
const WAY: Duration = Duration::from_millis(50);
/// There and back.
const TRIP: Duration = Duration::from_millis(100);

/// Dials over `network`, where opening a connection takes a round trip as with TCP; who dials then speaks first.
fn dialer(network: &Network) -> Dialer {
    let network = network.clone();
    Arc::new(move || {
        let network = network.clone();
        async move {
            tokio::time::sleep(TRIP).await;
            network.connect("192.0.2.1", 1).await
        }
        .boxed()
    })
}

async fn until_attached(session: &Session) -> PathId {
    let mut events = session.events();
    loop {
        match events.next().await {
            Some(SessionEvent::Attached { path }) => return path,
            Some(_) => {}
            None => panic!("the session is over"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_back_three_round_trips_after_the_cut() {
    let network = Network::with(1, Faults { delay: WAY..=WAY, cut_after: None });
    let mut listener = network.listen("192.0.2.1:1").await.unwrap();
    let ends = Ends::new(RESUME);
    let (client, session) = (ends.client.clone(), ends.session.clone());
    let connect = ends.client_hub.connect_with(dialer(&network), client, session, None);
    let accept = async {
        let Arrived { io, .. } = listener.accept().await.unwrap();
        ends.identify(io).await.unwrap().accept().await.unwrap()
    };
    let (client, server) = tokio::join!(connect, accept);
    let client = client.unwrap();
    let (mut there, mut back) = (client.channel().unwrap(), server.channel().unwrap());
    // Both are under way when the path is cut, and lost with it.
    there.send("there").await.unwrap();
    back.send("back").await.unwrap();
    let cut = Instant::now();
    assert_eq!(network.cut(), 1);
    let accept = async {
        let Arrived { io, .. } = listener.accept().await.unwrap();
        ends.identify(io).await.unwrap().resume().await.unwrap();
        cut.elapsed()
    };
    let attached = async {
        assert_eq!(until_attached(&client).await, PathId(1));
        cut.elapsed()
    };
    let read = async {
        assert_eq!(back.recv().await.unwrap().unwrap(), "there");
        cut.elapsed()
    };
    let answered = async {
        assert_eq!(there.recv().await.unwrap().unwrap(), "back");
        cut.elapsed()
    };
    let (granted, attached, read, answered) = tokio::join!(accept, attached, read, answered);
    // The connection: one. `Hello` and its reply: two. The proof reaches the server.
    assert_eq!(granted, 2 * TRIP + WAY);
    // The verdict reaches the client, and the server's first record, which says what arrived.
    assert_eq!(attached, 3 * TRIP);
    // What the server has not acknowledged is on its way.
    assert_eq!(read, 3 * TRIP + WAY);
    // The client's first record tells the server likewise.
    assert_eq!(answered, 4 * TRIP);
    drop((there, back));
    close(&ends, client, server).await;
}
