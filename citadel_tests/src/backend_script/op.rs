//! One operation and its answer.

use super::model::Model;
use super::script::{
    NOW, QUOTA, cid, device_name, display_name, item, pair, password, peer, ticket, user, vouch,
};
use citadel_crypt::handshake::Cid;
use citadel_proto::backend::{
    AccountChange, Backend, BackendError, Device, Expect, MailId, NewAccount, PairLimits, Revision,
    RevokeDevices, Space, UnixTime, ValueVersion,
};
use citadel_proto::peers::Pair;

/// What a caller expects of a value, or of a pair; a version is found in the model when the operation runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Anything; of a pair, that it is as it is.
    Any,
    /// Nothing there.
    Absent,
    /// The version that it has.
    Current,
    /// A version that it never had.
    Wrong,
}

/// An operation. Small numbers stand for cids, users, peers, keys and names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Account, user, first device.
    Create(u8, u8, u8),
    /// Account; whether the revision is the current one; block; display name; whether all devices but one are revoked.
    Update(u8, bool, bool, u8, Option<u8>),
    /// Account.
    Remove(u8),
    /// Account, device.
    AddDevice(u8, u8),
    /// Account, device, time.
    Revoke(u8, u8, u8),
    /// Account, length.
    Push(u8, u16),
    /// Account, up to.
    RemoveMail(u8, u8),
    /// Account, peer, key, length, expectation.
    Put(u8, Option<u8>, u8, u16, Expected),
    /// Account, peer, key, expectation.
    Delete(u8, Option<u8>, u8, Expected),
    /// Account, other account, what the pair is, length of its statements, expectation, most.
    PutPair(u8, u8, u8, u16, Expected, u8),
    /// Account, subject, signer, length.
    PutVouch(u8, u8, u8, u16),
    /// Name, length, expiry.
    PutTicket(u8, u16, u8),
    /// Name, time.
    TakeTicket(u8, u8),
    /// Time.
    Purge(u8),
    /// Account.
    Account(u8),
    /// User.
    ByUser(u8),
    /// Account, after, limit.
    Mail(u8, u8, u8),
    /// Account, peer, key.
    Value(u8, Option<u8>, u8),
    /// Account, peer, first byte of the key, after, limit.
    List(u8, Option<u8>, Option<u8>, Option<u8>, u8),
    /// Account, other account.
    Pair(u8, u8),
    /// Account, after, limit.
    Pairs(u8, Option<u8>, u8),
    /// Account.
    Vouches(u8),
}

/// What an operation answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Done.
    Done,
    /// Whether.
    Whether(bool),
    /// With whom an account that was there had pairs.
    Left(Option<Vec<u8>>),
    /// A number: of items, of an item, of a version, of a revision, where 0 is that of none.
    Number(u64),
    /// A revision and the devices revoked with it.
    Updated(u64, Vec<u8>),
    /// The user and revision of an account.
    Account(Option<(u8, u64)>),
    /// Bytes, or none.
    Bytes(Option<Vec<u8>>),
    /// Numbered bytes.
    Items(Vec<(u64, Vec<u8>)>),
    /// A version and a value.
    Value(Option<(u64, Vec<u8>)>),
    /// Keys with versions and values, and whether there are more.
    Page(Vec<(Vec<u8>, u64, Vec<u8>)>, bool),
    /// Revisions and pairs by the other account.
    Pairs(Vec<(u8, u64, Pair)>),
    /// Vouches.
    Vouches(Vec<Vec<u8>>),
    /// The code of an error.
    Error(u32),
}

/// The number of an account.
pub(super) fn number_of(cid: Cid) -> u8 {
    u8::try_from(cid.0 >> 32).expect("accounts have small numbers here")
}

/// The space of an account, or of it about a peer.
pub(super) fn space(of: u8, about: Option<u8>) -> Space {
    Space { cid: cid(of), peer: about.map(cid) }
}

/// The key of a number: some share their first byte, some are empty.
pub(super) fn key(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        n => vec![b'a' + n % 3; usize::from(n)],
    }
}

impl Op {
    /// Runs it on `backend`; what a caller would know beforehand is looked up in `model`.
    pub async fn run(&self, backend: &dyn Backend, model: &Model) -> Answer {
        self.answer(backend, model).await.unwrap_or_else(|error| Answer::Error(error.code()))
    }

    async fn answer(&self, backend: &dyn Backend, model: &Model) -> Result<Answer, BackendError> {
        Ok(match *self {
            Self::Create(account, name, device) => {
                let account = NewAccount {
                    cid: cid(account),
                    user: user(name),
                    display_name: display_name(0),
                    password: password(0),
                    created: UnixTime(1),
                };
                let device = Device::new(peer(device), device_name(device), UnixTime(1));
                backend.create_account(account, device).await?;
                Answer::Done
            }
            Self::Update(account, is_current, blocked, shown, keep) => {
                let revision = if is_current { model.revision(account) } else { u64::MAX };
                let change = AccountChange {
                    password: Some(password(shown)),
                    display_name: Some(display_name(shown)),
                    blocked: Some(blocked),
                    revoke: keep.map(|keep| RevokeDevices { except: Some(peer(keep)), at: UnixTime(9) }),
                };
                let updated = backend.update_account(cid(account), Revision(revision), change).await?;
                Answer::Updated(updated.revision.0, updated.revoked.iter().map(|peer| peer.0[0]).collect())
            }
            Self::Remove(account) => {
                let others = backend.remove_account(cid(account)).await?;
                Answer::Left(others.map(|others| others.into_iter().map(number_of).collect()))
            }
            Self::AddDevice(account, device) => {
                let device = Device::new(peer(device), device_name(device), UnixTime(2));
                backend.add_device(cid(account), device, Model::MOST_DEVICES).await?;
                Answer::Done
            }
            Self::Revoke(account, device, at) => {
                let at = UnixTime(u64::from(at));
                Answer::Whether(backend.revoke_device(cid(account), peer(device), at).await?)
            }
            Self::PutTicket(name, len, expires) => {
                let expires = UnixTime(u64::from(expires));
                backend.put_ticket(&ticket(name), &item(len), expires).await?;
                Answer::Done
            }
            Self::TakeTicket(name, now) => {
                let taken = backend.take_ticket(&ticket(name), UnixTime(u64::from(now))).await?;
                Answer::Bytes(taken.map(|secret| secret.to_vec()))
            }
            Self::Purge(now) => Answer::Number(backend.purge_tickets(UnixTime(u64::from(now))).await?),
            Self::Account(account) => Answer::Account(
                backend.account(cid(account)).await?.map(|a| (a.user.as_str().as_bytes()[0], a.revision.0)),
            ),
            Self::ByUser(name) => Answer::Account(
                backend
                    .account_by_user(&user(name))
                    .await?
                    .map(|a| (a.user.as_str().as_bytes()[0], a.revision.0)),
            ),
            _ => return self.answer_of_items(backend, model).await,
        })
    }

    async fn answer_of_items(&self, backend: &dyn Backend, model: &Model) -> Result<Answer, BackendError> {
        let expect = |account, about, number, expected| match expected {
            Expected::Any => Expect::Any,
            Expected::Absent => Expect::Absent,
            Expected::Current => Expect::Version(ValueVersion(model.version(account, about, number))),
            Expected::Wrong => Expect::Version(ValueVersion(u64::MAX)),
        };
        Ok(match *self {
            Self::Push(account, len) => {
                Answer::Number(backend.push_mail(cid(account), &item(len), QUOTA).await?.0)
            }
            Self::RemoveMail(account, up_to) => {
                Answer::Number(backend.remove_mail(cid(account), MailId(u64::from(up_to))).await?)
            }
            Self::Put(account, about, number, len, expected) => {
                let expect = expect(account, about, number, expected);
                let (space, key) = (space(account, about), key(number));
                Answer::Number(backend.put_value(space, &key, &item(len), expect, QUOTA).await?.0)
            }
            Self::Delete(account, about, number, expected) => {
                let expect = expect(account, about, number, expected);
                let (space, key) = (space(account, about), key(number));
                Answer::Whether(backend.delete_value(space, &key, expect).await?)
            }
            Self::Mail(account, after, limit) => {
                let after = (after > 0).then_some(MailId(u64::from(after)));
                let mail = backend.mail(cid(account), after, usize::from(limit)).await?;
                Answer::Items(mail.into_iter().map(|mail| (mail.id.0, mail.item)).collect())
            }
            Self::Value(account, about, number) => {
                let found = backend.value(space(account, about), &key(number)).await?;
                Answer::Value(found.map(|found| (found.version.0, found.value)))
            }
            Self::List(account, about, first, after, limit) => {
                let prefix: Vec<u8> = first.into_iter().map(|first| b'a' + first % 3).collect();
                let after = after.map(key);
                let of = space(account, about);
                let page = backend.list_values(of, &prefix, after.as_deref(), usize::from(limit)).await?;
                let entries = page.entries.into_iter();
                let entries = entries.map(|e| (e.key, e.versioned.version.0, e.versioned.value)).collect();
                Answer::Page(entries, page.more)
            }
            _ => return self.answer_of_peers(backend, model).await,
        })
    }

    async fn answer_of_peers(&self, backend: &dyn Backend, model: &Model) -> Result<Answer, BackendError> {
        Ok(match *self {
            Self::PutPair(account, other, kind, len, expected, most) => {
                let known = model.pair_revision(account, other);
                let expect = match expected {
                    Expected::Any => known,
                    Expected::Absent => None,
                    Expected::Current => known.or(Some(1)),
                    Expected::Wrong => Some(u64::MAX),
                };
                let requests = Model::MOST_REQUESTS;
                let limits = PairLimits { pairs: usize::from(most), requests, now: NOW };
                let pair = pair(kind, len);
                let (a, b, expect) = (cid(account), cid(other), expect.map(Revision));
                let now = backend.put_pair(a, b, &pair, expect, limits).await?;
                Answer::Number(now.unwrap_or(Revision::NONE).0)
            }
            Self::PutVouch(account, subject, signer, len) => {
                let statement = vouch(subject, signer, len);
                let (subject, signer) = (peer(subject), peer(signer));
                backend.put_vouch(cid(account), subject, signer, &statement, Model::MOST_VOUCHES).await?;
                Answer::Done
            }
            Self::Pair(account, other) => {
                let found = backend.pair(cid(account), cid(other)).await?;
                Answer::Pairs(found.into_iter().map(|found| (other, found.revision.0, found.pair)).collect())
            }
            Self::Pairs(account, after, limit) => {
                let pairs = backend.pairs(cid(account), after.map(cid), usize::from(limit)).await?;
                let pairs = pairs.into_iter();
                Answer::Pairs(
                    pairs.map(|(cid, found)| (number_of(cid), found.revision.0, found.pair)).collect(),
                )
            }
            Self::Vouches(account) => Answer::Vouches(backend.vouches(cid(account)).await?),
            _ => unreachable!("the other operations are answered by the caller"),
        })
    }
}
