//! The service channel: requests side by side, compare-and-set, futures that are dropped, peers that send no requests.

use super::support::{Server, Store, client, registered};
use citadel_crypt::handshake::Cid;
use citadel_proto::RecvError;
use citadel_proto::accounts::{AskError, CallError, RequestBody, ResponseBody, SERVICE, wire};
use citadel_proto::backend::{Expect, Space};
use citadel_tests::cancel::{at_each_poll, poll_then_drop};
use futures::future::join_all;
use rstest::rstest;

const ABOUT: Option<Cid> = Some(Cid(99));

#[rstest]
#[case::memory(Store::Memory)]
#[case::redb(Store::Redb)]
#[tokio::test]
async fn values_are_set_compared_listed_and_deleted(#[case] store: Store) {
    let server = Server::new(store);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let account = client(&session);
    assert_eq!(account.get(None, "a").await.unwrap(), None);
    let first = account.put(None, "a", "1", Expect::Absent).await.unwrap();
    let again = account.put(None, "a", "2", Expect::Absent).await;
    assert_eq!(again, Err(CallError::Refused(AskError::Version(Some(first)))));
    let second = account.put(None, "a", "2", Expect::Version(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(account.get(None, "a").await.unwrap().unwrap().value, b"2");
    // What is kept about a peer is apart from what is not, and from another account's.
    account.put(ABOUT, "a", "peer's", Expect::Absent).await.unwrap();
    let (_, other, _) = registered(&server, "bob", "word").await;
    assert_eq!(client(&other).get(None, "a").await.unwrap(), None);
    assert_eq!(client(&other).list(ABOUT, "", None, 10).await.unwrap().entries, []);

    for key in ["b/1", "b/2", "b/3", "c"] {
        account.put(None, key, key, Expect::Any).await.unwrap();
    }
    let page = account.list(None, "b/", None, 2).await.unwrap();
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!((keys, page.more), (vec![b"b/1".to_vec(), b"b/2".to_vec()], true));
    let page = account.list(None, "b/", Some(b"b/2".to_vec()), 2).await.unwrap();
    assert_eq!(
        (page.entries[0].versioned.value.as_slice(), page.entries.len(), page.more),
        (&b"b/3"[..], 1, false)
    );

    let stale = account.delete(None, "a", Expect::Version(first)).await;
    assert_eq!(stale, Err(CallError::Refused(AskError::Version(Some(second)))));
    assert!(account.delete(None, "a", Expect::Version(second)).await.unwrap());
    assert!(!account.delete(None, "a", Expect::Any).await.unwrap());

    let (key, value) = (vec![7; Space::MAX_KEY], vec![7; Space::MAX_VALUE]);
    account.put(None, key.clone(), value.clone(), Expect::Any).await.unwrap();
    assert_eq!(account.get(None, key).await.unwrap().unwrap().value, value);
    let long = account.put(None, vec![7; Space::MAX_KEY + 1], "x", Expect::Any).await;
    assert_eq!(long, Err(CallError::Refused(AskError::TooLong)));
    let long = account.put(None, "x", vec![7; Space::MAX_VALUE + 4096], Expect::Any).await;
    assert_eq!(long, Err(CallError::TooLong));
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_the_largest_values_fits_in_an_answer() {
    let server = Server::new(Store::Memory);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let account = client(&session);
    for n in 0..8_u8 {
        account.put(None, [n], vec![n; Space::MAX_VALUE], Expect::Any).await.unwrap();
    }
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = account.list(None, "", after, u64::MAX).await.unwrap();
        seen += page.entries.len();
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, 8);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_each_get_their_own_answer() {
    let server = Server::new(Store::Memory);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let (account, second) = (client(&session), client(&session));
    let asked = (0..500_u32).map(|n| {
        let account = if n % 3 == 0 { second.clone() } else { account.clone() };
        async move {
            let key = n.to_be_bytes();
            account.put(None, key, n.to_string(), Expect::Absent).await.unwrap();
            assert_eq!(account.get(None, key).await.unwrap().unwrap().value, n.to_string().as_bytes());
        }
    });
    join_all(asked).await;
    // A counter by compare-and-set, raised from many sides.
    account.put(None, "counter", "0", Expect::Absent).await.unwrap();
    let raise = || async {
        loop {
            let now = account.get(None, "counter").await.unwrap().unwrap();
            let count: u32 = String::from_utf8(now.value).unwrap().parse().unwrap();
            let next = (count + 1).to_string();
            match account.put(None, "counter", next, Expect::Version(now.version)).await {
                Ok(_) => return,
                Err(CallError::Refused(AskError::Version(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    join_all((0..20).map(|_| raise())).await;
    assert_eq!(account.get(None, "counter").await.unwrap().unwrap().value, b"20");
    server.stop().await;
}

#[tokio::test]
async fn a_request_dropped_at_any_poll_harms_no_other() {
    let server = Server::new(Store::Memory);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let account = client(&session);
    account.put(None, "key", "value", Expect::Any).await.unwrap();
    let mut round = 0_u32;
    let polls = at_each_poll(64, async |polls| {
        round += 1;
        let key = round.to_be_bytes();
        let (dropped, other) = tokio::join!(
            poll_then_drop(account.put(None, key, "dropped", Expect::Absent), polls),
            account.get(None, "key")
        );
        assert_eq!(other.unwrap().unwrap().value, b"value");
        // It is done or not done, and can be asked again.
        account.put(None, key, "again", Expect::Any).await.unwrap();
        assert_eq!(account.get(None, key).await.unwrap().unwrap().value, b"again");
        dropped
    })
    .await;
    assert!(polls > 1);
    // First polls too: the channel is opened by whoever asks first.
    let fresh = || client(&session);
    at_each_poll(64, async |polls| {
        let account = fresh();
        let outcome = poll_then_drop(account.profile(), polls).await;
        account.profile().await.unwrap();
        outcome
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_resets_the_channel_and_the_session_goes_on() {
    let server = Server::new(Store::Memory);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let request = wire::encode_request(7, &RequestBody::Profile).unwrap().to_vec();
    for garbage in [
        Vec::new(),
        b"garbage".to_vec(),
        request[..request.len() - 1].to_vec(),
        [&request[..], &[0]].concat(),
        vec![0xFF; wire::MAX_REQUEST_LEN],
        vec![0; wire::MAX_REQUEST_LEN + 1],
    ] {
        let mut channel = session.open_service_channel(SERVICE).unwrap();
        channel.send(request.clone()).await.unwrap();
        let answer = channel.recv().await.unwrap().unwrap();
        assert!(matches!(wire::decode_response(&answer), Ok((7, ResponseBody::Profile(_)))));
        channel.send(garbage).await.unwrap();
        assert!(matches!(channel.recv().await, Err(RecvError::Reset { .. })));
    }
    let mut unknown = session.open_service_channel("nothing").unwrap();
    assert!(matches!(unknown.recv().await, Err(RecvError::Reset { .. })));
    assert_eq!(session.closing(), None);
    client(&session).profile().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_ends_its_requests_typed() {
    let server = Server::new(Store::Memory);
    let (_, session, cid) = registered(&server, "alice", "word").await;
    let account = client(&session);
    account.profile().await.unwrap();
    server.accounts.delete(cid).await.unwrap();
    session.closed().await;
    let error = account.profile().await.unwrap_err();
    assert!(
        matches!(error, CallError::Open(_) | CallError::Send(_) | CallError::Recv(_) | CallError::Ended),
        "{error:?}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_channels_and_a_reader_that_stalls_stop_no_other_request() {
    let server = Server::new(Store::Memory);
    let (_, session, _) = registered(&server, "alice", "word").await;
    let request = wire::encode_request(7, &RequestBody::Profile).unwrap().to_vec();
    let mut idle = Vec::new();
    for _ in 0..12 {
        let mut channel = session.open_service_channel(SERVICE).unwrap();
        channel.send(request.clone()).await.unwrap();
        assert!(channel.recv().await.unwrap().is_some());
        idle.push(channel);
    }
    // A page of a quarter of a mebibyte for each request, which nobody reads: credit stops the answers, then the requests.
    let account = client(&session);
    for n in 0..4_u8 {
        account.put(None, [n], vec![n; Space::MAX_VALUE], Expect::Any).await.unwrap();
    }
    let page = RequestBody::List { about: None, prefix: Vec::new(), after: None, limit: 10 };
    let page = wire::encode_request(8, &page).unwrap().to_vec();
    for _ in 0..30 {
        idle[0].send(page.clone()).await.unwrap();
    }
    let asked = (0..200_u32).map(|n| account.put(None, n.to_be_bytes(), "x", Expect::Absent));
    for answer in join_all(asked).await {
        answer.unwrap();
    }
    server.stop().await;
}
