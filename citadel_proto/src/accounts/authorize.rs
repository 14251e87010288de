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
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 16] = [
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
        /// Whether it and the actor's account have both agreed to be peers.
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
    if allows(role(actor), action, relation(actor, resource)) { Ok(()) } else { Err(Denied) }
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

fn relation(actor: &Actor, resource: &Resource) -> Relation {
    match (actor, resource) {
        (_, Resource::Server) => Relation::Server,
        (Actor::Device { cid: own, .. }, Resource::Account { cid, .. }) if own == cid => Relation::Own,
        // Only accounts have peers, whatever a fact claims.
        (Actor::Device { .. }, Resource::Account { is_peer: true, .. }) => Relation::Peer,
        (_, Resource::Account { .. }) => Relation::Stranger,
    }
}

/// The table. No wildcard: an actor, action or relation that is added later does not compile until each line about it is
/// written.
const fn allows(role: Role, action: Action, relation: Relation) -> bool {
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
    }
}
