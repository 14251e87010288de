//! What the server tells one who is blocked: to the byte what it tells one whom nobody answers.

use super::raw::{Line, Raw};
use super::scene::{Client, client, ends_empty, server};
use citadel_proto::peers::{Party, PeerAnswer, PeerAsk, Shown, Who};
use citadel_sdk::Standing;

/// Whatever the server had to tell is told before the second answer: it looks for more to tell after each.
async fn is_told_nothing(line: &mut Line, of: Party) {
    let find = PeerAsk::Find(Who::Party(of));
    for _ in 0..2 {
        assert_eq!(line.ask(&find).await, PeerAnswer::Found(of));
    }
}

/// Everything that one who blocks can do about the other, and things that have nothing to do with it.
async fn does_everything(bob: &Client, alice: Party, line: &mut Line) {
    for is_blocked in [true, true] {
        bob.peers.set_blocked(alice, is_blocked).await.unwrap();
        is_told_nothing(line, bob.party).await;
    }
    bob.peers.ask(alice, None).await.unwrap_err();
    bob.peers.decline(alice).await.unwrap_err();
    bob.peers.remove(alice).await.unwrap();
    is_told_nothing(line, bob.party).await;
    bob.peers.set_blocked(alice, true).await.unwrap();
    is_told_nothing(line, bob.party).await;
}

#[tokio::test]
async fn one_who_is_blocked_is_not_told_a_byte_of_it() {
    let server = server().await;
    let bob = client(&server, "bob").await;
    let alice = Raw::new(&server, "alice").await;
    let mut line = alice.line();
    assert_eq!(line.watch().await, []);

    // A stranger.
    does_everything(&bob, alice.party, &mut line).await;
    bob.peers.set_blocked(alice.party, false).await.unwrap();
    is_told_nothing(&mut line, bob.party).await;

    // One whose request waits, and is asked again while it is blocked: it sees its own request and no more.
    bob.peers.set_blocked(alice.party, true).await.unwrap();
    assert_eq!(line.ask(&alice.ask(bob.party)).await, PeerAnswer::Done);
    let view = line.view().await;
    assert_eq!((view.party, &view.shown, view.blocked), (bob.party, &Shown::AskedByYou, false));
    assert_eq!((view.user, view.display_name, view.online, view.vouches), (None, None, vec![], vec![]));
    does_everything(&bob, alice.party, &mut line).await;
    let mut again = alice.line();
    let told = again.watch().await;
    assert_eq!(told.iter().map(|view| &view.shown).collect::<Vec<_>>(), [&Shown::AskedByYou]);
    again.ends().await;

    // Nor is it told that bob comes and goes.
    assert_eq!(line.ask(&PeerAsk::Remove(bob.party)).await, PeerAnswer::Was(true));
    assert_eq!(line.view().await.shown, Shown::None);
    let party = bob.party;
    bob.ends().await;
    is_told_nothing(&mut line, party).await;
    let bob = client(&server, "bob").await;
    is_told_nothing(&mut line, party).await;
    assert!(bob.peers.info(alice.party).is_none_or(|info| info.standing == Standing::Nothing));

    // And it is told what everybody is told once it is not blocked any more.
    bob.peers.set_blocked(alice.party, false).await.unwrap();
    is_told_nothing(&mut line, party).await;
    bob.peers.ask(alice.party, None).await.unwrap();
    assert!(matches!(line.view().await.shown, Shown::AskedByThem { .. }));
    line.ends().await;
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
