//! Paths in memory: order, delays, cuts, all by a seed; sessions over them on a paused clock.

use super::transports::{dialer, meet};
use citadel_proto::driver::Transport;
use citadel_sdk::memory::{Faults, Network, pair, pair_with};
use citadel_tests::resumable::Ends;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// When each of 50 numbered bytes came, and that they came in order.
#[expect(clippy::disallowed_methods, reason = "the clock is paused: it shows the delays of the pipe alone")]
async fn arrivals(seed: u64) -> Vec<Duration> {
    let (mut near, mut far) = pair(seed);
    let start = Instant::now();
    let writing = async {
        for number in 0..50_u8 {
            near.write_all(&[number]).await.unwrap();
        }
    };
    let reading = async {
        let mut times = Vec::new();
        for number in 0..50_u8 {
            assert_eq!(far.read_u8().await.unwrap(), number);
            times.push(start.elapsed());
        }
        times
    };
    tokio::join!(writing, reading).1
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_delays_and_another_seed_others() {
    let first = arrivals(1).await;
    assert_eq!(first, arrivals(1).await);
    assert_ne!(first, arrivals(2).await);
    assert!(first.is_sorted() && *first.last().unwrap() <= Duration::from_millis(21), "{first:?}");
    assert!(*first.last().unwrap() > Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_drop_is_read_and_nothing_can_be_written_after() {
    let (mut near, mut far) = pair(3);
    near.write_all(b"last words").await.unwrap();
    drop(near);
    let mut read = Vec::new();
    far.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last words");
    assert_eq!(far.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_half_that_is_shut_down_still_reads() {
    let (mut near, mut far) = pair(3);
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0; 9]).await.unwrap(), 0);
    far.write_all(b"answer").await.unwrap();
    let mut read = [0; 6];
    near.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"answer");
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_slow_reader() {
    let (mut near, mut far) = pair_with(3, Faults::NONE);
    let bytes = vec![7; 200_000];
    let writing = near.write_all(&bytes);
    tokio::pin!(writing);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut writing).await.is_err());
    let mut read = vec![0; 200_000];
    let (written, all) = tokio::join!(writing, far.read_exact(&mut read));
    assert!(written.is_ok() && all.is_ok() && read == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_cut_wakes_both_ends_and_loses_what_is_under_way() {
    let (mut near, mut far) = pair(4);
    near.write_all(b"lost").await.unwrap();
    near.cut();
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (mut near, far) = pair(4);
    let waiting = near.read_u8();
    let cutting = async { far.cut() };
    assert_eq!(tokio::join!(waiting, cutting).0.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_script_cuts_after_its_bytes_wherever_that_is_in_a_write() {
    for seed in 0..50 {
        let faults = Faults { cut_after: Some(0..=1_000), ..Faults::DELAYS };
        let (mut near, mut far) = pair_with(seed, faults);
        let bytes: Vec<u8> = (0..2_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut read = Vec::new();
        let writing = async {
            for chunk in bytes.chunks(300) {
                near.write_all(chunk).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let (written, end) = tokio::join!(writing, far.read_to_end(&mut read));
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(read.len() <= 1_000 && bytes.starts_with(&read), "seed {seed}: {} bytes", read.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_knows_its_listeners() {
    let network = Network::new(5);
    let refused = async |port| network.connect("10.1.1.1", port).await.err().map(|error| error.kind());
    assert_eq!(refused(9).await, Some(ErrorKind::ConnectionRefused));
    let mut listener = network.listen("10.1.1.1:9").await.unwrap();
    assert_eq!(network.listen("10.1.1.1:9").await.err().unwrap().kind(), ErrorKind::AddrInUse);
    let any = network.listen("10.1.1.1:0").await.unwrap().local_addr().unwrap();
    assert!(any.port() != 0);
    let mut near = network.connect("10.1.1.1", 9).await.unwrap();
    let mut arrived = listener.accept().await.unwrap();
    assert!(arrived.remote.ip().to_string().starts_with("10."));
    near.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    arrived.io.read_exact(&mut read).await.unwrap();
    assert_eq!((&read, network.paths()), (b"hello", 1));
    assert_eq!(network.take_down(), 1);
    assert_eq!((refused(9).await, network.paths()), (Some(ErrorKind::ConnectionRefused), 0));
    network.heal();
    assert_eq!(refused(9).await, None);
    drop(listener);
    assert_eq!(refused(9).await, Some(ErrorKind::ConnectionRefused));
    assert!(network.listen("10.1.1.1:9").await.is_ok());
    assert!(network.connect("a name", 9).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_session_survives_a_network_that_cuts_every_path_again_and_again() {
    let ends = Ends::new(Duration::from_secs(60));
    let network = Network::new(6);
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let (opened, accepted, acceptor) = meet(&ends, &transport).await;
    // Handshakes are 12 KiB; every path after the first breaks a while after its own.
    network.set_faults(Faults { cut_after: Some(20_000..=200_000), ..Faults::DELAYS });
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    let sending = async {
        for number in 0..300_u32 {
            there.send([&number.to_le_bytes()[..], &[7; 5_000]].concat()).await.unwrap();
            if number % 100 == 50 {
                network.cut();
            }
        }
        there.finish().await.unwrap();
    };
    let receiving = async {
        for number in 0..300_u32 {
            let message = back.recv().await.unwrap().unwrap();
            assert_eq!(message[..4], number.to_le_bytes(), "each once, in order");
        }
        assert_eq!(back.recv().await.unwrap(), None);
        back.finish().await.unwrap();
        network.set_faults(Faults::DELAYS);
    };
    let resuming = async {
        while let Some(incoming) = acceptor.accept().await {
            let _cut_off_or_resumed = incoming.accept().await;
        }
    };
    let talk = async {
        tokio::join!(sending, receiving);
        tokio::join!(opened.close(0, ""), accepted.closed())
    };
    let (one, other) = tokio::select! {
        reports = talk => reports,
        () = resuming => panic!("the acceptor ended"),
    };
    assert!(one.clean && other.clean, "{one} {other}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_finds_its_client_again() {
    let ends = Ends::new(Duration::from_secs(60));
    let network = Network::new(8);
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let (opened, accepted, acceptor) = meet(&ends, &transport).await;
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    assert_eq!(network.take_down(), 1);
    there.send("while it is down").await.unwrap();
    tokio::time::advance(Duration::from_secs(30)).await;
    network.heal();
    let incoming = acceptor.accept().await.unwrap();
    drop(incoming.accept().await.unwrap());
    assert_eq!(back.recv().await.unwrap().unwrap(), "while it is down");
    let second = dialer(&transport, acceptor.local_addrs()[0]);
    drop(second().await.unwrap());
    assert!(opened.close(0, "").await.clean);
}
