//! The authorization table, written out again and compared with the one that is asked (scenario 24).

use super::support::{DeviceEnd, Server, Store, add_device, password, registered};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DisplayName};
use citadel_proto::accounts::{
    Action, Actor, AskError, Denied, RequestBody, Resource, ResponseBody, authorize,
};
use citadel_proto::backend::{Expect, Space};

const OWN: Cid = Cid(1);
const OTHER: Cid = Cid(2);
const PEER: PeerId = PeerId([7; 32]);
const OTHER_PEER: PeerId = PeerId([8; 32]);

/// Rows of actor and resource: o = allowed. The columns are the actions in the order of [`ACTIONS`].
const TABLE: &[(&str, Actor, Resource, &str)] = &[
    // Register BeginTransient Login AddDevice ReadProfile ListDevices RevokeDevice ChangePassword SetDisplayName
    // Deregister ReadValues WriteValues ResetPassword SetBlocked DeleteAccount ListAccounts
    // FindPeer AskPeer AnswerPeer BlockPeer RemovePeer ReadPeers Vouch Relay
    ("anonymous, server", Actor::Anonymous, Resource::Server, "oo-- ---- ---- ---- ---- ----"),
    ("anonymous, account", Actor::Anonymous, account(OTHER, false), "--oo ---- ---- ---- ---- ----"),
    ("anonymous, called a peer", Actor::Anonymous, account(OTHER, true), "--oo ---- ---- ---- ---- ----"),
    ("anonymous, guest", Actor::Anonymous, guest(OTHER_PEER, false), "---- ---- ---- ---- ---- ----"),
    (
        "anonymous, guest called a peer",
        Actor::Anonymous,
        guest(OTHER_PEER, true),
        "---- ---- ---- ---- ---- ----",
    ),
    ("anonymous, itself as a guest", Actor::Anonymous, guest(PEER, true), "---- ---- ---- ---- ---- ----"),
    ("owner, server", DEVICE, Resource::Server, "---- ---- ---- ---- o--- ----"),
    ("owner, own account", DEVICE, account(OWN, false), "---- oooo oooo ---- ---- -oo-"),
    ("owner, own account, called a peer", DEVICE, account(OWN, true), "---- oooo oooo ---- ---- -oo-"),
    ("registered peer", DEVICE, account(OTHER, true), "---- ---- ---- ---- -ooo o--o"),
    ("stranger", DEVICE, account(OTHER, false), "---- ---- ---- ---- -ooo o---"),
    ("registered guest", DEVICE, guest(OTHER_PEER, true), "---- ---- ---- ---- -ooo o--o"),
    ("guest", DEVICE, guest(OTHER_PEER, false), "---- ---- ---- ---- -ooo o---"),
    ("guest of the own identity", DEVICE, guest(PEER, false), "---- ---- ---- ---- -ooo o---"),
    ("transient, server", TRANSIENT, Resource::Server, "---- ---- ---- ---- o--- ----"),
    ("transient, account", TRANSIENT, account(OTHER, false), "---- ---- ---- ---- -ooo o---"),
    ("transient, registered peer", TRANSIENT, account(OTHER, true), "---- ---- ---- ---- -ooo o--o"),
    ("transient, guest", TRANSIENT, guest(OTHER_PEER, false), "---- ---- ---- ---- -ooo o---"),
    ("transient, registered guest", TRANSIENT, guest(OTHER_PEER, true), "---- ---- ---- ---- -ooo o--o"),
    ("transient, itself", TRANSIENT, guest(PEER, false), "---- ---- ---- ---- ---- -o--"),
    ("transient, itself, called a peer", TRANSIENT, guest(PEER, true), "---- ---- ---- ---- ---- -o--"),
    ("admin, server", Actor::Admin, Resource::Server, "---- ---- ---- ---o ---- ----"),
    ("admin, account", Actor::Admin, account(OTHER, false), "---- ooo- ---- ooo- ---- ----"),
    ("admin, called a peer", Actor::Admin, account(OTHER, true), "---- ooo- ---- ooo- ---- ----"),
    ("admin, guest", Actor::Admin, guest(OTHER_PEER, false), "---- ---- ---- ---- ---- ----"),
    ("admin, guest called a peer", Actor::Admin, guest(OTHER_PEER, true), "---- ---- ---- ---- ---- ----"),
];

const ACTIONS: [Action; 24] = [
    Action::Register,
    Action::BeginTransient,
    Action::Login,
    Action::AddDevice,
    Action::ReadProfile,
    Action::ListDevices,
    Action::RevokeDevice,
    Action::ChangePassword,
    Action::SetDisplayName,
    Action::Deregister,
    Action::ReadValues,
    Action::WriteValues,
    Action::ResetPassword,
    Action::SetBlocked,
    Action::DeleteAccount,
    Action::ListAccounts,
    Action::FindPeer,
    Action::AskPeer,
    Action::AnswerPeer,
    Action::BlockPeer,
    Action::RemovePeer,
    Action::ReadPeers,
    Action::Vouch,
    Action::Relay,
];

const DEVICE: Actor = Actor::Device { cid: OWN, peer: PEER };
const TRANSIENT: Actor = Actor::Transient { peer: PEER };

const fn account(cid: Cid, is_peer: bool) -> Resource {
    Resource::Account { cid, is_peer }
}

/// A session without an account.
const fn guest(peer: PeerId, is_peer: bool) -> Resource {
    Resource::Transient { peer, is_peer }
}

#[test]
fn every_actor_may_do_to_every_resource_what_the_table_says_and_nothing_else() {
    for (name, actor, resource, row) in TABLE {
        let row: Vec<char> = row.chars().filter(|cell| *cell != ' ').collect();
        assert_eq!(row.len(), ACTIONS.len(), "{name}");
        for (action, cell) in ACTIONS.into_iter().zip(row) {
            let expected = if cell == 'o' { Ok(()) } else { Err(Denied) };
            assert_eq!(authorize(actor, action, resource), expected, "{name}: {action:?}");
        }
    }
}

#[test]
fn the_table_has_every_combination() {
    assert_eq!(Action::ALL, ACTIONS);
    let actors = [Actor::Anonymous, DEVICE, TRANSIENT, Actor::Admin];
    let accounts = [account(OTHER, false), account(OTHER, true)];
    let guests = [guest(OTHER_PEER, false), guest(OTHER_PEER, true)];
    for actor in actors {
        for resource in [Resource::Server].into_iter().chain(accounts).chain(guests) {
            let has = TABLE.iter().any(|(_, a, r, _)| (a, r) == (&actor, &resource));
            assert!(has, "{actor:?} on {resource:?}");
        }
    }
}

/// One of each request.
fn requests(other: PeerId) -> Vec<RequestBody> {
    let (about, key) = (None, b"key".to_vec());
    let expect = Expect::Any;
    vec![
        RequestBody::Profile,
        RequestBody::Devices,
        RequestBody::SetDisplayName { display_name: DisplayName::new("changed").unwrap() },
        RequestBody::Put { about, key: key.clone(), value: b"changed".to_vec(), expect },
        RequestBody::Get { about, key: key.clone() },
        RequestBody::List { about, prefix: Vec::new(), after: None, limit: 10 },
        RequestBody::Delete { about, key, expect },
        RequestBody::RevokeDevice { peer: other },
        RequestBody::ChangePassword { old: password("word"), new: password("new"), revoke_others: true },
        RequestBody::Deregister,
    ]
}

/// What is stored of an account.
async fn stored(server: &Server, cid: Cid) -> impl PartialEq + std::fmt::Debug + use<> {
    let backend = server.backend();
    let values = backend.list_values(Space::of(cid), b"", None, 10).await.unwrap();
    (backend.account(cid).await.unwrap(), backend.devices(cid).await.unwrap(), values)
}

#[tokio::test]
async fn every_request_is_served_to_the_owner_and_to_nobody_else() {
    let server = Server::new(Store::Memory);
    let (home, _session, cid) = registered(&server, "alice", "word").await;
    let (away, _session, _) = registered(&server, "bob", "word").await;
    let phone = DeviceEnd::new();
    let _session = phone.session(&server, add_device("alice", "word")).await;
    let before = stored(&server, cid).await;
    server.hasher.runs();
    for body in requests(phone.peer_id()) {
        for (who, actor, expected) in [
            ("anonymous", Actor::Anonymous, AskError::Denied),
            ("transient", Actor::Transient { peer: home.peer_id() }, AskError::Denied),
            ("operator", Actor::Admin, AskError::Denied),
            ("device of another account", Actor::Device { cid, peer: away.peer_id() }, AskError::Gone),
            (
                "account that is not there",
                Actor::Device { cid: Cid(1), peer: home.peer_id() },
                AskError::Gone,
            ),
        ] {
            let answer = server.accounts.handle(&actor, body.clone()).await;
            assert_eq!(answer, ResponseBody::Failed(expected), "{who}: {body:?}");
        }
    }
    assert_eq!(stored(&server, cid).await, before);
    assert_eq!(server.hasher.runs(), 0);
    // In this order each of them works for the owner.
    for body in requests(phone.peer_id()) {
        let owner = Actor::Device { cid, peer: home.peer_id() };
        let answer = server.accounts.handle(&owner, body.clone()).await;
        assert!(!matches!(answer, ResponseBody::Failed(_)), "{body:?}: {answer:?}");
    }
    assert_eq!(server.backend().account(cid).await.unwrap(), None);
    server.stop().await;
}
