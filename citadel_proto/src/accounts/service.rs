//! What a session's user asks of the account: who may, and what it comes to.
//!
//! ```text
//! any request   standing ─ device live, account not blocked ─▶ its own step(s) ─▶ answer; else Gone
//! password      confirming ─ right ─▶ hashing ─▶ updating ─ changed meanwhile ─▶ again, a few times
//! display name  reading ─▶ updating ─ changed meanwhile ─▶ again, a few times
//! ```
//!
//! The account is the session's, given by the handshake: no request names one. A session whose device was revoked a moment
//! ago is closing; until it has, its requests find it gone.

use super::authorize::{Action, Actor, Resource, authorize};
use super::limits::Limits;
use super::message::{AskError, Profile, RequestBody, ResponseBody};
use super::password::Verified;
use super::step::{Fact, Failure, Machine, Need, Next};
use crate::backend::{Account, AccountChange, Device, PasswordHash, RevokeDevices, Space, UnixTime};
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DisplayName, Password};

/// Tries to change an account that others change at the same time.
const TRIES: u8 = 4;

/// An answer, and what follows from it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: ResponseBody,
    /// Devices of the account whose sessions close, now that the change is durable.
    pub(super) closes: Vec<PeerId>,
}

/// What is known of a request from the start.
pub(super) struct Context<'a> {
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) at: UnixTime,
    pub(super) cid: Cid,
    pub(super) peer: PeerId,
}

/// The machine of one request.
pub(super) struct Service<'a> {
    context: Context<'a>,
    phase: Phase,
}

enum Phase {
    /// Waits for the device.
    Device(RequestBody),
    /// Waits for the account.
    Standing(RequestBody),
    /// Waits for the one step that the request has.
    Asked,
    Revoking(PeerId),
    Confirming {
        change: Change,
        account: Account,
    },
    Hashing {
        change: Change,
        account: Account,
    },
    Updating {
        change: Change,
        tries: u8,
    },
    /// Somebody else was first; waits for the account as it is now.
    Rereading {
        change: Change,
        tries: u8,
    },
    /// Waits for the devices whose sessions end with the account.
    Leaving,
    Removing(Vec<PeerId>),
}

/// A change of the account.
enum Change {
    DisplayName(DisplayName),
    Password {
        old: Password,
        new: Password,
        revoke_others: bool,
    },
    /// The same, once the old one was right.
    Hash {
        hash: PasswordHash,
        confirmed: PasswordHash,
        revoke_others: bool,
    },
}

type Step<'a> = Next<Service<'a>, Answer>;

/// Begins; `actor` is whoever the handshake proved.
pub(super) fn begin<'a>(
    actor: &Actor,
    body: RequestBody,
    context: impl FnOnce(Cid, PeerId) -> Context<'a>,
) -> Step<'a> {
    let Actor::Device { cid, peer } = *actor else {
        // Without an account there is nothing that a request could be about; the table says so too.
        let is_allowed = authorize(actor, action(&body), &Resource::Server).is_ok();
        return fail(if is_allowed { AskError::Gone } else { AskError::Denied });
    };
    if authorize(actor, action(&body), &Resource::Account { cid, is_peer: false }).is_err() {
        return fail(AskError::Denied);
    }
    Next::Ask(Service { context: context(cid, peer), phase: Phase::Device(body) }, Need::Device(cid, peer))
}

const fn action(body: &RequestBody) -> Action {
    match body {
        RequestBody::Profile => Action::ReadProfile,
        RequestBody::Devices => Action::ListDevices,
        RequestBody::RevokeDevice { .. } => Action::RevokeDevice,
        RequestBody::ChangePassword { .. } => Action::ChangePassword,
        RequestBody::SetDisplayName { .. } => Action::SetDisplayName,
        RequestBody::Deregister => Action::Deregister,
        RequestBody::Get { .. } | RequestBody::List { .. } => Action::ReadValues,
        RequestBody::Put { .. } | RequestBody::Delete { .. } => Action::WriteValues,
    }
}

fn done<'a>(response: ResponseBody) -> Step<'a> {
    Next::Done(Answer { response, closes: Vec::new() })
}

fn fail<'a>(error: AskError) -> Step<'a> {
    done(ResponseBody::Failed(error))
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoAccount => Self::Gone,
            Failure::Version(found) => Self::Version(found),
            Failure::Revision => Self::Conflict,
            Failure::TooLong => Self::TooLong,
            Failure::Quota => Self::Quota,
            Failure::Busy => Self::Busy,
            Failure::UserTaken
            | Failure::CidTaken
            | Failure::DeviceKnown
            | Failure::TooManyDevices
            | Failure::Unavailable => Self::Unavailable,
        }
    }
}

impl<'a> Machine for Service<'a> {
    type Verdict = Answer;

    fn tell(self, fact: Fact) -> Step<'a> {
        let Self { context, phase } = self;
        match (phase, fact) {
            (Phase::Updating { change, tries }, Fact::Failed(Failure::Revision)) if tries > 0 => {
                let need = Need::Account(context.cid);
                context.ask(Phase::Rereading { change, tries: tries - 1 }, need)
            }
            (_, Fact::Failed(failure)) => fail(failure.into()),
            (Phase::Device(body), Fact::Device(device)) => match device {
                Some(device) if device.is_live() => {
                    let need = Need::Account(context.cid);
                    context.ask(Phase::Standing(body), need)
                }
                _ => fail(AskError::Gone),
            },
            (Phase::Standing(body), Fact::Account(account)) => match account {
                Some(account) if !account.blocked => context.on_standing(body, account),
                _ => fail(AskError::Gone),
            },
            (Phase::Asked, fact) => on_asked(fact),
            (Phase::Revoking(peer), Fact::Revoked(was_live)) => {
                // Closed again, too: whoever revoked it before may have been cut off in between.
                Next::Done(Answer { response: ResponseBody::Was(was_live), closes: vec![peer] })
            }
            (Phase::Confirming { change, account }, Fact::Verified(verified)) => {
                context.on_confirmed(change, account, verified)
            }
            (Phase::Hashing { change, account }, Fact::Hashed(hash)) => {
                let confirmed = account.password.clone();
                let revoke_others = matches!(change, Change::Password { revoke_others: true, .. });
                context.update(Change::Hash { hash, confirmed, revoke_others }, account, TRIES)
            }
            (Phase::Updating { .. }, Fact::Updated(updated)) => {
                Next::Done(Answer { response: ResponseBody::Done, closes: updated.revoked })
            }
            (Phase::Rereading { change, tries }, Fact::Account(account)) => match account {
                Some(account) => context.on_reread(change, account, tries),
                None => fail(AskError::Gone),
            },
            (Phase::Leaving, Fact::Devices(devices)) => {
                let peers = devices.iter().map(|device| device.peer).collect();
                let need = Need::Remove(context.cid);
                context.ask(Phase::Removing(peers), need)
            }
            (Phase::Removing(peers), Fact::Removed(was_there)) => {
                Next::Done(Answer { response: ResponseBody::Was(was_there), closes: peers })
            }
            _ => fail(AskError::Unavailable),
        }
    }
}

/// The answer to a request of one step.
fn on_asked<'a>(fact: Fact) -> Step<'a> {
    done(match fact {
        Fact::Devices(devices) => ResponseBody::Devices(in_order(devices)),
        Fact::Value(value) => ResponseBody::Value(value),
        Fact::Version(version) => ResponseBody::Version(version),
        Fact::Deleted(was_there) => ResponseBody::Was(was_there),
        Fact::Page(page) => ResponseBody::Page(page),
        _ => ResponseBody::Failed(AskError::Unavailable),
    })
}

impl<'a> Context<'a> {
    fn ask(self, phase: Phase, need: Need) -> Step<'a> {
        Next::Ask(Service { context: self, phase }, need)
    }

    fn on_standing(self, body: RequestBody, account: Account) -> Step<'a> {
        let space = |peer| Space { cid: self.cid, peer };
        let need = match body {
            RequestBody::Profile => {
                let Account { user, display_name, created, .. } = account;
                return done(ResponseBody::Profile(Profile { cid: self.cid, user, display_name, created }));
            }
            RequestBody::SetDisplayName { display_name } => {
                return self.update(Change::DisplayName(display_name), account, TRIES);
            }
            RequestBody::ChangePassword { old, new, revoke_others } => {
                return self.confirm(Change::Password { old, new, revoke_others }, account);
            }
            RequestBody::RevokeDevice { peer } => {
                let need = Need::RevokeDevice { cid: self.cid, peer };
                return self.ask(Phase::Revoking(peer), need);
            }
            RequestBody::Deregister => {
                let need = Need::Devices(self.cid);
                return self.ask(Phase::Leaving, need);
            }
            RequestBody::Devices => Need::Devices(self.cid),
            RequestBody::Get { about, key } => Need::Value { space: space(about), key },
            RequestBody::Put { about, key, value, expect } => {
                Need::Put { space: space(about), key, value, expect }
            }
            RequestBody::Delete { about, key, expect } => Need::Delete { space: space(about), key, expect },
            RequestBody::List { about, prefix, after, limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Need::List { space: space(about), prefix, after, limit }
            }
        };
        self.ask(Phase::Asked, need)
    }

    /// The old password is tried, if this device has tries left.
    fn confirm(self, change: Change, account: Account) -> Step<'a> {
        let Change::Password { old, .. } = &change else { return fail(AskError::Unavailable) };
        if let Err(wait) = self.limits.confirm(self.now, self.cid.0, self.peer.as_bytes()) {
            return fail(AskError::RateLimited(wait));
        }
        let need = Need::Verify { password: old.clone(), against: Some(account.password.clone()) };
        self.ask(Phase::Confirming { change, account }, need)
    }

    fn on_confirmed(self, change: Change, account: Account, verified: Verified) -> Step<'a> {
        match (verified, change) {
            (Verified::Right { .. }, Change::Password { old, new, revoke_others }) => {
                let need = Need::Hash(new.clone());
                self.ask(
                    Phase::Hashing { change: Change::Password { old, new, revoke_others }, account },
                    need,
                )
            }
            _ => fail(AskError::Credentials),
        }
    }

    fn on_reread(self, change: Change, account: Account, tries: u8) -> Step<'a> {
        match &change {
            // The old password was right for a hash that is not the account's any more.
            Change::Hash { confirmed, .. } if *confirmed != account.password => fail(AskError::Conflict),
            _ if account.blocked => fail(AskError::Gone),
            _ => self.update(change, account, tries),
        }
    }

    fn update(self, change: Change, account: Account, tries: u8) -> Step<'a> {
        let mut wanted = AccountChange::default();
        match &change {
            Change::DisplayName(name) => wanted.display_name = Some(name.clone()),
            Change::Hash { hash, revoke_others, .. } => {
                wanted.password = Some(hash.clone());
                let revoke = RevokeDevices { except: Some(self.peer), at: self.at };
                wanted.revoke = revoke_others.then_some(revoke);
            }
            Change::Password { .. } => return fail(AskError::Unavailable),
        }
        let need = Need::Update { cid: account.cid, expected: account.revision, change: Box::new(wanted) };
        self.ask(Phase::Updating { change, tries }, need)
    }
}

/// Devices as they are listed: the live ones first, each part by name.
fn in_order(mut devices: Vec<Device>) -> Vec<Device> {
    devices.sort_by(|a, b| (a.revoked, &a.name, a.added).cmp(&(b.revoked, &b.name, b.added)));
    devices
}
