//! The same session over each transport, and one server on all of them.

use bytes::Bytes;
use citadel_crypt::addr::NodeAddr;
use citadel_proto::CloseReason;
use citadel_proto::driver::memory::{Faults, Network};
use citadel_proto::driver::{
    Acceptor, Admission, Dialer, HandshakeCaps, Listener, Quic, Session, Tcp, Transport,
};
use citadel_sdk::{Endpoint, EndpointConfig, Identity};
use citadel_tests::resumable::Ends;
use rstest::rstest;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The transports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    Tcp,
    Quic,
    Memory,
}

pub(crate) fn transport(over: Over) -> Arc<dyn Transport> {
    match over {
        Over::Tcp => Arc::new(Tcp),
        Over::Quic => Arc::new(Quic::new()),
        Over::Memory => Arc::new(Network::with(7, Faults::NONE)),
    }
}

pub(crate) fn dialer(transport: &Arc<dyn Transport>, to: SocketAddr) -> Dialer {
    let transport = Arc::clone(transport);
    Arc::new(move || {
        let transport = Arc::clone(&transport);
        Box::pin(async move { transport.connect(&to.ip().to_string(), to.port()).await })
    })
}

pub(crate) fn acceptor(ends: &Ends, listeners: Vec<Box<dyn Listener>>) -> Acceptor {
    let admission = Admission::new(HandshakeCaps::default());
    let server = Arc::clone(&ends.server);
    Acceptor::new(ends.server_hub.clone(), listeners, server, ends.session.clone(), admission).unwrap()
}

/// A session of `ends` over `transport`, and what accepts for it.
pub(crate) async fn meet(ends: &Ends, transport: &Arc<dyn Transport>) -> (Session, Session, Acceptor) {
    let listener = transport.listen("127.0.0.1:0").await.unwrap();
    let acceptor = acceptor(ends, vec![listener]);
    let dialer = dialer(transport, acceptor.local_addrs()[0]);
    let opening = ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None);
    let accepting = async { acceptor.accept().await.unwrap().accept().await };
    let (opened, accepted) = tokio::join!(opening, accepting);
    (opened.unwrap(), accepted.unwrap(), acceptor)
}

#[rstest]
#[tokio::test]
async fn a_session_echoes_and_renews_its_keys(#[values(Over::Tcp, Over::Quic, Over::Memory)] over: Over) {
    let (ends, transport) = (Ends::new(Duration::ZERO), transport(over));
    let (opened, accepted, _acceptor) = meet(&ends, &transport).await;
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    for round in 0..20_u8 {
        there.send(vec![round; 100]).await.unwrap();
        let message = back.recv().await.unwrap().unwrap();
        back.send(message).await.unwrap();
        assert_eq!(there.recv().await.unwrap().unwrap(), vec![round; 100]);
        if round % 5 == 0 {
            let (one, other) = tokio::join!(opened.rekey(), accepted.rekey());
            assert!(one.unwrap().version.0 > 0 && other.unwrap().version.0 > 0);
        }
    }
    let report = opened.close(0, "done").await;
    assert!(report.clean, "{report}");
    assert!(accepted.closed().await.clean);
}

#[rstest]
#[tokio::test]
async fn long_messages_pass_in_both_directions_at_once(
    #[values(Over::Tcp, Over::Quic, Over::Memory)] over: Over,
) {
    const MESSAGES: u8 = 8;
    let (ends, transport) = (Ends::new(Duration::ZERO), transport(over));
    let (opened, accepted, _acceptor) = meet(&ends, &transport).await;
    let talk = async |session: &Session| {
        let (mut send, mut receive) = session.channel().unwrap().split();
        let sending = async {
            for number in 0..MESSAGES {
                send.send(vec![number; 1 << 20]).await.unwrap();
            }
            send.finish().await.unwrap();
        };
        let receiving = async {
            for number in 0..MESSAGES {
                let message = receive.recv().await.unwrap().unwrap();
                assert!(message.len() == 1 << 20 && message.iter().all(|byte| *byte == number));
            }
            assert_eq!(receive.recv().await.unwrap(), None);
        };
        tokio::join!(sending, receiving);
    };
    tokio::join!(talk(&opened), talk(&accepted));
    let (one, other) = tokio::join!(opened.close(0, ""), accepted.closed());
    assert!(one.clean && other.clean, "{one} {other}");
}

/// Both hubs end at once, as two processes that stop do: everything that was accepted is delivered, and both ends are clean.
#[rstest]
#[tokio::test]
async fn an_orderly_close_delivers_everything(
    #[values(Over::Tcp, Over::Quic, Over::Memory)] over: Over,
    #[values(1, 2, 3)] _again: u8,
) {
    let (ends, transport) = (Ends::new(Duration::ZERO), transport(over));
    let (opened, accepted, _acceptor) = meet(&ends, &transport).await;
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    let message = Bytes::from(vec![7; 50_000]);
    for _ in 0..4 {
        there.send(message.clone()).await.unwrap();
        back.send(message.clone()).await.unwrap();
    }
    there.finish().await.unwrap();
    back.finish().await.unwrap();
    let closing = async {
        let hubs = [&ends.client_hub, &ends.server_hub];
        let [client, server] = hubs.map(|hub| hub.close(CloseReason::GoingAway));
        tokio::join!(client, server)
    };
    let reading = async {
        for half in [&mut there, &mut back] {
            for _ in 0..4 {
                assert_eq!(half.recv().await.unwrap().unwrap(), message);
            }
            assert_eq!(half.recv().await.unwrap(), None);
        }
    };
    let ((client, server), ()) = tokio::join!(closing, reading);
    assert!(client.iter().chain(&server).all(|report| report.clean), "{client:?} {server:?}");
    assert_eq!((client.len(), server.len()), (1, 1));
}

#[tokio::test]
async fn one_server_listens_on_all_of_them_at_once() {
    let ends = Ends::new(Duration::ZERO);
    let transports = [Over::Tcp, Over::Quic, Over::Memory].map(transport);
    let mut listeners = Vec::new();
    for transport in &transports {
        listeners.push(transport.listen("127.0.0.1:0").await.unwrap());
    }
    let acceptor = acceptor(&ends, listeners);
    let serving = async {
        for _ in 0..9 {
            let session = acceptor.accept().await.unwrap().accept().await.unwrap();
            let mut channel = session.channel().unwrap();
            let message = channel.recv().await.unwrap().unwrap();
            channel.send(message).await.unwrap();
            session.closed().await;
        }
    };
    let asking = async {
        for round in 0..3_u8 {
            for (transport, to) in transports.iter().zip(acceptor.local_addrs()) {
                let (config, session) = (ends.client.clone(), ends.session.clone());
                let dialer = dialer(transport, *to);
                let session = ends.client_hub.connect_with(dialer, config, session, None).await.unwrap();
                let mut channel = session.channel().unwrap();
                channel.send(vec![round]).await.unwrap();
                assert_eq!(channel.recv().await.unwrap().unwrap(), vec![round]);
                assert!(session.close(0, "").await.clean);
            }
        }
    };
    tokio::join!(serving, asking);
}

#[rstest]
#[tokio::test]
async fn a_session_that_lost_its_path_goes_on_over_a_new_one(#[values(Over::Quic, Over::Memory)] over: Over) {
    let (ends, transport) = (Ends::new(Duration::from_secs(60)), transport(over));
    let acceptor = acceptor(&ends, vec![transport.listen("127.0.0.1:0").await.unwrap()]);
    let to = acceptor.local_addrs()[0];
    // Without a dialler, which would bring paths of its own.
    let opening = async {
        let io = transport.connect(&to.ip().to_string(), to.port()).await.unwrap();
        ends.client_hub.connect(io, ends.client.clone(), ends.session.clone(), None).await.unwrap()
    };
    let accepting = async { acceptor.accept().await.unwrap().accept().await.unwrap() };
    let (opened, accepted) = tokio::join!(opening, accepting);
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    let talk = async {
        for round in 0..3_u8 {
            // A second path in the place of the first, as a client does whose address has changed.
            let io = transport.connect(&to.ip().to_string(), to.port()).await.unwrap();
            let (resumed, ()) = tokio::join!(ends.client_hub.resume(&opened, io), async {
                there.send(vec![round; 70_000]).await.unwrap();
            });
            resumed.unwrap();
            assert_eq!(back.recv().await.unwrap().unwrap(), vec![round; 70_000]);
            back.send("back").await.unwrap();
            assert_eq!(there.recv().await.unwrap().unwrap(), "back");
        }
        opened.close(0, "").await
    };
    let resuming = async {
        while let Some(incoming) = acceptor.accept().await {
            // A resumption is answered with the session that it is of.
            drop(incoming.accept().await.unwrap());
        }
    };
    let report = tokio::select! {
        report = talk => report,
        () = resuming => panic!("the acceptor ended"),
    };
    assert!(report.clean, "{report}");
}

#[rstest]
#[tokio::test]
async fn an_endpoint_listens_on_several_transports_and_is_dialled_by_each() {
    let memory = Network::with(7, Faults::NONE);
    let listeners = vec![
        Tcp.listen("127.0.0.1:0").await.unwrap(),
        Quic::new().listen("127.0.0.1:0").await.unwrap(),
        memory.listen("127.0.0.1:0").await.unwrap(),
    ];
    let at: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let server = Endpoint::bind_on(Identity::generate(), listeners, EndpointConfig::default()).unwrap();
    let client = Endpoint::client(Identity::generate());
    let addr = |at: SocketAddr| NodeAddr::from_socket(server.peer_id(), at);
    for over in [Over::Tcp, Over::Quic, Over::Memory] {
        let accepting = async { server.accept().await.unwrap().accept().await.unwrap() };
        let opening = async {
            match over {
                Over::Tcp => client.connect_over(Tcp, addr(at[0])).await,
                Over::Quic => client.connect_over(Quic::new(), addr(at[1])).await,
                Over::Memory => client.connect_over(memory.clone(), addr(at[2])).await,
            }
        };
        let (opened, accepted) = tokio::join!(opening, accepting);
        let (mut there, mut back) = (opened.unwrap().channel().unwrap(), accepted.channel().unwrap());
        there.send("hello").await.unwrap();
        assert_eq!(back.recv().await.unwrap().unwrap(), "hello", "{over:?}");
    }
    assert_eq!(server.addr().port(), at[0].port());
}
