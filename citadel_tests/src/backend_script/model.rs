//! What a backend must answer and hold, said as simply as can be. Error codes are written again here.

use super::dump::{AccountDump, Dump, Values};
use super::op::{Answer, Expected, Op, key};
use super::script::{NOW, QUOTA, display_name, item, pair, password, user, vouch};
use citadel_proto::peers::{Half, Pair, Stance};
use std::collections::BTreeMap;

const USER_TAKEN: Answer = Answer::Error(1);
const CID_TAKEN: Answer = Answer::Error(2);
const DEVICE_KNOWN: Answer = Answer::Error(3);
const OTHER_REVISION: Answer = Answer::Error(4);
const OTHER_VERSION: Answer = Answer::Error(5);
const ONESELF: Answer = Answer::Error(6);
const NO_ACCOUNT: Answer = Answer::Error(16);
const QUOTA_USED: Answer = Answer::Error(35);
const TOO_MANY_DEVICES: Answer = Answer::Error(36);
const TOO_MANY_PAIRS: Answer = Answer::Error(39);
const TOO_MANY_VOUCHES: Answer = Answer::Error(40);
const TOO_MANY_REQUESTS: Answer = Answer::Error(42);
/// What was said by then, and neither answered nor an answer, is over.
const OVER_BEFORE: u64 = 20;

/// The naive store.
#[derive(Clone, Default, Debug)]
pub struct Model {
    /// What it holds.
    pub dump: Dump,
    /// Last mail and last version of each account.
    last: BTreeMap<u8, (u64, u64)>,
    /// Last revision of a pair of each account.
    last_pair: BTreeMap<u8, u64>,
    tickets: BTreeMap<u8, (u16, u8)>,
}

impl Model {
    /// Most live devices that operations ask for.
    pub const MOST_DEVICES: usize = 3;
    /// Most vouches that operations ask for.
    pub const MOST_VOUCHES: usize = 3;
    /// Most requests that operations ask for.
    pub const MOST_REQUESTS: usize = 1;

    /// The revision of an account, as a caller would have read it.
    pub fn revision(&self, account: u8) -> u64 {
        self.dump.accounts.get(&account).map_or(0, |account| account.revision)
    }

    /// The version of a value, as a caller would have read it; 0 is the version of none.
    pub fn version(&self, account: u8, about: Option<u8>, number: u8) -> u64 {
        let found = self.dump.accounts.get(&account).and_then(|a| a.values.get(&(about, key(number))));
        found.map_or(0, |(version, _)| *version)
    }

    /// The revision of a pair, as a caller would have read it.
    pub fn pair_revision(&self, account: u8, other: u8) -> Option<u64> {
        let found = self.dump.accounts.get(&account).and_then(|a| a.pairs.get(&other));
        found.map(|(revision, _)| *revision)
    }

    /// Does what `op` says.
    pub fn apply(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Create(account, name, device) => self.create(account, name, device),
            Op::Remove(account) => {
                self.last.remove(&account);
                self.last_pair.remove(&account);
                self.dump.accounts.values_mut().for_each(|other| drop(other.pairs.remove(&account)));
                let removed = self.dump.accounts.remove(&account);
                Answer::Left(removed.map(|removed| removed.pairs.into_keys().collect()))
            }
            Op::PutTicket(name, len, expires) => {
                self.tickets.insert(name, (len, expires));
                Answer::Done
            }
            Op::TakeTicket(name, now) => {
                let taken = self.tickets.remove(&name).filter(|(_, expires)| now < *expires);
                Answer::Bytes(taken.map(|(len, _)| item(len)))
            }
            Op::Purge(now) => {
                let before = self.tickets.len();
                self.tickets.retain(|_, (_, expires)| now < *expires);
                Answer::Number((before - self.tickets.len()) as u64)
            }
            Op::ByUser(name) => {
                let name = user(name);
                let found = self.dump.accounts.values().find(|a| a.names[0] == name.as_str());
                Answer::Account(found.map(|a| (a.names[0].as_bytes()[0], a.revision)))
            }
            Op::Account(account) => {
                let found = self.dump.accounts.get(&account);
                Answer::Account(found.map(|a| (a.names[0].as_bytes()[0], a.revision)))
            }
            Op::Update(account, ..)
            | Op::AddDevice(account, ..)
            | Op::Revoke(account, ..)
            | Op::Push(account, ..)
            | Op::RemoveMail(account, ..)
            | Op::Put(account, ..)
            | Op::Delete(account, ..)
            | Op::Mail(account, ..)
            | Op::Value(account, ..)
            | Op::List(account, ..) => self.of_account(account, op),
            Op::PutPair(a, b, kind, len, expected, most) => {
                let pair = pair(kind, len);
                self.put_pair([a, b], &pair, expected, most)
            }
            Op::PutVouch(account, ..)
            | Op::Pair(account, _)
            | Op::Pairs(account, ..)
            | Op::Vouches(account) => self.of_peers(account, op),
        }
    }

    fn create(&mut self, account: u8, name: u8, device: u8) -> Answer {
        let name = user(name);
        if self.dump.accounts.values().any(|a| a.names[0] == name.as_str()) {
            return USER_TAKEN;
        }
        if self.dump.accounts.contains_key(&account) {
            return CID_TAKEN;
        }
        let created = AccountDump {
            names: [name.into(), display_name(0).into(), password(0).expose().to_owned()],
            revision: 1,
            devices: BTreeMap::from([(device, (1, None))]),
            ..AccountDump::default()
        };
        self.dump.accounts.insert(account, created);
        Answer::Done
    }

    fn put_pair(&mut self, [a, b]: [u8; 2], pair: &Pair, expected: Expected, most: u8) -> Answer {
        if a == b {
            return ONESELF;
        }
        if [a, b].iter().any(|of| !self.dump.accounts.contains_key(of)) {
            return NO_ACCOUNT;
        }
        let found = self.pair_revision(a, b);
        if !is_expected(found.is_some(), expected) {
            return OTHER_REVISION;
        }
        let mut next = self.clone();
        for side in [(a, b), (b, a)] {
            if let Err(full) = next.make_room(side, pair, usize::from(most)) {
                return full;
            }
        }
        let answer = next.set_pair([a, b], pair);
        *self = next;
        answer
    }

    /// Room for `pair` on one side of it, if need be where others were that are over.
    fn make_room(&mut self, (of, other): (u8, u8), pair: &Pair, most: usize) -> Result<(), Answer> {
        type Takes = fn(&Pair, u8, u8) -> bool;
        let before = self.pairs_of(of).remove(&other).unwrap_or_default();
        let speaks =
            |pair: &Pair| [&pair.lower, &pair.upper].iter().any(|half| half.stance != Stance::Silent);
        let begins = |takes: Takes| takes(pair, of, other) && !takes(&before, of, other);
        let needs: [(bool, Takes, usize, Answer); 2] = [
            (begins(counts) || speaks(pair) && !speaks(&before), counts, most, TOO_MANY_PAIRS),
            (begins(is_asked), waits, Self::MOST_REQUESTS, TOO_MANY_REQUESTS),
        ];
        for (_, takes, most, full) in needs.into_iter().filter(|(needs, ..)| *needs) {
            let taking = |model: &Self| {
                let pairs = model.pairs_of(of).into_iter();
                pairs.filter(|(other, pair)| takes(pair, of, *other)).collect::<Vec<_>>()
            };
            if taking(self).len() < most {
                continue;
            }
            for (with, mut pair) in taking(self).into_iter().filter(|(with, _)| *with != other) {
                lapse(&mut pair);
                if !takes(&pair, of, with) {
                    self.set_pair([of, with], &pair);
                }
            }
            if taking(self).len() >= most {
                return Err(full);
            }
        }
        Ok(())
    }

    fn pairs_of(&self, of: u8) -> BTreeMap<u8, Pair> {
        let pairs = self.dump.accounts.get(&of).map(|of| &of.pairs).into_iter().flatten();
        pairs.map(|(other, (_, pair))| (*other, pair.clone())).collect()
    }

    fn set_pair(&mut self, [a, b]: [u8; 2], pair: &Pair) -> Answer {
        let last = |of: &u8| self.last_pair.get(of).copied().unwrap_or(0);
        let revision = last(&a).max(last(&b)) + 1;
        for (of, other) in [(a, b), (b, a)] {
            let pairs = self.dump.accounts.get_mut(&of).map(|of| &mut of.pairs);
            let pairs = pairs.expect("both accounts are there");
            if pair.is_nothing() {
                pairs.remove(&other);
            } else {
                pairs.insert(other, (revision, pair.clone()));
                self.last_pair.insert(of, revision);
            }
        }
        Answer::Number(if pair.is_nothing() { 0 } else { revision })
    }

    fn of_peers(&mut self, account: u8, op: &Op) -> Answer {
        let Some(of) = self.dump.accounts.get_mut(&account) else {
            return match op {
                Op::PutVouch(..) => NO_ACCOUNT,
                Op::Vouches(_) => Answer::Vouches(Vec::new()),
                _ => Answer::Pairs(Vec::new()),
            };
        };
        let listed = |(other, (revision, pair)): (&u8, &(u64, Pair))| (*other, *revision, pair.clone());
        match *op {
            Op::PutVouch(_, subject, signer, len) => {
                let is_new = !of.vouches.contains_key(&(subject, signer));
                if is_new && of.vouches.len() >= Self::MOST_VOUCHES {
                    return TOO_MANY_VOUCHES;
                }
                of.vouches.insert((subject, signer), vouch(subject, signer, len));
                Answer::Done
            }
            Op::Pair(_, other) => {
                Answer::Pairs(of.pairs.get_key_value(&other).map(listed).into_iter().collect())
            }
            Op::Pairs(_, after, limit) => {
                let rest = of.pairs.iter().filter(|(other, _)| after.is_none_or(|after| **other > after));
                Answer::Pairs(rest.take(usize::from(limit)).map(listed).collect())
            }
            _ => Answer::Vouches(of.vouches.values().cloned().collect()),
        }
    }

    fn of_account(&mut self, account: u8, op: &Op) -> Answer {
        let mut none = AccountDump::default();
        let is_there = self.dump.accounts.contains_key(&account);
        let mut no_last = (0, 0);
        let last = if is_there { self.last.entry(account).or_default() } else { &mut no_last };
        let of = self.dump.accounts.get_mut(&account).unwrap_or(&mut none);
        match *op {
            Op::Update(..) | Op::AddDevice(..) | Op::Push(..) | Op::Put(..) if !is_there => NO_ACCOUNT,
            Op::Update(_, is_current, blocked, shown, keep) => {
                if !is_current {
                    return OTHER_REVISION;
                }
                of.revision += 1;
                of.blocked = blocked;
                of.names[1] = display_name(shown).into();
                of.names[2] = password(shown).expose().to_owned();
                let mut revoked = Vec::new();
                if let Some(keep) = keep {
                    for (peer, (_, at)) in &mut of.devices {
                        if *peer != keep && at.is_none() {
                            *at = Some(9);
                            revoked.push(*peer);
                        }
                    }
                }
                Answer::Updated(of.revision, revoked)
            }
            Op::AddDevice(_, device) => {
                if of.devices.contains_key(&device) {
                    return DEVICE_KNOWN;
                }
                if of.devices.values().filter(|(_, at)| at.is_none()).count() >= Self::MOST_DEVICES {
                    return TOO_MANY_DEVICES;
                }
                of.devices.insert(device, (2, None));
                Answer::Done
            }
            Op::Revoke(_, device, when) => match of.devices.get_mut(&device) {
                Some((_, at @ None)) => {
                    *at = Some(u64::from(when));
                    Answer::Whether(true)
                }
                _ => Answer::Whether(false),
            },
            _ => of_items(of, last, op),
        }
    }
}

fn of_items(of: &mut AccountDump, last: &mut (u64, u64), op: &Op) -> Answer {
    match *op {
        Op::Push(_, len) => {
            let bytes: usize = of.mail.values().map(Vec::len).sum();
            if of.mail.len() as u64 >= QUOTA.items || (bytes + usize::from(len)) as u64 > QUOTA.bytes {
                return QUOTA_USED;
            }
            last.0 += 1;
            of.mail.insert(last.0, item(len));
            Answer::Number(last.0)
        }
        Op::RemoveMail(_, up_to) => {
            let before = of.mail.len();
            of.mail.retain(|id, _| *id > u64::from(up_to));
            Answer::Number((before - of.mail.len()) as u64)
        }
        Op::Put(_, about, number, len, expected) => put(of, last, about, key(number), item(len), expected),
        Op::Delete(_, about, number, expected) => {
            let found = of.values.contains_key(&(about, key(number)));
            if !is_expected(found, expected) {
                return OTHER_VERSION;
            }
            of.values.remove(&(about, key(number)));
            Answer::Whether(found)
        }
        Op::Mail(_, after, limit) => {
            let mail = of.mail.iter().filter(|(id, _)| **id > u64::from(after)).take(usize::from(limit));
            Answer::Items(mail.map(|(id, item)| (*id, item.clone())).collect())
        }
        Op::Value(_, about, number) => Answer::Value(of.values.get(&(about, key(number))).cloned()),
        Op::List(_, about, first, after, limit) => {
            let prefix: Vec<u8> = first.into_iter().map(|first| b'a' + first % 3).collect();
            let after = after.map(key);
            let all: Vec<_> = of
                .values
                .iter()
                .filter(|((a, k), _)| {
                    *a == about && k.starts_with(&prefix) && after.as_ref().is_none_or(|after| k > after)
                })
                .map(|((_, k), (version, value))| (k.clone(), *version, value.clone()))
                .collect();
            let page: Vec<_> = all.iter().take(usize::from(limit)).cloned().collect();
            let more = page.len() < all.len();
            Answer::Page(page, more)
        }
        _ => unreachable!("the other operations are answered by the caller"),
    }
}

/// A pair counts for who said or blocks something in it, and for whom the other said something to.
fn counts(pair: &Pair, of: u8, other: u8) -> bool {
    let (mine, theirs) = if of < other { (&pair.lower, &pair.upper) } else { (&pair.upper, &pair.lower) };
    mine.blocks || mine.stance != Stance::Silent || theirs.stance != Stance::Silent
}

/// The other one asks, whether or not it is heard.
fn is_asked(pair: &Pair, of: u8, other: u8) -> bool {
    let theirs = if of < other { &pair.upper } else { &pair.lower };
    theirs.stance == Stance::Asked && !pair.is_agreed()
}

/// The other one's request waits.
fn waits(pair: &Pair, of: u8, other: u8) -> bool {
    is_asked(pair, of, other) && !pair.lower.blocks && !pair.upper.blocks
}

/// Takes out what is over.
fn lapse(pair: &mut Pair) {
    if pair.is_agreed() {
        return;
    }
    for half in [&mut pair.lower, &mut pair.upper] {
        if matches!(half.stance, Stance::Asked | Stance::Declined) && half.at.0 < OVER_BEFORE {
            *half = Half { at: NOW, blocks: half.blocks, ..Half::default() };
        }
    }
}

/// An expectation of the current version fails where there is none.
const fn is_expected(found: bool, expected: Expected) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Absent => !found,
        Expected::Current => found,
        Expected::Wrong => false,
    }
}

fn put(
    of: &mut AccountDump,
    last: &mut (u64, u64),
    about: Option<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    expected: Expected,
) -> Answer {
    let size = |values: &Values| {
        values.iter().map(|((_, key), (_, value))| (key.len() + value.len()) as u64).sum::<u64>()
    };
    let place = (about, key);
    if !is_expected(of.values.contains_key(&place), expected) {
        return OTHER_VERSION;
    }
    let mut after = of.values.clone();
    after.insert(place, (last.1 + 1, value));
    let is_more = |before: u64, now: u64, most: u64| now > most && now > before;
    if is_more(of.values.len() as u64, after.len() as u64, QUOTA.items)
        || is_more(size(&of.values), size(&after), QUOTA.bytes)
    {
        return QUOTA_USED;
    }
    last.1 += 1;
    of.values = after;
    Answer::Number(last.1)
}
