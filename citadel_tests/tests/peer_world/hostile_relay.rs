//! A server that looks into what it relays, edits it, leaves out, repeats, reorders, withholds and replays it.

use super::liar::{Two, Victim};
use bytes::Bytes;
use citadel_proto::SendError;
use citadel_proto::driver::{Channel, RecvHalf, SendHalf, Session};
use citadel_proto::peers::wire::{self, LaneFrom, LaneOpen};
use citadel_proto::peers::{ConnectError, Party, PeerSession};
use citadel_tests::canary::{MARK, marked};
use core::time::Duration;
use futures::FutureExt;
use futures::future::join;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Longer than anything waits: a handshake, a silent path, the time to resume.
const PATIENCE: Duration = Duration::from_secs(120);
const MESSAGES: u32 = 20;

/// What is done to one message of a direction, by its place: 0 and 1 are of the handshake, records follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Nothing,
    Flip(usize),
    Cut(usize),
    LeaveOut(usize),
    Repeat(usize),
    Swap(usize),
    Garbage(usize),
    /// From there on nothing is handed on.
    Withhold(usize),
}

/// Everything that was relayed, in both directions: to the peer and back.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<[Vec<Bytes>; 2]>>);

impl Tape {
    /// Nobody who relays reads what is said: no payload stands in what was relayed, in one message or across two.
    #[track_caller]
    fn hides_everything(&self) {
        let mark = MARK.as_bytes();
        for direction in &*self.0.lock() {
            let all = direction.concat();
            assert!(
                !all.windows(mark.len()).any(|window| window == mark),
                "a payload was relayed in the clear"
            );
        }
    }

    fn to_peer(&self) -> Vec<Bytes> {
        self.0.lock()[0].clone()
    }

    fn back(&self) -> Vec<Bytes> {
        self.0.lock()[1].clone()
    }
}

/// What becomes of a message.
fn edit(act: Act, number: usize, message: &Bytes, held: &mut Option<Bytes>) -> Vec<Bytes> {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = message.to_vec();
        change(&mut bytes);
        vec![Bytes::from(bytes)]
    };
    if let Some(earlier) = held.take() {
        return vec![message.clone(), earlier];
    }
    match act {
        Act::Flip(at) if at == number => changed(&|bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        Act::Cut(at) if at == number => changed(&|bytes| bytes.truncate(bytes.len() / 2)),
        Act::Garbage(at) if at == number => changed(&|bytes| bytes.fill(0xa5)),
        Act::LeaveOut(at) if at == number => Vec::new(),
        Act::Repeat(at) if at == number => vec![message.clone(), message.clone()],
        Act::Swap(at) if at == number => {
            *held = Some(message.clone());
            Vec::new()
        }
        Act::Withhold(from) if number >= from => Vec::new(),
        _ => vec![message.clone()],
    }
}

async fn hand_on(mut recv: RecvHalf, mut send: SendHalf, act: Act, tape: Tape, direction: usize) {
    let (mut number, mut held) = (0, None);
    while let Ok(Some(message)) = recv.recv().await {
        tape.0.lock()[direction].push(message.clone());
        for message in edit(act, number, &message, &mut held) {
            if send.send(message).await.is_err() {
                return;
            }
        }
        number += 1;
    }
}

/// Joins each lane that the one opens with one to the other; `acts` are those of the first, to the peer and back.
async fn relay(near: Session, far: Session, from: LaneFrom, acts: [Act; 2], tape: Tape, tasks: TaskTracker) {
    let mut acts = Some(acts);
    while let Ok(Some(mut channel)) = near.accept_service_channel().await {
        let Ok(Some(head)) = channel.recv().await else { continue };
        let LaneOpen { .. } = wire::decode_lane(&head).unwrap();
        let Ok(mut there) = far.open_service_channel("relay") else { continue };
        if there.send(wire::encode_lane(&from).unwrap()).await.is_err() {
            continue;
        }
        let acts = acts.take().unwrap_or([Act::Nothing; 2]);
        tasks.spawn(carry(channel, there, acts, tape.clone()));
    }
}

/// Both directions of a lane, until one of them is over.
async fn carry(near: Channel, far: Channel, acts: [Act; 2], tape: Tape) {
    let ((near_send, near_recv), (far_send, far_recv)) = (near.split(), far.split());
    let back = tape.clone();
    tokio::select! {
        () = hand_on(near_recv, far_send, acts[0], tape, 0) => {}
        () = hand_on(far_recv, near_send, acts[1], back, 1) => {}
    }
}

/// Relays what alice opens to bob.
fn relays(two: &Two, acts: [Act; 2]) -> (Tape, TaskTracker) {
    let (tape, tasks) = (Tape::default(), TaskTracker::new());
    let from = LaneFrom { from: two.alice.party, device: two.alice.device() };
    let (near, far) = (two.to_alice.session.clone(), two.to_bob.session.clone());
    tasks.spawn(relay(near, far, from, acts, tape.clone(), tasks.clone()));
    (tape, tasks)
}

fn word(number: u32) -> Vec<u8> {
    marked([&number.to_le_bytes()[..], &[7; 600]].concat())
}

/// Sends, and learns that the other end took all of it. Says how much was accepted.
async fn speak(met: &PeerSession) -> (Result<(), SendError>, u32) {
    let (mut send, _back) = met.session.channel().unwrap().split();
    let mut accepted = 0;
    let write = async {
        for number in 0..MESSAGES {
            send.send(word(number)).await?;
            accepted += 1;
        }
        send.finish().await?;
        send.acknowledged().await
    };
    (write.await, accepted)
}

/// Takes what comes, until there is no more.
async fn hear(given: &PeerSession) -> u32 {
    let (_forth, mut recv) = given.session.channel().unwrap().split();
    let mut taken = 0;
    while let Ok(Some(message)) = recv.recv().await {
        assert_eq!(message, word(taken), "not the next message");
        taken += 1;
    }
    taken
}

async fn talk(alice: &PeerSession, bob: &PeerSession) -> (Result<(), SendError>, u32) {
    let ((told, _), taken) = join(speak(alice), hear(bob)).await;
    (told, taken)
}

/// The session that bob is given.
async fn given(bob: &Victim) -> PeerSession {
    timeout(PATIENCE, bob.peers.accept_session()).await.unwrap()
}

/// What bob takes in the session that he is given, if it is that of `met`; none is given if nothing of it came to him, and then it
/// ends at the other end as well.
async fn heard(bob: &Victim, met: &PeerSession) -> u32 {
    tokio::select! {
        biased;
        given = bob.peers.accept_session() => {
            assert_eq!(given.session.instance(), met.session.instance());
            hear(&given).await
        }
        report = met.session.closed() => {
            assert!(!report.clean, "{report}");
            0
        }
    }
}

/// Alice gets a session, or a typed reason; whatever was accepted in it arrives once and in order.
async fn one_attempt(acts: [Act; 2]) {
    let two = Two::peers().await;
    let (tape, _tasks) = relays(&two, acts);
    let met = timeout(PATIENCE, two.alice.peers.connect(two.bob.party)).await.unwrap();
    match met {
        Ok(met) => {
            let talk = join(speak(&met), heard(&two.bob, &met));
            let ((told, accepted), taken) = timeout(PATIENCE, talk).await.unwrap();
            match told {
                Ok(()) => assert_eq!(taken, MESSAGES, "{acts:?}: acknowledged, and not taken"),
                Err(error) => {
                    let report = met.session.closed().await;
                    let unconfirmed: u64 = report.unconfirmed.iter().map(|one| one.messages).sum();
                    let is_told = u64::from(accepted - taken) <= unconfirmed;
                    assert!(!report.clean && is_told, "{acts:?}: {error} {report}");
                }
            }
        }
        Err(ConnectError::Establish(_) | ConnectError::Lane(_) | ConnectError::Deadline(_)) => {}
        Err(other) => panic!("{acts:?}: {other:?}"),
    }
    // Nothing is left of it that keeps the two apart.
    let again = timeout(PATIENCE, two.alice.peers.connect(two.bob.party)).await.unwrap().unwrap();
    assert_eq!(again.session.peer_id(), two.bob.device());
    tape.hides_everything();
    assert!(!tape.to_peer().is_empty());
    drop(again);
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_relayed_tells_nothing_and_arrives_whole() {
    one_attempt([Act::Nothing; 2]).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_done_to_a_relayed_message_nothing_is_lost_doubled_or_believed() {
    let acts = |at| {
        [
            Act::Flip(at),
            Act::Cut(at),
            Act::LeaveOut(at),
            Act::Repeat(at),
            Act::Swap(at),
            Act::Garbage(at),
            Act::Withhold(at),
        ]
    };
    for act in (0..6).flat_map(acts) {
        one_attempt([act, Act::Nothing]).await;
        one_attempt([Act::Nothing, act]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0060_a_caller_whose_attempt_takes_too_long_is_told_that() {
    let two = Two::peers().await;
    let (_tape, _tasks) = relays(&two, [Act::Cut(1), Act::Nothing]);
    match two.alice.peers.connect(two.bob.party).await {
        Err(ConnectError::Deadline(deadline)) => assert_eq!(deadline, Duration::from_secs(10)),
        other => panic!("{other:?}"),
    }
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_replayed_makes_no_session() {
    let two = Two::peers().await;
    let (tape, _tasks) = relays(&two, [Act::Nothing; 2]);
    let (met, given) = join(two.alice.peers.connect(two.bob.party), given(&two.bob)).await;
    let met = met.unwrap();
    let (told, taken) = talk(&met, &given).await;
    assert_eq!((told, taken), (Ok(()), MESSAGES));
    let before = two.bob.hub.sessions();
    // To bob, what alice said; while their session lives and after it.
    for _ in 0..2 {
        let mut lane = two.to_bob.calls(two.alice.party, two.alice.device()).await;
        for message in tape.to_peer() {
            if lane.send(message).await.is_err() {
                break;
            }
        }
        while let Ok(Some(_)) = lane.recv().await {}
        assert!(two.bob.peers.accept_session().now_or_never().is_none());
        assert!(two.bob.hub.sessions() <= before);
        met.session.close(0, "").await;
        given.session.closed().await;
    }
    tape.hides_everything();
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_lane_that_are_replayed_make_no_session() {
    let two = Two::peers().await;
    // The first lane ends with the relay that carried it.
    let tape = {
        let (tape, from) = (Tape::default(), LaneFrom { from: two.alice.party, device: two.alice.device() });
        let relayed = async {
            let (_, near) = two.to_alice.called().await;
            let far = two.to_bob.calls(from.from, from.device).await;
            carry(near, far, [Act::Nothing; 2], tape.clone()).await;
        };
        let meet = async {
            let (met, given) = join(two.alice.peers.connect(two.bob.party), given(&two.bob)).await;
            let met = met.unwrap();
            join(met.session.close(0, ""), given.session.closed()).await;
        };
        join(relayed, meet).await;
        tape
    };
    let replayed = async {
        let (_, lane) = two.to_alice.called().await;
        let (mut send, mut recv) = lane.split();
        for message in tape.back() {
            if recv.recv().await.is_err() || send.send(message).await.is_err() {
                return;
            }
        }
    };
    let (met, ()) = join(two.alice.peers.connect(two.bob.party), replayed).await;
    assert!(matches!(met, Err(ConnectError::Establish(_) | ConnectError::Lane(_))), "{met:?}");
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_lane_stands_still_waits_and_keeps_little() {
    let two = Two::peers().await;
    // The handshake, the word that the session is kept, and nothing more.
    let (_tape, _tasks) = relays(&two, [Act::Withhold(3), Act::Nothing]);
    let (met, given) = join(two.alice.peers.connect(two.bob.party), given(&two.bob)).await;
    let met = met.unwrap();
    let mut channel = met.session.channel().unwrap();
    let mut accepted = 0;
    let offer = async {
        loop {
            channel.send(vec![7; 64 << 10]).await.unwrap();
            accepted += 64 << 10;
        }
    };
    let waits = timeout(Duration::from_secs(20), offer).await;
    assert!(waits.is_err());
    assert!(accepted <= 4 << 20, "{accepted} bytes were taken for a lane that stands still");
    drop(given);
    two.alice.ends().await;
    two.bob.ends().await;
}

/// A party by its number.
fn stranger(number: u64) -> Party {
    Party::Account(citadel_crypt::handshake::Cid(0x1_0000 + number))
}

mod floods {
    use super::super::liar::{Liar, Two, view};
    use super::stranger;
    use citadel_crypt::handshake::Cid;
    use citadel_proto::peers::{PeerAnswer, PeerAsk, PeersCallError, PeersError, Shown};
    use futures::future::join;

    #[tokio::test(start_paused = true)]
    async fn fix_0058_a_server_that_tells_of_ever_more_parties_is_heard_no_more() {
        let liar = Liar::new();
        let (alice, mut line) = liar.victim(0xA).await;
        let flood = async {
            for number in 0..10_000 {
                if !line.says_bytes(view(stranger(number), Shown::AskedByYou, &[])).await {
                    return number;
                }
            }
            10_000
        };
        let (found, told) = join(alice.peers.find(Cid(1)), flood).await;
        assert!(matches!(found, Err(PeersError::Call(PeersCallError::Malformed))), "{found:?}");
        assert!(told < 10_000);
        let known = alice.peers.list().len();
        assert!(known <= 2_048, "{known} parties are known");
        assert!(alice.session.closing().is_none());
        alice.ends().await;
    }

    #[tokio::test(start_paused = true)]
    async fn fix_0059_a_request_that_is_told_again_and_again_is_accepted_once() {
        let liar = Liar::new();
        let (alice, mut to_alice) = liar.victim(0xA).await;
        let (bob, mut to_bob) = liar.victim(0xB).await;
        let asks = async {
            let (id, ask) = to_bob.hears().await;
            to_bob.says(id, &PeerAnswer::Done).await;
            let PeerAsk::Ask { statement, .. } = ask else { panic!("{ask:?}") };
            statement
        };
        let (asked, statement) = join(bob.peers.ask(alice.party, None), asks).await;
        asked.unwrap();
        let asks = async {
            let (id, _) = to_alice.hears().await;
            to_alice.says(id, &PeerAnswer::Done).await;
        };
        let (asked, ()) = join(alice.peers.ask(bob.party, None), asks).await;
        asked.unwrap();
        // The two crossed: alice accepts by herself. The server does not answer, and says it again.
        for _ in 0..300 {
            to_alice.shows(bob.party, Shown::AskedByThem { statement: statement.clone() }, &[]).await;
        }
        to_alice.hears().await;
        let tasks = alice.tasks.len();
        assert!(tasks < 10, "{tasks} tasks");
        alice.ends().await;
        bob.ends().await;
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_that_come_and_go_leave_no_tasks_behind() {
        let two = Two::peers().await;
        for round in 0..40 {
            let lanes = futures::future::join_all(
                (0..50).map(|number| two.to_alice.calls(stranger(round * 50 + number), two.bob.device())),
            );
            for lane in lanes.await {
                lane.reset(9);
            }
            // They have come, and gone.
            super::pass().await;
        }
        let tasks = two.alice.tasks.len();
        assert!(tasks <= 100, "{tasks} tasks");
        two.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn presence_of_strangers_and_of_peers_is_kept_once() {
        let mut two = Two::peers().await;
        for number in 0..3_000_u64 {
            let online = vec![two.bob.device()];
            let party = if number.is_multiple_of(2) { two.bob.party } else { stranger(number) };
            two.to_alice.says(0, &PeerAnswer::Presence { party, online }).await;
        }
        two.to_alice.settles(&two.alice).await;
        assert_eq!(two.alice.peers.list().len(), 1);
        two.end().await;
    }
}

/// What is on its way arrives.
#[expect(clippy::disallowed_methods, reason = "the clock is paused")]
async fn pass() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
