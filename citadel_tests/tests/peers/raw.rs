//! A client that says on its service channels whatever a test has it say.

use super::scene::account;
use bytes::Bytes;
use citadel_crypt::suite::Native;
use citadel_proto::peers::wire::{LaneOpen, decode_answer, encode_ask, encode_lane};
use citadel_proto::peers::{
    Acceptance, PEERS_SERVICE, Party, PeerAnswer, PeerAsk, PeerRequest, RequestHash, Shown, Standpoint,
    Statement, StatementNumber, View,
};
use citadel_proto::{RELAY, RecvError};
use citadel_sdk::prelude::*;
use citadel_sdk::{Channel, NodeBuilder};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An account's client whose node takes no part in peers by itself.
pub(crate) struct Raw {
    pub(crate) node: Node<EmptyKernel>,
    pub(crate) session: Session,
    pub(crate) party: Party,
    pub(crate) identity: Arc<Identity>,
}

impl Raw {
    pub(crate) async fn new(server: &Node<EmptyKernel>, user: &str) -> Self {
        let identity = Arc::new(Identity::generate());
        let node = NodeBuilder::new(EmptyKernel).identity(Arc::clone(&identity)).start().await.unwrap();
        let session = node.connect(&account(server, user)).await.unwrap();
        let party = Party::Account(session.cid().unwrap());
        Self { node, session, party, identity }
    }

    /// A service channel of peers.
    pub(crate) fn line(&self) -> Line {
        Line { channel: self.session.open_service_channel(PEERS_SERVICE).unwrap(), own: self.party, last: 0 }
    }

    /// What a request of this client to be a peer of `to` says.
    pub(crate) fn says(&self, to: Party) -> PeerRequest {
        let at = Standpoint {
            server: self.session.peer_id(),
            own: self.party,
            device: self.identity.peer_id(),
            other: to,
            siblings: BTreeSet::new(),
        };
        PeerRequest::new(&Native, &at, StatementNumber(1), None).unwrap()
    }

    pub(crate) fn signs(&self, statement: impl Into<Statement>) -> Vec<u8> {
        statement.into().sign(&self.identity).unwrap()
    }

    /// Asks to be a peer of `to`, as it should.
    pub(crate) fn ask(&self, to: Party) -> PeerAsk {
        PeerAsk::Ask { to, statement: self.signs(self.says(to)) }
    }

    pub(crate) async fn ends(self) {
        let (_kernel, report) = self.node.shutdown().await.unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// An open service channel of peers.
pub(crate) struct Line {
    pub(crate) channel: Channel,
    own: Party,
    last: u64,
}

impl Line {
    pub(crate) async fn begin(&mut self, ask: &PeerAsk) -> u64 {
        self.last += 1;
        self.channel.send(encode_ask(self.last, ask).unwrap()).await.unwrap();
        self.last
    }

    /// What the server says next, whoever caused it.
    pub(crate) async fn hears(&mut self) -> (u64, PeerAnswer) {
        decode_answer(&self.channel.recv().await.unwrap().unwrap()).unwrap()
    }

    /// The answer to a request, and nothing before it.
    pub(crate) async fn ask(&mut self, ask: &PeerAsk) -> PeerAnswer {
        let id = self.begin(ask).await;
        let (of, answer) = self.hears().await;
        assert_eq!(of, id, "{answer:?} came before the answer to {ask:?}");
        answer
    }

    /// A view that the server tells by itself, and nothing before it.
    pub(crate) async fn view(&mut self) -> View {
        match self.hears().await {
            (0, PeerAnswer::View(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that the server tells of others to who begins to watch.
    pub(crate) async fn watch(&mut self) -> Vec<View> {
        assert_eq!(self.ask(&PeerAsk::Watch).await, PeerAnswer::Done);
        let mut views = Vec::new();
        loop {
            match self.hears().await {
                // What the account's own devices said of each other: nothing.
                (0, PeerAnswer::View(view)) if view.party == self.own => assert!(view.vouches.is_empty()),
                (0, PeerAnswer::View(view)) => views.push(view),
                (0, PeerAnswer::Synced) => return views,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Ends it in order.
    pub(crate) async fn ends(mut self) {
        self.channel.finish().await.unwrap();
        assert_eq!(self.channel.recv().await.unwrap(), None);
    }

    /// Says something that is no request; the code with which the server ends the channel, in both directions.
    pub(crate) async fn end_by(mut self, message: impl Into<Bytes>) -> u32 {
        self.channel.send(message).await.unwrap();
        code_of(&mut self.channel).await
    }
}

/// The code with which a channel is reset next.
pub(crate) async fn code_of(channel: &mut Channel) -> u32 {
    match channel.recv().await {
        Err(RecvError::Reset { code }) => code,
        other => panic!("{other:?}"),
    }
}

/// A lane to a device, as far as the server lets it come.
pub(crate) async fn lane(session: &Session, to: Party, device: PeerId) -> Channel {
    let mut lane = session.open_service_channel(RELAY).unwrap();
    lane.send(encode_lane(&LaneOpen { to, device }).unwrap()).await.unwrap();
    lane
}

/// The two are peers, by hand.
pub(crate) async fn agree(one: &Raw, other: &Raw) {
    let mut line = other.line();
    let request = one.signs(one.says(other.party));
    let ask = PeerAsk::Ask { to: other.party, statement: request.clone() };
    let mut first = one.line();
    assert_eq!(first.ask(&ask).await, PeerAnswer::Done);
    let acceptance = Acceptance {
        server: one.session.peer_id(),
        from: other.party,
        to: one.party,
        request: RequestHash::of(&request),
        number: StatementNumber(1),
        requester: one.identity.peer_id(),
    };
    let accept = PeerAsk::Accept { to: one.party, statement: other.signs(acceptance) };
    assert_eq!(line.ask(&accept).await, PeerAnswer::Done);
    let views = first.watch().await;
    assert!(views.iter().any(|view| view.party == other.party && matches!(view.shown, Shown::Peers { .. })));
    first.ends().await;
    line.ends().await;
}

/// A lane of `from` to `to`, with its other end; or the code with which it was refused.
pub(crate) async fn reaches(from: &Raw, to: &Raw) -> Result<[Channel; 2], u32> {
    let mut near = lane(&from.session, to.party, to.identity.peer_id()).await;
    tokio::select! {
        code = code_of(&mut near) => Err(code),
        far = to.session.accept_service_channel() => Ok([near, far.unwrap().unwrap()]),
    }
}
