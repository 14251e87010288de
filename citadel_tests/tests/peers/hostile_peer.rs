//! A client with a true session that does on the service of peers what it should not, while two others go about their business.

use super::raw::{Raw, code_of, lane};
use super::scene::{Client, befriend, client, ends_empty, server, server_with};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_proto::peers::wire::encode_ask;
use citadel_proto::peers::{Acceptance, LaneError, Party, PeerAnswer, PeerAsk, PeerAskError, PeerRequest};
use citadel_proto::peers::{RequestHash, StatementNumber, Who};
use citadel_sdk::prelude::*;
use citadel_sdk::{PeersError, Rate, RateLimits, Standing};
use core::time::Duration;
use futures::future::join;

/// Two peers that talk all the while, and what must be as it was in the end.
pub(crate) struct Honest {
    pub(crate) server: Node<EmptyKernel>,
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    chat: Chat,
}

impl Honest {
    pub(crate) async fn new() -> Self {
        let server = server().await;
        let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
        befriend(&alice, &bob).await;
        let chat = Chat::between(&alice, &bob).await;
        Self { server, alice, bob, chat }
    }

    /// The two still talk, over the lane that they had.
    pub(crate) async fn goes_on(&mut self) {
        self.chat.goes_on().await;
    }

    /// Nothing of anybody else is left at the server: one lane, two parties.
    pub(crate) async fn is_alone(&self) {
        let board = self.server.switchboard().unwrap();
        // What ended at the others ends there with the next turns of its tasks.
        while (board.lanes(), board.parties()) != (1, 2) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn ends(mut self) {
        self.goes_on().await;
        self.is_alone().await;
        self.chat.ends().await;
        self.bob.ends().await;
        // A session whose only lane somebody has broken may have been waiting for another.
        self.alice.node.shutdown().await.unwrap();
        ends_empty(self.server).await;
    }
}

/// Numbers that go there and come back, one after the other, in one session.
struct Chat {
    there: Channel,
    back: Channel,
    next: u64,
    sessions: [Session; 2],
}

impl Chat {
    async fn between(alice: &Client, bob: &Client) -> Self {
        let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
        let sessions = [met.unwrap().session, arrived.session];
        let mut there = sessions[0].open_named_channel("chat").await.unwrap();
        there.send("hello").await.unwrap();
        let back = loop {
            let channel = sessions[1].accept_channel().await.unwrap().unwrap();
            if channel.name() == b"chat" {
                break channel;
            }
        };
        let mut chat = Self { there, back, next: 1, sessions };
        assert_eq!(chat.back.recv().await.unwrap().unwrap(), "hello");
        chat
    }

    async fn goes_on(&mut self) {
        for _ in 0..20 {
            let word = self.next.to_string().repeat(50);
            self.there.send(word.clone()).await.unwrap();
            assert_eq!(self.back.recv().await.unwrap().unwrap(), word);
            self.back.send(word.clone()).await.unwrap();
            assert_eq!(self.there.recv().await.unwrap().unwrap(), word);
            self.next += 1;
        }
    }

    async fn ends(self) {
        let [one, other] = self.sessions;
        let (mine, theirs) = join(one.close(0, ""), other.close(0, "")).await;
        assert!(mine.clean && theirs.clean, "{mine} {theirs}");
    }
}

fn failed(error: PeerAskError) -> PeerAnswer {
    PeerAnswer::Failed(error)
}

#[tokio::test]
async fn what_is_no_request_ends_its_channel_and_nothing_else() {
    let mut honest = Honest::new().await;
    let mallory = Raw::new(&honest.server, "mallory").await;
    let watch = encode_ask(7, &PeerAsk::Watch).unwrap();
    let ask = encode_ask(7, &mallory.ask(honest.alice.party)).unwrap();
    let mut messages = vec![vec![], vec![0xFF; 9], vec![0; 6_000], vec![0xFF; 60_000]];
    messages.push([&watch[..], &[0]].concat());
    messages.push(ask[..ask.len() - 1].to_vec());
    messages.extend((0..watch.len()).map(|end| watch[..end].to_vec()));
    for message in messages {
        assert_eq!(mallory.line().end_by(message.clone()).await, 1, "{} bytes", message.len());
    }
    honest.goes_on().await;
    // Its session stands, and a request is answered as ever; that of a channel which has ended is not.
    let mut line = mallory.line();
    let found = line.ask(&PeerAsk::Find(Who::Party(honest.bob.party))).await;
    assert_eq!(found, PeerAnswer::Found(honest.bob.party));
    assert_eq!(honest.alice.peers.info(mallory.party), None, "nothing came of any of it");
    line.ends().await;
    mallory.ends().await;
    honest.ends().await;
}

#[tokio::test]
async fn a_statement_that_is_not_of_who_says_it_about_whom_it_names_is_malformed() {
    let mut honest = Honest::new().await;
    let mallory = Raw::new(&honest.server, "mallory").await;
    let (to, mut line) = (honest.alice.party, mallory.line());
    let says = mallory.says(to);
    let good = mallory.signs(says.clone());
    let other = Identity::generate();
    let of_another_device = citadel_proto::peers::Statement::from(says.clone()).sign(&other).unwrap();
    let acceptance = Acceptance {
        server: says.server,
        from: says.from,
        to,
        request: RequestHash::of(&good),
        number: StatementNumber(1),
        requester: honest.alice.node.peer_id(),
    };
    let statements = [
        vec![],
        vec![0xFF; 5_000],
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        mallory.signs(PeerRequest { server: PeerId([1; 32]), ..says.clone() }),
        mallory.signs(PeerRequest { from: honest.bob.party, ..says.clone() }),
        mallory.signs(PeerRequest { from: Party::Transient(mallory.identity.peer_id()), ..says.clone() }),
        mallory.signs(PeerRequest { to: honest.bob.party, ..says.clone() }),
        of_another_device,
        mallory.signs(acceptance.clone()),
    ];
    for statement in statements {
        let answer = line.ask(&PeerAsk::Ask { to, statement }).await;
        assert_eq!(answer, failed(PeerAskError::Malformed));
    }
    for statement in [good.clone(), vec![3; 40]] {
        let answer = line.ask(&PeerAsk::Accept { to, statement: statement.clone() }).await;
        assert_eq!(answer, failed(PeerAskError::Malformed));
        assert_eq!(line.ask(&PeerAsk::Vouch(statement)).await, failed(PeerAskError::Malformed));
    }
    // True as far as a server can tell, and nobody asked.
    let accepted = line.ask(&PeerAsk::Accept { to, statement: mallory.signs(acceptance) }).await;
    let no_request = citadel_proto::peers::ConsentError::NoRequest;
    assert_eq!(accepted, failed(no_request.into()));
    assert_eq!(honest.alice.peers.info(mallory.party), None);

    // A server does not check signatures. Who is asked does.
    let mut forged = good;
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(line.ask(&PeerAsk::Ask { to, statement: forged }).await, PeerAnswer::Done);
    honest.alice.sees(mallory.party, Standing::Asking).await;
    let accepted = honest.alice.peers.accept(mallory.party, None).await;
    assert!(matches!(accepted, Err(PeersError::Statement(_))), "{accepted:?}");
    honest.goes_on().await;
    line.ends().await;
    mallory.ends().await;
    honest.ends().await;
}

#[tokio::test]
async fn a_flood_of_requests_is_cut_off_and_takes_nothing_from_others() {
    let hourly = Some(Rate::new(5, Duration::from_secs(3_600)));
    let server =
        server_with(RateLimits { peer_requests_per_party: hourly, max_keys: 99, ..RateLimits::none() });
    let server = server.await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    let mallory = Raw::new(&server, "mallory").await;
    let mut line = mallory.line();
    // All at once, without a look at the answers.
    let ask = mallory.ask(alice.party);
    for _ in 0..100 {
        line.begin(&ask).await;
    }
    for number in 1..=100 {
        let (id, answer) = line.hears().await;
        assert_eq!(id, number);
        match answer {
            PeerAnswer::Done if number <= 5 => {}
            PeerAnswer::Failed(PeerAskError::RateLimited(wait)) if number > 5 => {
                assert!(wait <= Duration::from_secs(3_600));
            }
            other => panic!("{other:?} to request {number}"),
        }
    }
    // Another channel, or another session of it, changes nothing.
    let mut other = mallory.line();
    let answer = other.ask(&ask).await;
    assert!(matches!(answer, PeerAnswer::Failed(PeerAskError::RateLimited(_))), "{answer:?}");
    other.ends().await;
    befriend(&bob, &alice).await;
    assert_eq!(alice.peers.list().len(), 2);
    line.ends().await;
    mallory.ends().await;
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn a_lane_without_consent_is_refused_alike_whoever_is_at_its_end() {
    let mut honest = Honest::new().await;
    let mallory = Raw::new(&honest.server, "mallory").await;
    let (alice, bob) = (&honest.alice, &honest.bob);
    let mut line = mallory.line();
    bob.peers.set_blocked(mallory.party, true).await.unwrap();
    assert_eq!(line.ask(&mallory.ask(alice.party)).await, PeerAnswer::Done);
    alice.sees(mallory.party, Standing::Asking).await;
    let stranger = client(&honest.server, "stranger").await;
    let nobody = PeerId([7; 32]);
    let there = [
        ("nobody", Party::Account(Cid(7)), nobody),
        ("nobody without an account", Party::Transient(nobody), nobody),
        ("a stranger", stranger.party, stranger.node.peer_id()),
        ("a stranger's device that is not there", stranger.party, nobody),
        (
            "a stranger's device as a party",
            Party::Transient(stranger.node.peer_id()),
            stranger.node.peer_id(),
        ),
        ("one who blocks it", bob.party, bob.node.peer_id()),
        ("one whom it asks", alice.party, alice.node.peer_id()),
        ("a peer's device under another account", stranger.party, alice.node.peer_id()),
    ];
    for (who, party, device) in there {
        let mut lane = lane(&mallory.session, party, device).await;
        assert_eq!(code_of(&mut lane).await, LaneError::NotPeers.code(), "{who}");
        let ended = lane.send("more").await;
        assert!(ended.is_err(), "{who}: {ended:?}");
    }
    for (party, device) in [
        (mallory.party, nobody),
        (mallory.party, mallory.identity.peer_id()),
        (alice.party, mallory.identity.peer_id()),
    ] {
        let mut lane = lane(&mallory.session, party, device).await;
        assert_eq!(code_of(&mut lane).await, LaneError::Yourself.code());
    }
    for message in [vec![], vec![9; 3], vec![0; 80], vec![0; 60_000]] {
        let mut lane = mallory.session.open_service_channel(citadel_proto::RELAY).unwrap();
        lane.send(message).await.unwrap();
        assert_eq!(code_of(&mut lane).await, LaneError::Malformed.code());
    }
    honest.goes_on().await;
    line.ends().await;
    stranger.ends().await;
    mallory.ends().await;
    honest.ends().await;
}

#[tokio::test]
async fn who_takes_all_of_its_service_channels_hurts_nobody_else() {
    let mut honest = Honest::new().await;
    let mallory = Raw::new(&honest.server, "mallory").await;
    let mut taken = Vec::new();
    for service in ["peers", "relay", "nothing"].into_iter().cycle() {
        match mallory.session.open_service_channel(service) {
            Ok(channel) => taken.push(channel),
            Err(error) => {
                assert_eq!(error, citadel_sdk::OpenError::Limit);
                break;
            }
        }
    }
    assert_eq!(taken.len(), 80);
    honest.goes_on().await;
    // Nothing was said on any of them; each is given up in its own way.
    for (number, mut channel) in taken.into_iter().enumerate() {
        match number % 9 {
            0 => channel.finish().await.unwrap(),
            1 => channel.reset(7),
            _ => drop(channel),
        }
    }
    honest.goes_on().await;
    mallory.node.shutdown().await.unwrap();
    honest.ends().await;
}
