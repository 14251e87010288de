//! Each request about peers has its limit, by party: over it the answer is typed and says when, and nobody else's requests wait.

use super::raw::{Line, Raw};
use super::scene::{befriend, client, ends_empty, server_with};
use citadel_crypt::handshake::Cid;
use citadel_proto::peers::{
    Acceptance, Disown, Party, PeerAnswer, PeerAsk, PeerAskError, RequestHash, StatementNumber, Vouch, Who,
};
use citadel_sdk::{Rate, RateLimits};
use core::time::Duration;
use futures::future::join;
use rstest::rstest;

const HOUR: Duration = Duration::from_secs(3_600);
const MOST: u32 = 5;

/// A request, by its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Find,
    Watch,
    Observe,
    Ask,
    Accept,
    Decline,
    Remove,
    Block,
    Unblock,
    Vouch,
    Disown,
}

/// What is limited together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Limit {
    LookUps,
    Asks,
    Answers,
}

const KINDS: [Kind; 11] = [
    Kind::Find,
    Kind::Watch,
    Kind::Observe,
    Kind::Ask,
    Kind::Accept,
    Kind::Decline,
    Kind::Remove,
    Kind::Block,
    Kind::Unblock,
    Kind::Vouch,
    Kind::Disown,
];

impl Kind {
    fn limit(self) -> Limit {
        match self {
            Self::Find | Self::Watch | Self::Observe => Limit::LookUps,
            Self::Ask | Self::Vouch => Limit::Asks,
            Self::Accept | Self::Decline | Self::Remove | Self::Block | Self::Unblock | Self::Disown => {
                Limit::Answers
            }
        }
    }

    /// The request `number` of this kind, of `who` about `to`.
    fn of(self, who: &Raw, to: Party, number: u8) -> PeerAsk {
        let (server, device) = (who.session.peer_id(), citadel_crypt::addr::PeerId([number; 32]));
        let (account, number) = (who.session.cid().unwrap(), StatementNumber(number.into()));
        match self {
            Self::Find => PeerAsk::Find(Who::Party(to)),
            Self::Watch => PeerAsk::Watch,
            Self::Observe => PeerAsk::Observe,
            Self::Ask => who.ask(to),
            Self::Accept => {
                let (request, requester) = (RequestHash::of(b"a request"), device);
                let acceptance = Acceptance { server, from: who.party, to, request, number, requester };
                PeerAsk::Accept { to, statement: who.signs(acceptance) }
            }
            Self::Decline => PeerAsk::Decline(to),
            Self::Remove => PeerAsk::Remove(to),
            Self::Block => PeerAsk::Block { to, blocked: true },
            Self::Unblock => PeerAsk::Block { to, blocked: false },
            Self::Vouch => PeerAsk::Vouch(who.signs(Vouch { server, account, device, number })),
            Self::Disown => PeerAsk::Vouch(who.signs(Disown { server, account, device, number })),
        }
    }
}

/// The limit of one kind of request, and none else.
fn rates(of: Limit) -> RateLimits {
    let limit = |is: Limit| (is == of).then_some(Rate::new(MOST, HOUR));
    RateLimits {
        peer_look_ups_per_party: limit(Limit::LookUps),
        peer_requests_per_party: limit(Limit::Asks),
        peer_answers_per_party: limit(Limit::Answers),
        max_keys: 99,
        ..RateLimits::none()
    }
}

/// The answer to `ask`, whatever is told beside it.
async fn answer(line: &mut Line, ask: &PeerAsk) -> PeerAnswer {
    let id = line.begin(ask).await;
    loop {
        let (of, answer) = line.hears().await;
        if of == id {
            return answer;
        }
    }
}

const fn is_limited(answer: &PeerAnswer) -> bool {
    matches!(answer, PeerAnswer::Failed(PeerAskError::RateLimited(wait)) if wait.as_secs() <= HOUR.as_secs() && !wait.is_zero())
}

#[rstest]
#[tokio::test]
async fn a_request_over_its_limit_is_told_when_and_nobody_else_s_waits(
    #[values(
        Kind::Find,
        Kind::Watch,
        Kind::Observe,
        Kind::Ask,
        Kind::Accept,
        Kind::Decline,
        Kind::Remove,
        Kind::Block,
        Kind::Unblock,
        Kind::Vouch,
        Kind::Disown
    )]
    kind: Kind,
) {
    let server = server_with(rates(kind.limit())).await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    let mallory = Raw::new(&server, "mallory").await;
    let mut line = mallory.line();
    for number in 1..=MOST {
        let ask = kind.of(&mallory, alice.party, u8::try_from(number).unwrap());
        let said = answer(&mut line, &ask).await;
        assert!(!is_limited(&said), "{said:?} to {kind:?} {number}");
    }
    let more = kind.of(&mallory, alice.party, 9);
    let said = answer(&mut line, &more).await;
    assert!(is_limited(&said), "{said:?} to one {kind:?} more");
    // Another channel changes nothing.
    let mut other = mallory.line();
    let said = answer(&mut other, &more).await;
    assert!(is_limited(&said), "{said:?} to {kind:?} on another channel");
    // What has another limit goes on. A device disowns by a limit of its own: no other one of the account uses it up.
    for next in KINDS {
        let said = answer(&mut line, &next.of(&mallory, Party::Account(Cid(u64::MAX)), 9)).await;
        let is_same = next.limit() == kind.limit() && (next == Kind::Disown) == (kind == Kind::Disown);
        assert_eq!(is_limited(&said), is_same, "{said:?} to {next:?} after {kind:?}");
    }
    // So do others, another device of the same account as far as it disowns.
    let phone = Raw::new(&server, "mallory").await;
    assert_eq!(phone.party, mallory.party);
    let mut its = phone.line();
    let said = answer(&mut its, &Kind::Disown.of(&phone, phone.party, 77)).await;
    assert_eq!(said, PeerAnswer::Done);
    if kind != Kind::Disown {
        let said = answer(&mut its, &kind.of(&phone, alice.party, 9)).await;
        assert!(is_limited(&said), "{said:?} to {kind:?} of another device");
    }
    befriend(&bob, &alice).await;
    for line in [line, other, its] {
        drop(line);
    }
    mallory.ends().await;
    phone.ends().await;
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

/// With what a server has if nobody says anything else.
#[tokio::test]
async fn a_user_who_does_what_users_do_meets_no_limit() {
    let server = server_with(RateLimits::default()).await;
    let alice = Raw::new(&server, "alice").await;
    let mut line = alice.line();
    // As many as wait for an answer at most, each looked for, declined, blocked.
    for number in 0..64 {
        let who = Party::Account(Cid(1_000 + number));
        for ask in
            [PeerAsk::Find(Who::Party(who)), PeerAsk::Decline(who), PeerAsk::Block { to: who, blocked: true }]
        {
            let said = answer(&mut line, &ask).await;
            assert!(!is_limited(&said), "{said:?} to {ask:?}");
        }
    }
    drop(line);
    alice.ends().await;
    ends_empty(server).await;
}
