//! The authorization table, written out again and compared with the one that is asked (scenario 24).

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_proto::accounts::{Action, Actor, Denied, Resource, authorize};

const OWN: Cid = Cid(1);
const OTHER: Cid = Cid(2);
const PEER: PeerId = PeerId([7; 32]);

/// Rows of actor and resource: o = allowed. The columns are the actions in the order of [`ACTIONS`].
const TABLE: &[(&str, Actor, Resource, &str)] = &[
    // Register BeginTransient Login AddDevice ReadProfile ListDevices RevokeDevice ChangePassword SetDisplayName
    // Deregister ReadValues WriteValues ResetPassword SetBlocked DeleteAccount ListAccounts
    ("anonymous, server", Actor::Anonymous, Resource::Server, "oo-- ---- ---- ----"),
    ("anonymous, account", Actor::Anonymous, account(OTHER, false), "--oo ---- ---- ----"),
    ("anonymous, called a peer", Actor::Anonymous, account(OTHER, true), "--oo ---- ---- ----"),
    ("owner, server", DEVICE, Resource::Server, "---- ---- ---- ----"),
    ("owner, own account", DEVICE, account(OWN, false), "---- oooo oooo ----"),
    ("owner, own account, called a peer", DEVICE, account(OWN, true), "---- oooo oooo ----"),
    ("registered peer", DEVICE, account(OTHER, true), "---- ---- ---- ----"),
    ("stranger", DEVICE, account(OTHER, false), "---- ---- ---- ----"),
    ("transient, server", TRANSIENT, Resource::Server, "---- ---- ---- ----"),
    ("transient, account", TRANSIENT, account(OTHER, false), "---- ---- ---- ----"),
    ("transient, called a peer", TRANSIENT, account(OTHER, true), "---- ---- ---- ----"),
    ("admin, server", Actor::Admin, Resource::Server, "---- ---- ---- ---o"),
    ("admin, account", Actor::Admin, account(OTHER, false), "---- ooo- ---- ooo-"),
    ("admin, called a peer", Actor::Admin, account(OTHER, true), "---- ooo- ---- ooo-"),
];

const ACTIONS: [Action; 16] = [
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
];

const DEVICE: Actor = Actor::Device { cid: OWN, peer: PEER };
const TRANSIENT: Actor = Actor::Transient { peer: PEER };

const fn account(cid: Cid, is_peer: bool) -> Resource {
    Resource::Account { cid, is_peer }
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
    let resources = [Resource::Server, account(OTHER, false), account(OTHER, true)];
    for actor in actors {
        for resource in resources {
            let has = TABLE.iter().any(|(_, a, r, _)| (a, r) == (&actor, &resource));
            assert!(has, "{actor:?} on {resource:?}");
        }
    }
}
