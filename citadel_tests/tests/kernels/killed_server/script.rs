//! What the clients ask for, one after another, so that the server makes every write that a client can have it make; and the
//! model of what they were told.

use super::clients::{FRIEND, Seen, Told, account_of, ask_peers};
use citadel_crypt::handshake::{Cid, DisplayName, Password, RefusalCode};
use citadel_proto::accounts::AskError;
use citadel_proto::backend::{Expect, ValueVersion};
use citadel_proto::peers::{
    Acceptance, Party, PeerAsk, PeerRequest, RequestHash, Shown, Statement, StatementNumber, View, Vouch,
};
use citadel_sdk::{CallError, Identity, PeerId, ServerConnection, Session};
use citadel_tests::watched_backend::Write;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const USER: &str = "alice";
/// Who has an account of his own.
pub(crate) const BOB: &str = "bob";
const BOBS_PASSWORD: &str = "a word of bob";

/// Everybody who plays a part; the last is bob.
pub(crate) type Cast = [Arc<Identity>; 5];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Register {
        password: &'static str,
        shown: &'static str,
    },
    Join,
    Put {
        about: Option<Cid>,
        key: &'static str,
        value: &'static str,
        only: Only,
    },
    /// The value as it is now.
    Delete {
        key: &'static str,
    },
    Show(&'static str),
    ChangePassword {
        new: &'static str,
        revoke_others: bool,
    },
    Revoke(usize),
    Deregister,
    /// Bob makes an account.
    BobRegisters,
    /// To be bob's peer.
    Ask,
    /// Bob does.
    Accept,
    /// For a device.
    Vouch(usize),
    /// Be bob's peer no more.
    Part,
}

/// Which value is put over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Only {
    Any,
    None,
    /// The one that is there now.
    This,
}

/// What the server writes when the same is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Again {
    Nothing,
    /// The same once more, whatever it comes to.
    Same,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Who of the cast.
    pub(crate) by: usize,
    pub(crate) what: What,
    /// What the server writes, in this order, before it answers.
    pub(crate) writes: &'static [Write],
    pub(crate) again: Again,
    /// What a hash costs meanwhile.
    pub(crate) passes: u32,
}

pub(crate) fn script() -> Vec<Step> {
    use What::{Accept, Ask, BobRegisters, Part, Vouch};
    use What::{ChangePassword, Delete, Deregister, Join, Put, Register, Revoke, Show};
    use Write::{
        AddDevice, CreateAccount, DeleteValue, PutPair, PutValue, PutVouch, RemoveAccount, RevokeDevice,
        UpdateAccount,
    };
    let cheap: [(usize, What, &'static [Write], Again); 16] = [
        (0, Register { password: "first word", shown: "Alice" }, &[CreateAccount], Again::Nothing),
        (1, Join, &[AddDevice], Again::Nothing),
        (2, Join, &[AddDevice], Again::Nothing),
        (0, Put { about: None, key: "a", value: "one", only: Only::None }, &[PutValue], Again::Nothing),
        (1, Put { about: None, key: "a", value: "two", only: Only::This }, &[PutValue], Again::Nothing),
        (0, Put { about: Some(FRIEND), key: "a", value: "three", only: Only::Any }, &[PutValue], Again::Same),
        (1, Delete { key: "a" }, &[DeleteValue], Again::Nothing),
        (0, Show("Alice the second"), &[UpdateAccount], Again::Same),
        (1, ChangePassword { new: "second word", revoke_others: false }, &[UpdateAccount], Again::Nothing),
        (0, Revoke(2), &[RevokeDevice], Again::Same),
        (4, BobRegisters, &[CreateAccount], Again::Nothing),
        (0, Ask, &[PutPair], Again::Nothing),
        (4, Accept, &[PutPair], Again::Nothing),
        (0, Vouch(1), &[PutVouch], Again::Same),
        (0, Part, &[PutPair], Again::Nothing),
        // The account goes with a request of its own.
        (0, Ask, &[PutPair], Again::Nothing),
    ];
    let dear: [(usize, What, &'static [Write], Again); 4] = [
        // The hash that is stored costs too little by now.
        (3, Join, &[AddDevice, UpdateAccount], Again::Nothing),
        (0, ChangePassword { new: "third word", revoke_others: true }, &[UpdateAccount], Again::Nothing),
        (0, Deregister, &[RemoveAccount], Again::Nothing),
        // The name is free, and nothing of the account that had it comes back.
        (1, Register { password: "fourth word", shown: "Alicia" }, &[CreateAccount], Again::Nothing),
    ];
    let steps = |passes| move |(by, what, writes, again)| Step { by, what, writes, again, passes };
    cheap.into_iter().map(steps(2)).chain(dear.into_iter().map(steps(3))).collect()
}

/// A step's request. It stays the same when it is asked again, as that of a client that knows no better.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) by: usize,
    entry: Entry,
    ask: Ask,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Register { password: &'static str, shown: &'static str },
    Join { password: &'static str },
    Login,
    BobRegisters,
    BobLogsIn,
}

#[derive(Clone, Debug)]
enum Ask {
    Nothing,
    Put { about: Option<Cid>, key: &'static str, value: &'static str, expect: Expect },
    Delete { key: &'static str, expect: Expect },
    Show(DisplayName),
    ChangePassword { old: Password, new: Password, revoke_others: bool },
    Revoke(PeerId),
    Deregister,
    Peers(PeerAsk),
}

impl Request {
    pub(crate) fn entry(&self, server: ServerConnection) -> ServerConnection {
        match self.entry {
            Entry::Register { password, shown } => server.register(USER, password).names(shown, "a device"),
            Entry::Join { password } => server.add_device(USER, password),
            Entry::Login => server.login(USER),
            Entry::BobRegisters => server.register(BOB, BOBS_PASSWORD),
            Entry::BobLogsIn => server.login(BOB),
        }
    }

    pub(crate) async fn ask(self, session: Session) -> Result<Told, CallError> {
        let account = account_of(session.clone());
        let asked = match self.ask {
            Ask::Nothing => Ok(Told::In(account.cid().unwrap())),
            Ask::Put { about, key, value, expect } => {
                account.put(about, key, value, expect).await.map(Told::Version)
            }
            Ask::Delete { key, expect } => account.delete(None, key, expect).await.map(Told::Was),
            Ask::Show(name) => account.set_display_name(name).await.map(|()| Told::Done),
            Ask::ChangePassword { old, new, revoke_others } => {
                account.change_password(old, new, revoke_others).await.map(|()| Told::Done)
            }
            Ask::Revoke(peer) => account.revoke_device(peer).await.map(Told::Was),
            Ask::Deregister => account.deregister().await.map(Told::Was),
            Ask::Peers(ask) => ask_peers(session, ask).await,
        };
        match asked {
            Err(CallError::Refused(error)) => Ok(Told::No(error)),
            other => other,
        }
    }
}

/// What must be there.
#[derive(Default, Debug)]
pub(crate) struct Model {
    /// None while nobody heard it.
    cid: Option<Cid>,
    shown: &'static str,
    pub(crate) password: &'static str,
    /// One that it had.
    pub(crate) old_password: &'static str,
    /// What the stored hash cost.
    pub(crate) passes: u32,
    /// Whether each is live; empty without an account.
    pub(crate) devices: BTreeMap<PeerId, bool>,
    values: BTreeMap<(Option<Cid>, Vec<u8>), Value>,
    /// The highest version that was seen.
    highest: u64,
    /// Whether bob has an account; it outlives the other one.
    pub(crate) has_bob: bool,
    bobs_cid: Option<Cid>,
    pair: Pair,
    /// So many vouches.
    vouches: usize,
}

/// How the account and bob stand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Pair {
    #[default]
    Nothing,
    Asked,
    Peers,
}

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    /// None while nobody heard it.
    version: Option<ValueVersion>,
}

impl Model {
    pub(crate) fn request(&self, step: &Step, cast: &Cast, server: PeerId) -> Request {
        let word = |word: &str| Password::new(word).unwrap();
        let version = |about, key: &str| {
            let value = self.values.get(&(about, key.as_bytes().to_vec()));
            Expect::Version(value.unwrap().version.unwrap())
        };
        let (mut entry, mut ask) = (Entry::Login, Ask::Nothing);
        match step.what {
            What::Register { password, shown } => entry = Entry::Register { password, shown },
            What::Join => entry = Entry::Join { password: self.password },
            What::Put { about, key, value, only } => {
                let expect = match only {
                    Only::Any => Expect::Any,
                    Only::None => Expect::Absent,
                    Only::This => version(about, key),
                };
                ask = Ask::Put { about, key, value, expect };
            }
            What::Delete { key } => ask = Ask::Delete { key, expect: version(None, key) },
            What::Show(name) => ask = Ask::Show(DisplayName::new(name).unwrap()),
            What::ChangePassword { new, revoke_others } => {
                ask = Ask::ChangePassword { old: word(self.password), new: word(new), revoke_others };
            }
            What::Revoke(whom) => ask = Ask::Revoke(cast[whom].peer_id()),
            What::Deregister => ask = Ask::Deregister,
            What::BobRegisters => entry = Entry::BobRegisters,
            What::Ask | What::Accept | What::Vouch(_) | What::Part => {
                entry = if step.what == What::Accept { Entry::BobLogsIn } else { Entry::Login };
                ask = Ask::Peers(self.asks(step, cast, server));
            }
        }
        Request { by: step.by, entry, ask }
    }

    /// What is asked about peers. What is signed says what a server looks at; nobody else reads it.
    fn asks(&self, step: &Step, cast: &Cast, server: PeerId) -> PeerAsk {
        let (alice, bob) = (Party::Account(self.cid.unwrap()), Party::Account(self.bobs_cid.unwrap()));
        let sign = |statement: Statement| statement.sign(&cast[step.by]).unwrap();
        match step.what {
            What::Ask => {
                let request = PeerRequest {
                    server,
                    from: alice,
                    to: bob,
                    nonce: [7; 16],
                    number: StatementNumber(1),
                    expected: None,
                };
                PeerAsk::Ask { to: bob, statement: sign(request.into()) }
            }
            What::Accept => {
                let (request, requester) = (RequestHash([7; 32]), cast[0].peer_id());
                let acceptance = Acceptance {
                    server,
                    from: bob,
                    to: alice,
                    request,
                    number: StatementNumber(1),
                    requester,
                };
                PeerAsk::Accept { to: alice, statement: sign(acceptance.into()) }
            }
            What::Vouch(device) => {
                let (account, device) = (self.cid.unwrap(), cast[device].peer_id());
                let vouch = Vouch { server, account, device, number: StatementNumber(1) };
                PeerAsk::Vouch(sign(vouch.into()))
            }
            _ => PeerAsk::Remove(bob),
        }
    }

    /// Whether `told` is the right answer to a step that was done before, or was not.
    #[track_caller]
    pub(crate) fn expect(&self, step: &Step, told: &Told, is_done: bool) {
        let is_right = match (step.what, is_done, told) {
            (What::Register { .. } | What::Join, _, Told::In(cid)) => {
                let is_new = matches!(step.what, What::Register { .. }) && !is_done;
                is_new || self.cid == Some(*cid)
            }
            (What::Put { .. }, false, Told::Version(version))
            | (What::Put { only: Only::Any, .. }, true, Told::Version(version)) => version.0 > self.highest,
            (What::Put { about, key, .. }, true, Told::No(AskError::Version(found))) => {
                let value = self.values.get(&(about, key.as_bytes().to_vec())).unwrap();
                value.version.is_some() && *found == value.version
            }
            (What::Delete { .. }, true, told) => *told == Told::No(AskError::Version(None)),
            (What::ChangePassword { .. }, true, told) => *told == Told::No(AskError::Credentials),
            (What::Show(_), _, told) | (What::ChangePassword { .. }, false, told) => *told == Told::Done,
            (What::Deregister, true, told) => *told == Told::Refused(RefusalCode::CREDENTIALS),
            (What::Delete { .. } | What::Deregister, false, told) => *told == Told::Was(true),
            (What::Revoke(_) | What::Part, is_done, told) => *told == Told::Was(!is_done),
            (What::BobRegisters, _, Told::In(cid)) => self.bobs_cid.is_none_or(|known| known == *cid),
            (What::Ask | What::Accept | What::Vouch(_), _, told) => *told == Told::Done,
            _ => false,
        };
        assert!(is_right, "{told:?} to {step:?}, done before: {is_done}; {self:#?}");
    }

    /// `step` is done, whether somebody was told or not.
    pub(crate) fn apply(&mut self, step: &Step, cast: &Cast, told: Option<&Told>) {
        let own = cast[step.by].peer_id();
        match step.what {
            What::Register { password, shown } => {
                let (has_bob, bobs_cid) = (self.has_bob, self.bobs_cid);
                *self =
                    Self { shown, password, old_password: "no word", has_bob, bobs_cid, ..Self::default() };
                self.devices.insert(own, true);
            }
            What::Join => _ = self.devices.insert(own, true),
            What::Put { about, key, value, .. } => {
                let value = Value { bytes: value.into(), version: None };
                self.values.insert((about, key.into()), value);
            }
            What::Delete { key } => _ = self.values.remove(&(None, key.into())),
            What::Show(name) => self.shown = name,
            What::ChangePassword { new, revoke_others } => {
                self.old_password = core::mem::replace(&mut self.password, new);
                if revoke_others {
                    self.devices.iter_mut().for_each(|(peer, is_live)| *is_live &= *peer == own);
                }
            }
            What::Revoke(whom) => _ = self.devices.insert(cast[whom].peer_id(), false),
            What::Deregister => {
                let (has_bob, bobs_cid) = (self.has_bob, self.bobs_cid);
                *self = Self { has_bob, bobs_cid, ..Self::default() };
            }
            What::BobRegisters => self.has_bob = true,
            What::Ask => self.pair = Pair::Asked,
            What::Accept => self.pair = Pair::Peers,
            What::Part => self.pair = Pair::Nothing,
            What::Vouch(_) => self.vouches += 1,
        }
        if let Some(told) = told {
            self.hear(step, told);
        }
    }

    /// Notes the numbers that an answer names.
    pub(crate) fn hear(&mut self, step: &Step, told: &Told) {
        match (told, step.what) {
            (Told::In(cid), What::BobRegisters) => self.bobs_cid = Some(*cid),
            (Told::In(cid), _) => self.cid = Some(*cid),
            (Told::Version(version), What::Put { about, key, .. }) => {
                self.values.get_mut(&(about, key.into())).unwrap().version = Some(*version);
                self.highest = version.0;
            }
            _ => {}
        }
    }

    /// What bob is told of the account is what they agreed, with its vouches once they are peers.
    #[track_caller]
    pub(crate) fn meet_bob(&self, seen: &[View]) {
        let expected = match self.pair {
            Pair::Nothing => return assert_eq!(seen, []),
            pair => (Party::Account(self.cid.unwrap()), pair),
        };
        let [view] = seen else { panic!("{seen:?} instead of {expected:?}") };
        let pair = match &view.shown {
            Shown::AskedByThem { .. } => Pair::Asked,
            Shown::Peers { .. } => Pair::Peers,
            other => panic!("{other:?}"),
        };
        assert_eq!((view.party, pair), expected);
        assert_eq!(view.vouches.len(), if pair == Pair::Peers { self.vouches } else { 0 });
    }

    /// Everything is there and nothing else; numbers that nobody heard are learnt.
    #[track_caller]
    pub(crate) fn meet(&mut self, seen: &Seen) {
        let cid = *self.cid.get_or_insert(seen.cid);
        assert_eq!((seen.cid, &*seen.shown, &seen.devices), (cid, self.shown, &self.devices));
        let bytes = |(place, (_, bytes)): (&_, &(_, Vec<u8>))| (Clone::clone(place), bytes.clone());
        let found: BTreeMap<_, _> = seen.values.iter().map(bytes).collect();
        let kept: BTreeMap<_, _> =
            self.values.iter().map(|(at, kept)| (at.clone(), kept.bytes.clone())).collect();
        assert_eq!(found, kept);
        for (place, kept) in &mut self.values {
            let (found, _) = seen.values[place];
            match kept.version {
                Some(version) => assert_eq!(found, version, "of {place:?}"),
                None => assert!(found.0 > self.highest, "{found:?} of {place:?}, above {}", self.highest),
            }
            kept.version = Some(found);
            self.highest = self.highest.max(found.0);
        }
    }
}
