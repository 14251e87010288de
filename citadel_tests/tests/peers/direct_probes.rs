//! Probes and messages of direct paths under garbage: what does not verify has no effect, and an answer is never longer.

use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::secret::Secret;
use citadel_proto::peers::direct::{
    Candidates, DirectMessage, Locality, MAX_CANDIDATES, MAX_DIRECT_LEN, MAX_REFLEXIVE, NotDirect,
    Observation, ObserverSecret, PACKET_LEN, Packet, Probe, ProbeInput, ProbeOutput, ProbeResult, ProbeTimes,
    Probing, Tag, Throttle, Token,
};
use citadel_tests::direct_world::keys;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

const START: Timestamp = Timestamp::ZERO;

fn at(number: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 7], number))
}

fn candidates(count: u16) -> Candidates {
    Candidates::gather((1..=count).map(at), Locality::Reachable)
}

fn machine(side: Side, candidates: &Candidates) -> Probing {
    let [of_initiator, of_responder] = keys(1);
    let keys = match side {
        Side::Initiator => of_initiator,
        Side::Responder => of_responder,
    };
    Probing::new(side, Arc::new(keys), candidates, Locality::Reachable, ProbeTimes::default(), START)
}

fn outputs(machine: &mut Probing) -> Vec<ProbeOutput> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn hear(machine: &mut Probing, from: SocketAddr, bytes: &[u8]) -> Vec<ProbeOutput> {
    machine.handle(START, ProbeInput::Packet { from, bytes });
    outputs(machine)
}

fn sent(outputs: &[ProbeOutput]) -> Vec<(SocketAddr, Packet)> {
    let sent = |output: &ProbeOutput| match output {
        ProbeOutput::Send { to, packet } => Some((*to, *packet)),
        _ => None,
    };
    outputs.iter().filter_map(sent).collect()
}

/// The peer's ping with that number.
fn ping_of(side: Side, number: u64) -> Packet {
    let [of_initiator, of_responder] = keys(1);
    let keys = if side == Side::Initiator { of_initiator } else { of_responder };
    keys.seal(Probe::Ping { number })
}

#[test]
fn direct_probes_with_any_bit_turned_any_length_or_another_attempt_do_nothing() {
    let mut responder = machine(Side::Responder, &candidates(0));
    assert_eq!(outputs(&mut responder), []);
    let ping = ping_of(Side::Initiator, 3);
    for bit in 0..PACKET_LEN * 8 {
        let mut bytes = ping;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(hear(&mut responder, at(9), &bytes), [], "bit {bit}");
    }
    for len in (0..PACKET_LEN).chain([PACKET_LEN + 1, 1_500]) {
        let mut bytes = ping.to_vec();
        bytes.resize(len, 0);
        assert_eq!(hear(&mut responder, at(9), &bytes), [], "{len} bytes");
    }
    let [of_another, _] = keys(2);
    assert_eq!(hear(&mut responder, at(9), &of_another.seal(Probe::Ping { number: 3 })), []);
    // The real one is taken all the same.
    assert_eq!(hear(&mut responder, at(9), &ping).len(), 3, "pong, let in, ping");
}

#[test]
fn direct_probes_sent_back_to_their_sender_do_nothing() {
    let mut initiator = machine(Side::Initiator, &candidates(2));
    for (to, packet) in sent(&outputs(&mut initiator)) {
        assert_eq!(hear(&mut initiator, to, &packet), []);
    }
}

#[test]
fn direct_probes_count_once_and_cost_who_was_not_told_three_times_what_it_sent() {
    let mut responder = machine(Side::Responder, &candidates(0));
    // One ping is worth a pong and two pings, however long nothing else comes.
    let mut answered = sent(&hear(&mut responder, at(9), &ping_of(Side::Initiator, 127))).len();
    for millis in 0..10_000 {
        responder.handle(START + Duration::from_millis(millis), ProbeInput::Timeout);
        answered += sent(&outputs(&mut responder)).len();
    }
    assert_eq!(answered, 3);
    for number in 0..200 {
        let ping = ping_of(Side::Initiator, number);
        // The last one was played before.
        answered += sent(&hear(&mut responder, at(9), &ping)).len();
        // Played again, from there and from elsewhere.
        assert_eq!(hear(&mut responder, at(9), &ping), []);
        assert_eq!(hear(&mut responder, at(10), &ping), []);
    }
    assert_eq!(answered, 128 + 3, "a pong for each number, three pings of its own");
}

#[test]
fn direct_probes_from_more_addresses_than_there_may_be_do_nothing() {
    let mut responder = machine(Side::Responder, &candidates(0));
    let heard = (0..100_u16).filter(|number| {
        let ping = ping_of(Side::Initiator, u64::from(*number));
        !hear(&mut responder, at(100 + *number), &ping).is_empty()
    });
    assert_eq!(heard.count(), MAX_REFLEXIVE);
    // Loopback cannot be where a peer is that is somewhere else.
    let mut responder = machine(Side::Responder, &candidates(0));
    let here = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(hear(&mut responder, here, &ping_of(Side::Initiator, 0)), []);
}

#[test]
fn direct_probes_are_proven_only_from_where_the_ping_went_and_once() {
    let mut initiator = machine(Side::Initiator, &candidates(1));
    let [(to, ping)] = sent(&outputs(&mut initiator))[..] else { panic!("one ping") };
    let [_, of_responder] = keys(1);
    let Some(Probe::Ping { number }) = of_responder.open(&ping) else { panic!("a ping") };
    let pong = |number| of_responder.seal(Probe::Pong { number, seen: at(77) });
    assert_eq!(hear(&mut initiator, at(9), &pong(number)), [], "from elsewhere");
    assert_eq!(hear(&mut initiator, to, &pong(number + 1)), [], "of no ping");
    let proven = hear(&mut initiator, to, &pong(number));
    assert!(
        matches!(proven[..], [ProbeOutput::LetIn(_), ProbeOutput::Connect { to: there, .. }] if there == to)
    );
    assert_eq!(hear(&mut initiator, to, &pong(number)), []);
}

#[test]
fn direct_probes_end_when_nobody_answers_and_after_the_last_proven_address() {
    let mut initiator = machine(Side::Initiator, &candidates(16));
    let mut pings = sent(&outputs(&mut initiator)).len();
    let mut last = START;
    while let Some(due) = initiator.poll_timeout() {
        assert!(due >= last);
        last = due;
        initiator.handle(due, ProbeInput::Timeout);
        let outputs = outputs(&mut initiator);
        pings += sent(&outputs).len();
        if let Some(ProbeOutput::Over(result)) = outputs.last() {
            assert_eq!(*result, ProbeResult::Nothing);
        }
    }
    assert_eq!((pings, last), (48, START + Duration::from_secs(5)));

    let mut initiator = machine(Side::Initiator, &candidates(2));
    let [_, of_responder] = keys(1);
    let mut asked = Vec::new();
    for due in [START, START + Duration::from_millis(5)] {
        initiator.handle(due, ProbeInput::Timeout);
        asked.extend(sent(&outputs(&mut initiator)));
    }
    for (to, ping) in asked {
        let Some(Probe::Ping { number }) = of_responder.open(&ping) else { panic!("a ping") };
        let pong = of_responder.seal(Probe::Pong { number, seen: at(77) });
        initiator.handle(START + Duration::from_millis(9), ProbeInput::Packet { from: to, bytes: &pong });
    }
    let connects = |outputs: Vec<ProbeOutput>| {
        outputs.into_iter().find_map(|output| match output {
            ProbeOutput::Connect { to, .. } => Some(to),
            _ => None,
        })
    };
    // The second was asked later and answered as soon: its round trip is shorter.
    assert_eq!(connects(outputs(&mut initiator)), Some(at(2)));
    initiator.handle(START, ProbeInput::NotTaken);
    assert_eq!(connects(outputs(&mut initiator)), Some(at(1)));
    initiator.handle(START, ProbeInput::NotTaken);
    assert_eq!(outputs(&mut initiator), [ProbeOutput::Over(ProbeResult::Nothing)]);
    assert!(initiator.is_over());
    initiator.handle(START, ProbeInput::Taken);
    assert_eq!(outputs(&mut initiator), []);
}

#[test]
fn direct_messages_come_back_and_no_other_bytes_are_one() {
    let told = candidates(16);
    let messages = [
        DirectMessage::Begin { attempt: 7 },
        DirectMessage::Offer { attempt: u32::MAX, candidates: told.clone() },
        DirectMessage::Offer { attempt: 7, candidates: told.clone().with_tcp(Some(7_000)) },
        DirectMessage::Answer { attempt: 7, candidates: Candidates::default() },
        DirectMessage::Renew,
    ];
    for message in messages {
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_DIRECT_LEN);
        assert_eq!(DirectMessage::decode(&bytes, Locality::Reachable), Ok(message));
        for len in 0..bytes.len() {
            assert_eq!(DirectMessage::decode(&bytes[..len], Locality::Reachable), Err(NotDirect));
        }
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = DirectMessage::decode(&turned, Locality::Local) {
                assert_eq!(read.encode(), turned, "one spelling for each message");
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(DirectMessage::decode(&longer, Locality::Reachable), Err(NotDirect));
    }
    let local = Candidates::gather([SocketAddr::from(([127, 0, 0, 1], 9))], Locality::Local);
    let bytes = DirectMessage::Answer { attempt: 1, candidates: local }.encode();
    assert_eq!(DirectMessage::decode(&bytes, Locality::Reachable), Err(NotDirect));
    assert!(DirectMessage::decode(&bytes, Locality::Local).is_ok());
    assert_eq!(candidates(40).addresses().len(), MAX_CANDIDATES);
}

fn observer() -> ObserverSecret {
    ObserverSecret::new(Secret::copy_from(&[9; 32]))
}

#[test]
fn direct_observation_answers_a_token_of_its_own_until_that_is_over() {
    let token = Token { id: [5; 8], expires: START + Duration::from_secs(600) };
    let client = Observation::new(token, observer().key(token));
    let request = client.request(4);
    let reply = observer().answer(START, &request, at(80)).unwrap();
    assert_eq!(client.read(&reply), Some((4, at(80))));
    assert_eq!(observer().answer(token.expires, &request, at(80)), None, "its time is over");
    let other = ObserverSecret::new(Secret::copy_from(&[8; 32]));
    assert_eq!(other.answer(START, &request, at(80)), None, "of another server");
    // Neither is the other, nor a probe.
    assert_eq!(observer().answer(START, &reply, at(80)), None);
    assert_eq!(client.read(&request), None);
    assert_eq!((Tag::of(&request), Tag::of(&reply)), (None, None));
    for bit in 0..PACKET_LEN * 8 {
        let (mut asked, mut told) = (request, reply);
        asked[bit / 8] ^= 1 << (bit % 8);
        told[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(observer().answer(START, &asked, at(80)), None, "bit {bit}");
        assert_eq!(client.read(&told), None, "bit {bit}");
    }
    for len in 0..PACKET_LEN {
        assert_eq!(observer().answer(START, &request[..len], at(80)), None);
        assert_eq!(client.read(&reply[..len]), None);
    }
}

#[test]
fn direct_observation_is_answered_so_often_and_no_oftener() {
    let mut throttle = Throttle::new();
    let at_once = (0..1_000).filter(|_| throttle.take(START)).count();
    assert_eq!(at_once, 200);
    let in_a_second: usize = (1..=1_000_u32)
        .map(|millis| {
            let now = START + Duration::from_millis(u64::from(millis));
            (0..10).filter(|_| throttle.take(now)).count()
        })
        .sum();
    assert_eq!(in_a_second, 1_000);
}
