//! The naive model: what devices asked for, what they were told, and what follows from it. It knows no protocol.

use citadel_crypt::handshake::{Cid, RefusalCode};
use std::collections::BTreeMap;

/// What everybody knows together. Devices and users are numbers.
#[derive(Default)]
pub(super) struct Model {
    pub(super) members: BTreeMap<(Cid, usize), Member>,
    pub(super) accounts: BTreeMap<Cid, Account>,
    /// How often somebody asked to register a user.
    pub(super) asked: BTreeMap<usize, u32>,
    pub(super) granted: usize,
    pub(super) refused: usize,
    pub(super) unanswered: usize,
}

/// A device in an account.
#[derive(Default)]
pub(super) struct Member {
    /// It was told that it has a session of the account.
    pub(super) is_acked: bool,
    /// Somebody asked to shut it out.
    pub(super) may_be_revoked: bool,
    pub(super) revoked: Option<By>,
    /// What its value may be: the last acknowledged, and what was asked for since.
    pub(super) values: Vec<u64>,
}

/// Who shut a device out, or removed an account, and heard so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// Its own session ends last, a little later.
    Itself,
    Other,
}

/// An account that somebody got a session of.
pub(super) struct Account {
    pub(super) user: usize,
    /// Passwords that were asked for after the first.
    pub(super) passwords: Vec<String>,
    pub(super) may_be_removed: bool,
    /// The device that removed it and heard so.
    pub(super) removed_by: Option<usize>,
}

/// How a device asks for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Register,
    Login,
    /// With the password of that account, or with a wrong one.
    AddDevice(Option<Cid>),
}

impl Model {
    /// The account of a user that must be there: somebody was told so, and nobody asked to remove it.
    pub(super) fn existing(&self, user: usize) -> Option<Cid> {
        let stands = |account: &Account| account.user == user && !account.may_be_removed;
        self.accounts.iter().find(|(_, account)| stands(account)).map(|(cid, _)| *cid)
    }

    /// The account of a user in which a device must be.
    pub(super) fn membership(&self, user: usize, device: usize) -> Option<Cid> {
        let cid = self.existing(user)?;
        let member = self.members.get(&(cid, device))?;
        (member.is_acked && !member.may_be_revoked).then_some(cid)
    }

    pub(super) fn member(&mut self, cid: Cid, device: usize) -> &mut Member {
        self.members.entry((cid, device)).or_default()
    }

    /// A device was told that it has a session.
    pub(super) fn on_granted(&mut self, user: usize, device: usize, kind: Kind, cid: Cid) {
        assert_ne!(kind, Kind::AddDevice(None), "a wrong password let device {device} in");
        if let Some(existing) = self.existing(user) {
            assert_eq!(existing, cid, "user {user} has two accounts");
        }
        self.granted += 1;
        self.member(cid, device).is_acked = true;
        let new = || Account { user, passwords: Vec::new(), may_be_removed: false, removed_by: None };
        let account = self.accounts.entry(cid).or_insert_with(new);
        assert_eq!(account.user, user, "an account with two names");
    }

    /// A device was told no.
    pub(super) fn on_refused(
        &mut self,
        (user, device): (usize, usize),
        kind: Kind,
        code: RefusalCode,
        is_creator: bool,
    ) {
        self.refused += 1;
        let right = match kind {
            Kind::Register => RefusalCode::USER_TAKEN,
            Kind::Login | Kind::AddDevice(_) => RefusalCode::CREDENTIALS,
        };
        assert_eq!(code, right, "{kind:?} of device {device}");
        let existing = self.existing(user);
        let is_unchanged =
            |cid: &Cid| self.accounts.get(cid).is_some_and(|account| account.passwords.is_empty());
        let member = self.membership(user, device);
        match kind {
            Kind::Register => {
                assert!(self.asked.get(&user) > Some(&1), "user {user} is taken, by nobody");
                let is_again = is_creator && member.as_ref().is_some_and(is_unchanged);
                assert!(!is_again, "device {device} registered user {user}, and is told that it is taken");
            }
            Kind::Login => assert_eq!(member, None, "device {device} of user {user} is not let in"),
            Kind::AddDevice(Some(cid)) if existing == Some(cid) && is_unchanged(&cid) => {
                let member = self.members.get(&(cid, device));
                let was_asked_out = member.is_some_and(|member| member.may_be_revoked);
                assert!(was_asked_out, "device {device} has the password of user {user} and is not let in");
            }
            Kind::AddDevice(_) => {}
        }
    }

    /// Devices of an account that were told so, other than one.
    pub(super) fn others(&self, cid: Cid, than: usize) -> Vec<usize> {
        let of = self
            .members
            .iter()
            .filter(|((account, device), member)| *account == cid && *device != than && member.is_acked);
        of.map(|((_, device), _)| *device).collect()
    }

    /// Whether a device may have a session of an account, as far as anybody was told. `is_calm`: nothing is under way.
    pub(super) fn may_have_session(&self, cid: Cid, device: usize, is_calm: bool) -> bool {
        let revoked = self.members.get(&(cid, device)).and_then(|member| member.revoked);
        let removed = self.accounts.get(&cid).and_then(|account| account.removed_by);
        let removed = removed.map(|by| if by == device { By::Itself } else { By::Other });
        [revoked, removed].into_iter().flatten().all(|by| by == By::Itself && !is_calm)
    }
}
