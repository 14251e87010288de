//! The one table of who may do what (R-EST-2).
//!
//! Every actor, action and relation has its line; nothing is allowed because nobody thought of it. The table says who may
//! try: whether a password is right, a name is free or registration is open is judged by whoever carries the action out.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;

/// Who acts. What it *is* comes from the handshake, never from a field that the other end can fill in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Actor {
    /// A proven identity that has no session yet.
    Anonymous,
    /// A session of an account, on one of its devices.
    Device {
        /// The account.
        cid: Cid,
        /// The device.
        peer: PeerId,
    },
    /// A session without an account.
    Transient {
        /// The proven identity.
        peer: PeerId,
    },
    /// The operator of the node, in its own process.
    Admin,
}

/// What it wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Make an account.
    Register,
    /// Get a session without an account.
    BeginTransient,
    /// Get a session of an account that knows the device.
    Login,
    /// Make a device known to an account.
    AddDevice,
    /// Read the names of an account.
    ReadProfile,
    /// Read the devices of an account.
    ListDevices,
    /// Shut a device out.
    RevokeDevice,
    /// Replace the password, knowing the old one.
    ChangePassword,
    /// Replace the name to be shown.
    SetDisplayName,
    /// Remove an account, from within.
    Deregister,
    /// Read an account's key-value space.
    ReadValues,
    /// Write to it.
    WriteValues,
    /// Replace the password without knowing the old one.
    ResetPassword,
    /// Block an account, or unblock it.
    SetBlocked,
    /// Remove an account, from outside.
    DeleteAccount,
    /// Read the list of accounts.
    ListAccounts,
    /// Ask whether somebody exists, by user name, cid or peer id.
    FindPeer,
    /// Ask somebody to be a peer.
    AskPeer,
    /// Accept or decline what somebody asked.
    AnswerPeer,
    /// Hear nothing of somebody any more, or again.
    BlockPeer,
    /// Take back what was agreed or asked.
    RemovePeer,
    /// Read what one has agreed with others.
    ReadPeers,
    /// Say that a device is one of one's own, or is no more.
    Vouch,
    /// Open a lane to somebody's device.
    Relay,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 24] = [
        Self::Register,
        Self::BeginTransient,
        Self::Login,
        Self::AddDevice,
        Self::ReadProfile,
        Self::ListDevices,
        Self::RevokeDevice,
        Self::ChangePassword,
        Self::SetDisplayName,
        Self::Deregister,
        Self::ReadValues,
        Self::WriteValues,
        Self::ResetPassword,
        Self::SetBlocked,
        Self::DeleteAccount,
        Self::ListAccounts,
        Self::FindPeer,
        Self::AskPeer,
        Self::AnswerPeer,
        Self::BlockPeer,
        Self::RemovePeer,
        Self::ReadPeers,
        Self::Vouch,
        Self::Relay,
    ];
}

/// What it wants to do it to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Resource {
    /// The server as a whole.
    Server,
    /// An account with everything in it.
    Account {
        /// Which.
        cid: Cid,
        /// Whether it and the actor have both agreed to be peers.
        is_peer: bool,
    },
    /// A session without an account, with what it has agreed.
    Transient {
        /// Its proven identity.
        peer: PeerId,
        /// Whether it and the actor have both agreed to be peers.
        is_peer: bool,
    },
}

/// The actor may not do that to this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("not allowed")]
pub struct Denied;

/// Asks the table.
///
/// # Errors
/// [`Denied`].
pub fn authorize(actor: &Actor, action: Action, resource: &Resource) -> Result<(), Denied> {
    let is_allowed = relation(actor, resource).is_some_and(|relation| allows(role(actor), action, relation));
    if is_allowed { Ok(()) } else { Err(Denied) }
}

#[derive(Clone, Copy)]
enum Role {
    Anonymous,
    Device,
    Transient,
    Admin,
}

/// What the resource is to the actor.
#[derive(Clone, Copy)]
enum Relation {
    Server,
    Own,
    Peer,
    Stranger,
}

const fn role(actor: &Actor) -> Role {
    match actor {
        Actor::Anonymous => Role::Anonymous,
        Actor::Device { .. } => Role::Device,
        Actor::Transient { .. } => Role::Transient,
        Actor::Admin => Role::Admin,
    }
}

fn relation(actor: &Actor, resource: &Resource) -> Option<Relation> {
    use Actor::{Admin, Anonymous, Device, Transient};
    match (actor, resource) {
        (_, Resource::Server) => Some(Relation::Server),
        (Device { cid: own, .. }, Resource::Account { cid, .. }) if own == cid => Some(Relation::Own),
        (Transient { peer: own }, Resource::Transient { peer, .. }) if own == peer => Some(Relation::Own),
        // Only who has a session has peers, whatever a fact claims.
        (
            Device { .. } | Transient { .. },
            Resource::Account { is_peer: true, .. } | Resource::Transient { is_peer: true, .. },
        ) => Some(Relation::Peer),
        (Device { .. } | Transient { .. }, Resource::Account { .. } | Resource::Transient { .. })
        | (Anonymous | Admin, Resource::Account { .. }) => Some(Relation::Stranger),
        // It is no way in, and the operator has nothing of it to read or to shut out.
        (Anonymous | Admin, Resource::Transient { .. }) => None,
    }
}

/// The table, in two halves. No wildcard: an actor, action or relation that is added later does not compile until each line
/// about it is written.
const fn allows(role: Role, action: Action, relation: Relation) -> bool {
    allows_of_accounts(role, action, relation) || allows_of_peers(role, action, relation)
}

const fn allows_of_accounts(role: Role, action: Action, relation: Relation) -> bool {
    use Action as A;
    use Relation::{Own, Peer, Server, Stranger};
    use Role::{Admin, Anonymous, Device, Transient};
    match (action, role, relation) {
        // The way in: of the server, for those who are not in.
        (A::Register | A::BeginTransient, Anonymous, Server) => true,
        (A::Register | A::BeginTransient, Anonymous, Own | Peer | Stranger) => false,
        (A::Register | A::BeginTransient, Device | Transient | Admin, Server | Own | Peer | Stranger) => {
            false
        }
        // The way in: of an account. Until the proof held, every account is a stranger's.
        (A::Login | A::AddDevice, Anonymous, Stranger) => true,
        (A::Login | A::AddDevice, Anonymous, Server | Own | Peer) => false,
        (A::Login | A::AddDevice, Device | Transient | Admin, Server | Own | Peer | Stranger) => false,
        // What a user reads, and the operator too.
        (A::ReadProfile | A::ListDevices, Device, Own) => true,
        (A::ReadProfile | A::ListDevices, Device, Server | Peer | Stranger) => false,
        (A::ReadProfile | A::ListDevices, Admin, Stranger) => true,
        (A::ReadProfile | A::ListDevices, Admin, Server | Own | Peer) => false,
        (A::ReadProfile | A::ListDevices, Anonymous | Transient, Server | Own | Peer | Stranger) => false,
        // A lost device is shut out by its user or by the operator.
        (A::RevokeDevice, Device, Own) => true,
        (A::RevokeDevice, Device, Server | Peer | Stranger) => false,
        (A::RevokeDevice, Admin, Stranger) => true,
        (A::RevokeDevice, Admin, Server | Own | Peer) => false,
        (A::RevokeDevice, Anonymous | Transient, Server | Own | Peer | Stranger) => false,
        // The user's alone. The operator of a server can read its disk; the table gives no comfort in it.
        (A::ChangePassword | A::SetDisplayName | A::Deregister, Device, Own) => true,
        (A::ChangePassword | A::SetDisplayName | A::Deregister, Device, Server | Peer | Stranger) => false,
        (
            A::ChangePassword | A::SetDisplayName | A::Deregister,
            Anonymous | Transient | Admin,
            Server | Own | Peer | Stranger,
        ) => false,
        (A::ReadValues | A::WriteValues, Device, Own) => true,
        (A::ReadValues | A::WriteValues, Device, Server | Peer | Stranger) => false,
        (A::ReadValues | A::WriteValues, Anonymous | Transient | Admin, Server | Own | Peer | Stranger) => {
            false
        }
        // The operator's alone.
        (A::ResetPassword | A::SetBlocked | A::DeleteAccount, Admin, Stranger) => true,
        (A::ResetPassword | A::SetBlocked | A::DeleteAccount, Admin, Server | Own | Peer) => false,
        (
            A::ResetPassword | A::SetBlocked | A::DeleteAccount,
            Anonymous | Device | Transient,
            Server | Own | Peer | Stranger,
        ) => false,
        (A::ListAccounts, Admin, Server) => true,
        (A::ListAccounts, Admin, Own | Peer | Stranger) => false,
        (A::ListAccounts, Anonymous | Device | Transient, Server | Own | Peer | Stranger) => false,
        // In the other half.
        (
            A::FindPeer
            | A::AskPeer
            | A::AnswerPeer
            | A::BlockPeer
            | A::RemovePeer
            | A::ReadPeers
            | A::Vouch
            | A::Relay,
            Anonymous | Device | Transient | Admin,
            Server | Own | Peer | Stranger,
        ) => false,
    }
}

const fn allows_of_peers(role: Role, action: Action, relation: Relation) -> bool {
    use Action as A;
    use Relation::{Own, Peer, Server, Stranger};
    use Role::{Admin, Anonymous, Device, Transient};
    match (action, role, relation) {
        (A::FindPeer, Device | Transient, Server) => true,
        (A::FindPeer, Device | Transient, Own | Peer | Stranger) => false,
        // Whether the act fits what the two have agreed is the table of consent's to say.
        (A::AskPeer | A::AnswerPeer | A::BlockPeer | A::RemovePeer, Device | Transient, Peer | Stranger) => {
            true
        }
        (A::AskPeer | A::AnswerPeer | A::BlockPeer | A::RemovePeer, Device | Transient, Server | Own) => {
            false
        }
        // Nothing goes to one who has not agreed (R-P2P-2).
        (A::Relay, Device | Transient, Peer) => true,
        (A::Relay, Device | Transient, Server | Own | Stranger) => false,
        (A::ReadPeers, Device | Transient, Own) => true,
        (A::ReadPeers, Device | Transient, Server | Peer | Stranger) => false,
        // A session without an account is its one device.
        (A::Vouch, Device, Own) => true,
        (A::Vouch, Device, Server | Peer | Stranger) => false,
        (A::Vouch, Transient, Server | Own | Peer | Stranger) => false,
        (
            A::FindPeer
            | A::AskPeer
            | A::AnswerPeer
            | A::BlockPeer
            | A::RemovePeer
            | A::ReadPeers
            | A::Vouch
            | A::Relay,
            Anonymous | Admin,
            Server | Own | Peer | Stranger,
        ) => false,
        // In the other half.
        (
            A::Register
            | A::BeginTransient
            | A::Login
            | A::AddDevice
            | A::ReadProfile
            | A::ListDevices
            | A::RevokeDevice
            | A::ChangePassword
            | A::SetDisplayName
            | A::Deregister
            | A::ReadValues
            | A::WriteValues
            | A::ResetPassword
            | A::SetBlocked
            | A::DeleteAccount
            | A::ListAccounts,
            Anonymous | Device | Transient | Admin,
            Server | Own | Peer | Stranger,
        ) => false,
    }
}
