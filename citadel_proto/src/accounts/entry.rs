//! Whether a proven identity gets a session, and of which account.
//!
//! ```text
//! Register    looking ─ none ─▶ hashing ─▶ numbering ─▶ creating ─▶ yes
//!                ▲ └─ taken ─▶ reclaiming ─ own device ─▶ proving ─ right ─▶ yes; else UserTaken
//!                └────────────── name taken meanwhile ──────┘
//! Login       recognising ─ live device, not blocked ─▶ yes; else Credentials
//! AddDevice   looking ─▶ verifying ─▶ recognising ─ unknown ─▶ adding ─▶ [renewing ─▶ storing] ─▶ yes
//! ```
//!
//! Invariants. Every no for credentials has one code, and the path to it asks for the same things in the same order,
//! whatever was wrong: one check of a password for `AddDevice` (against a decoy where there is nothing to check
//! against), none for `Login`. A yes follows the durable write that it speaks of.

use super::authorize::{Action, Actor, Resource, authorize};
use super::config::Policy;
use super::limits::Limits;
use super::password::Verified;
use super::step::{Create, Fact, Failure, Machine, Need, Next};
use crate::backend::{Account, AccountChange, PasswordHash};
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Cid, DeviceName, DisplayName, Grant, Password, RefusalCode, Refused, Request, UserName,
};
use std::net::IpAddr;

/// Tries to find a free account id, or to create an account whose name is fought over: each fails with a chance of 2^-64
/// or because somebody removed an account in that instant.
const TRIES: u8 = 8;

/// No account has it: what is asked for in the place of one that there is not.
const NOBODY: Cid = Cid(0);

/// A yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// What to grant.
    pub grant: Grant,
    /// Whether older sessions of the same device and account give way once this one exists (R-EST-5).
    pub supersedes: bool,
}

/// What is known of an attempt from the start.
pub(super) struct Attempt<'a> {
    pub(super) policy: &'a Policy,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) source: IpAddr,
    pub(super) peer: PeerId,
}

/// The machine of one attempt.
pub(super) struct Entry<'a> {
    attempt: Attempt<'a>,
    phase: Phase,
}

/// A registration as it was asked for.
struct Form {
    user: UserName,
    display_name: DisplayName,
    password: Password,
    device: DeviceName,
    tries: u8,
}

enum Phase {
    /// Register: waits for the account of that name, if there is one.
    Looking(Form),
    /// Waits for the device in the account that has the name.
    Reclaiming {
        form: Form,
        account: Account,
    },
    /// Waits for the check of the password.
    Proving {
        account: Account,
    },
    Hashing(Form),
    Numbering {
        form: Form,
        hash: PasswordHash,
    },
    Creating {
        form: Form,
        hash: PasswordHash,
        cid: Cid,
    },
    /// Login: waits for the account and the device in it.
    Recognising,
    /// AddDevice: waits for the account.
    Joining(Join),
    /// Waits for the check of the password. Without an account nothing makes it a yes.
    Verifying {
        join: Join,
        account: Option<Account>,
    },
    /// Waits for the device in the account.
    Meeting {
        join: Join,
        account: Account,
        is_outdated: bool,
    },
    Adding {
        join: Join,
        account: Account,
        is_outdated: bool,
    },
    /// The device is added; waits for the dearer hash.
    Renewing(Account),
    /// Waits until it is stored.
    Storing(Cid),
}

/// A device to be added as it was asked for.
struct Join {
    password: Password,
    device: DeviceName,
    /// Whether the limit of the user name left this attempt a chance.
    counts: bool,
}

type Step<'a> = Next<Entry<'a>, Result<Decision, Refused>>;

/// Begins.
pub(super) fn begin<'a>(attempt: Attempt<'a>, request: &Request) -> Step<'a> {
    match request {
        Request::Register { user, display_name, password, device } => {
            if !attempt.policy.registration || denied(Action::Register, Resource::Server) {
                return no(RefusalCode::POLICY);
            }
            if let Err(wait) = attempt.limits.register(attempt.now, attempt.source) {
                return Next::Done(Err(Refused::after(RefusalCode::RATE_LIMITED, wait)));
            }
            let form = Form {
                user: user.clone(),
                display_name: display_name.clone(),
                password: password.clone(),
                device: device.clone(),
                tries: TRIES,
            };
            look(attempt, form)
        }
        Request::Login { user } => {
            let need = Need::Member(user.clone(), attempt.peer);
            ask(attempt, Phase::Recognising, need)
        }
        Request::AddDevice { user, password, device } => {
            if let Err(wait) = attempt.limits.try_password(attempt.now, attempt.source) {
                return Next::Done(Err(Refused::after(RefusalCode::RATE_LIMITED, wait)));
            }
            let counts = attempt.limits.try_user(attempt.now, user.as_str());
            let join = Join { password: password.clone(), device: device.clone(), counts };
            ask(attempt, Phase::Joining(join), Need::AccountOf(user.clone()))
        }
        Request::Transient
            if attempt.policy.transient && !denied(Action::BeginTransient, Resource::Server) =>
        {
            Next::Done(Ok(attempt.without_account()))
        }
        Request::Transient => no(RefusalCode::TRANSIENT),
        Request::Identity if attempt.policy.identity => Next::Done(Ok(attempt.without_account())),
        Request::Identity => no(RefusalCode::POLICY),
        // A hub answers these from its sessions; one that comes here has none.
        Request::Resume(_) => no(RefusalCode::RESUME_UNKNOWN),
        _ => no(RefusalCode::REQUEST),
    }
}

fn denied(action: Action, resource: Resource) -> bool {
    authorize(&Actor::Anonymous, action, &resource).is_err()
}

fn no<'a>(code: RefusalCode) -> Step<'a> {
    Next::Done(Err(code.into()))
}

fn ask<'a>(attempt: Attempt<'a>, phase: Phase, need: Need) -> Step<'a> {
    Next::Ask(Entry { attempt, phase }, need)
}

fn look<'a>(attempt: Attempt<'a>, form: Form) -> Step<'a> {
    let user = form.user.clone();
    ask(attempt, Phase::Looking(form), Need::AccountOf(user))
}

impl Attempt<'_> {
    fn of(&self, cid: Cid) -> Decision {
        Decision { grant: Grant { cid: Some(cid), resume: self.policy.resume }, supersedes: true }
    }

    fn without_account(&self) -> Decision {
        Decision { grant: Grant { cid: None, resume: self.policy.resume }, supersedes: false }
    }
}

impl<'a> Machine for Entry<'a> {
    type Verdict = Result<Decision, Refused>;

    fn tell(self, fact: Fact) -> Step<'a> {
        let Self { attempt, phase } = self;
        match (phase, fact) {
            (Phase::Looking(form), Fact::Account(account)) => attempt.on_looked(form, account),
            (Phase::Reclaiming { form, account }, Fact::Device(device)) => {
                let is_own = device.is_some_and(|device| device.is_live()) && !account.blocked;
                attempt.on_reclaimed(form, account, is_own)
            }
            (Phase::Proving { account }, Fact::Verified(verified)) => match verified {
                Verified::Right { .. } => Next::Done(Ok(attempt.of(account.cid))),
                Verified::Wrong => no(RefusalCode::USER_TAKEN),
            },
            (Phase::Hashing(form), Fact::Hashed(hash)) => {
                ask(attempt, Phase::Numbering { form, hash }, Need::FreshCid)
            }
            (Phase::Numbering { form, hash }, Fact::Cid(cid)) => attempt.on_numbered(form, hash, cid),
            (Phase::Creating { cid, .. }, Fact::Done) => Next::Done(Ok(attempt.of(cid))),
            (Phase::Creating { form, hash, .. }, Fact::Failed(failure)) => {
                attempt.on_not_created(form, hash, failure)
            }
            (Phase::Recognising, Fact::Member(member)) => match member {
                Some(member) if member.is_live() => Next::Done(Ok(attempt.of(member.account.cid))),
                _ => attempt.on_login_failed(),
            },
            (Phase::Joining(join), Fact::Account(account)) => attempt.on_joining(join, account),
            (Phase::Verifying { join, account }, Fact::Verified(verified)) => {
                attempt.on_verified(join, account, verified)
            }
            (Phase::Meeting { join, account, is_outdated }, Fact::Device(device)) => match device {
                Some(device) if device.is_live() => attempt.on_added(join, account, is_outdated),
                // Revoked for good: its key may be in other hands. A device that is itself again makes a new identity.
                Some(_) => no(RefusalCode::CREDENTIALS),
                None => {
                    let need = Need::AddDevice { cid: account.cid, name: join.device.clone() };
                    ask(attempt, Phase::Adding { join, account, is_outdated }, need)
                }
            },
            (Phase::Adding { join, account, is_outdated }, fact) => {
                attempt.on_add(join, account, is_outdated, &fact)
            }
            (Phase::Renewing(account), Fact::Hashed(hash)) => {
                let change = Box::new(AccountChange { password: Some(hash), ..AccountChange::default() });
                let need = Need::Update { cid: account.cid, expected: account.revision, change };
                ask(attempt, Phase::Storing(account.cid), need)
            }
            // The device is added: a hash that cannot be renewed now is renewed another time.
            (Phase::Renewing(account), _) => Next::Done(Ok(attempt.of(account.cid))),
            (Phase::Storing(cid), _) => Next::Done(Ok(attempt.of(cid))),
            (_, Fact::Failed(Failure::Busy)) => no(RefusalCode::BUSY),
            _ => no(RefusalCode::INTERNAL),
        }
    }
}

impl<'a> Attempt<'a> {
    fn on_looked(self, form: Form, account: Option<Account>) -> Step<'a> {
        match account {
            None => {
                let password = form.password.clone();
                ask(self, Phase::Hashing(form), Need::Hash(password))
            }
            Some(account) => {
                let need = Need::Device(account.cid, self.peer);
                ask(self, Phase::Reclaiming { form, account }, need)
            }
        }
    }

    /// A client whose registration succeeded, and who never heard so, asks again: with the same device and password
    /// that is a login. Anyone else learns what a registration tells anyway, that the name is taken.
    fn on_reclaimed(self, form: Form, account: Account, is_own: bool) -> Step<'a> {
        if !is_own || !self.limits.try_user(self.now, form.user.as_str()) {
            return no(RefusalCode::USER_TAKEN);
        }
        let need = Need::Verify { password: form.password, against: Some(account.password.clone()) };
        ask(self, Phase::Proving { account }, need)
    }

    fn on_numbered(self, form: Form, hash: PasswordHash, cid: Cid) -> Step<'a> {
        if cid == NOBODY {
            return self.on_not_created(form, hash, Failure::CidTaken);
        }
        let create = Create {
            cid,
            user: form.user.clone(),
            display_name: form.display_name.clone(),
            password: hash.clone(),
            device: form.device.clone(),
        };
        ask(self, Phase::Creating { form, hash, cid }, Need::Create(Box::new(create)))
    }

    fn on_not_created(self, mut form: Form, hash: PasswordHash, failure: Failure) -> Step<'a> {
        let Some(tries) = form.tries.checked_sub(1) else { return no(RefusalCode::INTERNAL) };
        form.tries = tries;
        match failure {
            Failure::CidTaken => ask(self, Phase::Numbering { form, hash }, Need::FreshCid),
            Failure::UserTaken => look(self, form),
            Failure::Busy => no(RefusalCode::BUSY),
            _ => no(RefusalCode::INTERNAL),
        }
    }

    fn on_login_failed(self) -> Step<'a> {
        match self.limits.fail_login(self.now, self.source) {
            Ok(()) => no(RefusalCode::CREDENTIALS),
            Err(wait) => Next::Done(Err(Refused::after(RefusalCode::RATE_LIMITED, wait))),
        }
    }

    fn on_joining(self, join: Join, account: Option<Account>) -> Step<'a> {
        let account = account.filter(|account| {
            let resource = Resource::Account { cid: account.cid, is_peer: false };
            join.counts && !account.blocked && !denied(Action::AddDevice, resource)
        });
        let against = account.as_ref().map(|account| account.password.clone());
        let need = Need::Verify { password: join.password.clone(), against };
        ask(self, Phase::Verifying { join, account }, need)
    }

    fn on_verified(self, join: Join, account: Option<Account>, verified: Verified) -> Step<'a> {
        match (account, verified) {
            (Some(account), Verified::Right { is_outdated }) => {
                let need = Need::Device(account.cid, self.peer);
                ask(self, Phase::Meeting { join, account, is_outdated }, need)
            }
            _ => no(RefusalCode::CREDENTIALS),
        }
    }

    fn on_add(self, join: Join, account: Account, is_outdated: bool, fact: &Fact) -> Step<'a> {
        match fact {
            Fact::Done => self.on_added(join, account, is_outdated),
            // Who gets here knows the password: why it does not work is no secret to them.
            Fact::Failed(Failure::TooManyDevices) => no(RefusalCode::POLICY),
            // Another attempt of this very device was first.
            Fact::Failed(Failure::DeviceKnown) => {
                let need = Need::Device(account.cid, self.peer);
                ask(self, Phase::Meeting { join, account, is_outdated }, need)
            }
            Fact::Failed(Failure::NoAccount) => no(RefusalCode::CREDENTIALS),
            _ => no(RefusalCode::INTERNAL),
        }
    }

    fn on_added(self, join: Join, account: Account, is_outdated: bool) -> Step<'a> {
        if is_outdated {
            return ask(self, Phase::Renewing(account), Need::Hash(join.password));
        }
        Next::Done(Ok(self.of(account.cid)))
    }
}
