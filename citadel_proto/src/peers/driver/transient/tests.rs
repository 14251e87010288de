//! Who has room for which pairs in memory.

use super::super::super::consent::{Act, OVER_AFTER, apply};
use super::super::super::{Half, Stance};
use super::*;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;

const NOW: UnixTime = UnixTime(100 * 86_400);
const VICTIM: Party = Party::Account(Cid(1));

fn stranger(number: u8) -> Party {
    Party::Transient(PeerId([number; 32]))
}

fn limits(now: UnixTime) -> PairLimits {
    PairLimits { pairs: 4, requests: 2, now }
}

fn act(pairs: &mut TransientPairs, own: Party, other: Party, act: Act, now: UnixTime) -> Result<(), Full> {
    let next = apply(&pairs.pair(own, other), own, other, act, now).unwrap();
    pairs.put(own, other, &next, limits(now))
}

fn ask(pairs: &mut TransientPairs, own: Party, other: Party, now: UnixTime) -> Result<(), Full> {
    act(pairs, own, other, Act::Ask(b"ask".to_vec()), now)
}

#[test]
fn fix_0051_strangers_who_block_somebody_take_none_of_its_room() {
    let mut pairs = TransientPairs::default();
    for number in 0..100 {
        act(&mut pairs, stranger(number), VICTIM, Act::Block, NOW).unwrap();
    }
    for number in 100..104 {
        ask(&mut pairs, VICTIM, stranger(number), NOW).unwrap();
    }
    assert_eq!(ask(&mut pairs, VICTIM, stranger(104), NOW), Err(Full));
    assert_eq!(pairs.counted(VICTIM).count(), 4);
    assert!(pairs.pair(VICTIM, stranger(7)).upper.blocks);
    assert_eq!(pairs.forget(VICTIM).len(), 104);
    assert_eq!(pairs.counted(stranger(7)).count(), 0);
    assert!(pairs.of.is_empty(), "nothing is left of it");
}

#[test]
fn what_is_over_takes_no_room() {
    let mut pairs = TransientPairs::default();
    let later = UnixTime(NOW.0 + OVER_AFTER + 1);
    for number in 0..2 {
        ask(&mut pairs, stranger(number), VICTIM, NOW).unwrap();
    }
    assert_eq!(ask(&mut pairs, stranger(2), VICTIM, NOW), Err(Full), "two requests wait");
    for number in 0..2 {
        act(&mut pairs, VICTIM, stranger(number), Act::Decline, NOW).unwrap();
    }
    for number in 2..4 {
        ask(&mut pairs, stranger(number), VICTIM, NOW).unwrap();
    }
    assert_eq!(ask(&mut pairs, VICTIM, stranger(4), NOW), Err(Full), "four pairs");
    ask(&mut pairs, stranger(4), VICTIM, later).unwrap();
    let left: Vec<Party> = pairs.counted(VICTIM).map(|(other, _)| other).collect();
    assert_eq!(left, [stranger(4)]);
    assert_eq!(pairs.of.len(), 2, "those who asked long ago are not remembered");
}

/// The same answer to who is blocked and to who is not.
#[test]
fn who_is_blocked_needs_room_as_everybody_does() {
    for is_blocked in [false, true] {
        let mut pairs = TransientPairs::default();
        let others = if is_blocked { 0..3 } else { 0..4 };
        others.for_each(|number| ask(&mut pairs, VICTIM, stranger(number), NOW).unwrap());
        if is_blocked {
            act(&mut pairs, VICTIM, stranger(9), Act::Block, NOW).unwrap();
        }
        assert_eq!(ask(&mut pairs, stranger(9), VICTIM, NOW), Err(Full));
        assert_eq!(ask(&mut pairs, stranger(8), VICTIM, NOW), Err(Full));
    }
    for is_blocked in [false, true] {
        let mut pairs = TransientPairs::default();
        if is_blocked {
            act(&mut pairs, VICTIM, stranger(9), Act::Block, NOW).unwrap();
        }
        (0..2).for_each(|number| ask(&mut pairs, stranger(number), VICTIM, NOW).unwrap());
        assert_eq!(ask(&mut pairs, stranger(9), VICTIM, NOW), Err(Full));
    }
}

#[test]
fn what_has_its_place_may_change_where_there_is_no_other() {
    let mut pairs = TransientPairs::default();
    let accept = || Act::Accept(b"acceptance".to_vec());
    // Who blocks needs a place for that.
    for number in 0..4 {
        act(&mut pairs, VICTIM, stranger(number), Act::Block, NOW).unwrap();
    }
    assert_eq!(act(&mut pairs, VICTIM, stranger(4), Act::Block, NOW), Err(Full));
    for number in 0..4 {
        act(&mut pairs, VICTIM, stranger(number), Act::Unblock, NOW).unwrap();
    }
    // Two requests wait; who asks again does, and an answer makes room for two more.
    for (first, second) in [(0, 1), (2, 3)] {
        ask(&mut pairs, stranger(first), VICTIM, NOW).unwrap();
        ask(&mut pairs, stranger(second), VICTIM, NOW).unwrap();
        assert_eq!(ask(&mut pairs, stranger(9), VICTIM, NOW), Err(Full));
        act(&mut pairs, stranger(first), VICTIM, Act::Ask(b"again".to_vec()), NOW).unwrap();
        act(&mut pairs, VICTIM, stranger(first), accept(), NOW).unwrap();
        act(&mut pairs, VICTIM, stranger(second), accept(), NOW).unwrap();
    }
    // A request that is not heard is none that waits.
    act(&mut pairs, VICTIM, stranger(0), Act::Remove, NOW).unwrap();
    act(&mut pairs, VICTIM, stranger(1), Act::Remove, NOW).unwrap();
    ask(&mut pairs, stranger(0), VICTIM, NOW).unwrap();
    act(&mut pairs, VICTIM, stranger(0), Act::Block, NOW).unwrap();
    ask(&mut pairs, stranger(1), VICTIM, NOW).unwrap();
    act(&mut pairs, VICTIM, stranger(2), Act::Remove, NOW).unwrap();
    ask(&mut pairs, stranger(2), VICTIM, NOW).unwrap();
    assert_eq!(ask(&mut pairs, stranger(9), VICTIM, NOW), Err(Full));
}

#[test]
fn a_block_that_becomes_a_request_leaves_no_block_behind() {
    let mut pairs = TransientPairs::default();
    act(&mut pairs, stranger(1), VICTIM, Act::Block, NOW).unwrap();
    act(&mut pairs, stranger(1), VICTIM, Act::Unblock, NOW).unwrap();
    assert!(pairs.of.is_empty());
    act(&mut pairs, stranger(1), VICTIM, Act::Block, NOW).unwrap();
    let mut asks = pairs.pair(stranger(1), VICTIM);
    asks.upper = Half { stance: Stance::Asked, at: NOW, statement: b"ask".to_vec(), blocks: false };
    pairs.put(stranger(1), VICTIM, &asks, limits(NOW)).unwrap();
    act(&mut pairs, VICTIM, stranger(1), Act::Remove, NOW).unwrap();
    assert_eq!(pairs.pair(VICTIM, stranger(1)), Pair::default());
    assert!(pairs.of.is_empty());
}
