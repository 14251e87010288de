//! What a user takes back while something else of this end is under way about the same party: the last word is the user's.

use super::liar::{Liar, Line, Two, Victim};
use citadel_crypt::handshake::Cid;
use citadel_proto::peers::{Party, PeerAnswer, PeerAsk, PeersError, PinError, Shown, Standing};
use futures::FutureExt;
use futures::future::{Either, join, select};
use std::pin::pin;

/// The removal of `party` has come to the server, which does not answer it.
async fn is_removed(victim: &Victim, line: &mut Line, party: Party) {
    match select(pin!(victim.peers.remove(party)), pin!(line.hears())).await {
        Either::Right(((_, ask), _)) => assert!(matches!(ask, PeerAsk::Remove(of) if of == party)),
        Either::Left((removed, _)) => panic!("{removed:?}"),
    }
}

/// Somebody compares codes with a device while somebody else removes its party.
#[tokio::test(start_paused = true)]
async fn fix_0074_a_device_that_was_verified_as_its_party_was_removed_makes_no_peer_of_it() {
    let mut two = Two::peers().await;
    let bob = two.bob.party;
    let mut verified = two.alice.peers.mark_verified(bob, two.bob.device()).boxed();
    assert!((&mut verified).now_or_never().is_none(), "it was kept at once");
    is_removed(&two.alice, &mut two.to_alice, bob).await;
    verified.await.unwrap();
    let registered = two.alice.peers.registered(bob).now_or_never();
    assert!(matches!(registered, Some(Err(PeersError::Pin(PinError::Withdrawn)))), "{registered:?}");
    let info = two.alice.peers.info(bob).unwrap();
    assert_eq!((info.standing, info.pinned), (Standing::Nothing, None));
    two.end().await;
}

/// What `one` asks of `other` next, and the request in it.
async fn asks(one: &Victim, line: &mut Line, other: Party) -> Vec<u8> {
    let heard = async {
        let (id, ask) = line.hears().await;
        line.says(id, &PeerAnswer::Done).await;
        match ask {
            PeerAsk::Ask { statement, .. } => statement,
            other => panic!("{other:?}"),
        }
    };
    let (asked, statement) = join(one.peers.ask(other, None), heard).await;
    asked.unwrap();
    statement
}

/// What the client asks by itself until nothing is left to do: a word of the test's own after each turn of its tasks.
async fn says_by_itself(victim: &Victim, line: &mut Line) -> Vec<PeerAsk> {
    let stranger = Party::Account(Cid(u64::MAX));
    let mut said = Vec::new();
    for _ in 0..3 {
        let answers = async {
            loop {
                match line.hears().await {
                    (id, PeerAsk::Find(_)) => return line.says(id, &PeerAnswer::Found(stranger)).await,
                    (id, ask) => {
                        let answer = if let PeerAsk::Remove(_) = ask {
                            PeerAnswer::Was(true)
                        } else {
                            PeerAnswer::Done
                        };
                        line.says(id, &answer).await;
                        said.push(ask);
                    }
                }
            }
        };
        let (found, ()) = join(victim.peers.find(stranger), answers).await;
        assert_eq!(found.unwrap(), stranger);
    }
    said
}

/// Alice and bob have asked each other, and alice's client has accepted by itself; the server has not answered that yet.
struct Crossing {
    alice: Victim,
    bob: Victim,
    line: Line,
    /// What bob asked, and what he would ask next.
    requests: [Vec<u8>; 2],
    /// The number of the acceptance on the channel, and what it says.
    accepts: u64,
    acceptance: Vec<u8>,
}

impl Crossing {
    async fn begin() -> Self {
        let liar = Liar::new();
        let (alice, mut line) = liar.victim(0xA).await;
        let (bob, mut to_bob) = liar.victim(0xB).await;
        asks(&alice, &mut line, bob.party).await;
        let first = asks(&bob, &mut to_bob, alice.party).await;
        let second = asks(&bob, &mut to_bob, alice.party).await;
        line.shows(bob.party, Shown::AskedByThem { statement: first.clone() }, &[]).await;
        let (accepts, acceptance) = match line.hears().await {
            (id, PeerAsk::Accept { to, statement }) if to == bob.party => (id, statement),
            other => panic!("{other:?}"),
        };
        Self { alice, bob, line, requests: [first, second], accepts, acceptance }
    }

    /// The server answers the acceptance; what comes of it.
    async fn goes_on(&mut self) -> Vec<PeerAsk> {
        self.line.settles(&self.alice).await;
        self.line.says(self.accepts, &PeerAnswer::Done).await;
        says_by_itself(&self.alice, &mut self.line).await
    }

    async fn ends(self) {
        self.alice.ends().await;
        self.bob.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0078_who_was_removed_is_not_accepted_unasked_when_it_asks_again() {
    let mut both = Crossing::begin().await;
    is_removed(&both.alice, &mut both.line, both.bob.party).await;
    let statement = both.requests[1].clone();
    both.line.shows(both.bob.party, Shown::AskedByThem { statement }, &[]).await;
    let said = both.goes_on().await;
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(both.alice.peers.info(both.bob.party).unwrap().standing, Standing::Asking);
    both.ends().await;
}

#[tokio::test(start_paused = true)]
async fn fix_0078_what_is_shown_again_during_an_acceptance_is_taken_back_after_it() {
    let mut both = Crossing::begin().await;
    is_removed(&both.alice, &mut both.line, both.bob.party).await;
    let shown = Shown::Peers { mine: both.acceptance.clone(), theirs: both.requests[0].clone() };
    both.line.shows(both.bob.party, shown, &[]).await;
    let said = both.goes_on().await;
    assert!(matches!(said[..], [PeerAsk::Remove(party)] if party == both.bob.party), "{said:?}");
    both.ends().await;
}

/// Nobody took anything back: the request that came last is accepted, once.
#[tokio::test(start_paused = true)]
async fn a_request_that_took_the_place_of_the_one_that_is_accepted_is_accepted_after_it() {
    let mut both = Crossing::begin().await;
    let statement = both.requests[1].clone();
    both.line.shows(both.bob.party, Shown::AskedByThem { statement }, &[]).await;
    let said = both.goes_on().await;
    assert!(matches!(said[..], [PeerAsk::Accept { to, .. }] if to == both.bob.party), "{said:?}");
    both.ends().await;
}
