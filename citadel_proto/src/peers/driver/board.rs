//! The server's switchboard: what parties say of each other, and who is told of it.

use super::super::consent::{Act, apply};
use super::super::message::{PeerAskError, View};
use super::super::{Pair, Party, Shown};
use super::direct::Observer;
use super::floor::{Floor, Lane, Listed, Seat, Seated, Stale, Told};
use super::transient::Full;
use super::turns::Turns;
use crate::accounts::{Accounts, Watcher};
use crate::backend::{Backend, BackendError, Conflict, Limit, PairLimits, Revision, UnixTime};
use crate::driver::Session;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DisplayName, UserName};
use core::fmt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most pairs of a party with accounts, and with parties that have none. 1,024: what a directory of contacts holds, and 6 MiB
/// of statements on disk at most.
const MOST_PAIRS: usize = 1_024;
/// Most requests of accounts that wait for a party's answer, and of parties that have none.
const MOST_REQUESTS: usize = 64;
/// Tries to change a pair that the other party changes at the same time.
const TRIES: usize = 8;

/// Peers at one server: who has agreed with whom, who is there, the lanes between them. Clones are the same.
#[derive(Clone)]
pub struct Switchboard {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) accounts: Accounts,
    /// The server's own id, which every statement names.
    pub(super) server: PeerId,
    pub(super) tasks: TaskTracker,
    pub(super) floor: Mutex<Floor>,
    /// Taken while what devices of an account say of each other is looked at and kept.
    pub(super) vouching: Turns<Cid>,
    /// Where clients are told how they are seen, if anywhere.
    pub(super) observer: OnceLock<Arc<Observer>>,
}

/// What an act has made of a pair.
struct Acted {
    before: Pair,
    /// What it is, or would be if it was done.
    after: Pair,
    /// Whether it was done, as far as the store says.
    outcome: Result<(), PeerAskError>,
}

impl Switchboard {
    /// The switchboard of the server `server`, whose accounts these are. What it has to do is done in `tasks`, each of which
    /// ends with its session.
    pub fn new(accounts: Accounts, server: PeerId, tasks: TaskTracker) -> Self {
        let (floor, vouching) = (Mutex::default(), Turns::default());
        let inner = Inner { accounts, server, tasks, floor, vouching, observer: OnceLock::new() };
        let inner = Arc::new(inner);
        let weak = Arc::downgrade(&inner);
        inner.accounts.watch_by(weak);
        Self { inner }
    }

    /// Tells clients of this port from now on, and answers there until its hub takes no session any more. A second one is
    /// not used.
    pub fn observe(&self, observer: Observer) {
        let observer = Arc::new(observer);
        if self.inner.observer.set(Arc::clone(&observer)).is_ok() {
            self.inner.tasks.spawn(observer.run());
        }
    }

    /// Lanes that there are now, each counted once.
    pub fn lanes(&self) -> usize {
        self.inner.floor.lock().lanes.values().map(BTreeMap::len).sum()
    }

    /// Parties that have a session now.
    pub fn parties(&self) -> usize {
        self.inner.floor.lock().seats.len()
    }

    pub(super) fn seat(&self, session: &Session) -> Seated {
        let device = session.peer_id();
        let party = session.cid().map_or(Party::Transient(device), Party::Account);
        let mut floor = self.inner.floor.lock();
        let id = floor.number();
        let seat = Arc::new(Seat {
            id,
            party,
            device,
            session: session.downgrade(),
            watch: Mutex::default(),
            news: Notify::new(),
            over: CancellationToken::new(),
        });
        floor.seats.entry(party).or_default().insert(id, Arc::clone(&seat));
        let told = floor.watchers(party, Stale::Presence);
        drop(floor);
        tell_of(party, told);
        Seated { inner: Arc::clone(&self.inner), seat }
    }
}

impl Inner {
    pub(super) fn backend(&self) -> &dyn Backend {
        &**self.accounts.backend()
    }

    /// The session of that device of a party that came last.
    pub(super) fn find_seat(&self, party: Party, device: PeerId) -> Option<Arc<Seat>> {
        let floor = self.floor.lock();
        floor.seats_of(party).filter(|seat| seat.device == device).last().map(Arc::clone)
    }

    /// A place for a lane between two parties.
    pub(super) fn list_lane(self: &Arc<Self>, one: Party, other: Party) -> Listed {
        let pair = (one.min(other), one.max(other));
        let lane = Lane::default();
        let ended = lane.ended.clone();
        let mut floor = self.floor.lock();
        let id = floor.number();
        floor.lanes.entry(pair).or_default().insert(id, lane);
        Listed { inner: Arc::clone(self), pair, id, ended }
    }

    /// Whether there is such a party: an account, or a session without one.
    pub(super) async fn exists(&self, party: Party) -> Result<bool, PeerAskError> {
        match party {
            Party::Account(cid) => Ok(self.backend().account(cid).await.map_err(failed)?.is_some()),
            Party::Transient(_) => Ok(self.floor.lock().seats.contains_key(&party)),
        }
    }

    /// The account of a user name.
    pub(super) async fn account_of(&self, user: &UserName) -> Result<Option<Party>, PeerAskError> {
        let account = self.backend().account_by_user(user).await.map_err(failed)?;
        Ok(account.map(|account| Party::Account(account.cid)))
    }

    /// The pair of two parties as it stands; nothing if they have said nothing.
    pub(super) async fn pair(&self, one: Party, other: Party) -> Result<Pair, PeerAskError> {
        match (one, other) {
            (Party::Account(a), Party::Account(b)) => Ok(self
                .backend()
                .pair(a, b)
                .await
                .map_err(failed)?
                .map(|stored| stored.pair)
                .unwrap_or_default()),
            _ => Ok(self.floor.lock().transient.pair(one, other)),
        }
    }

    /// Everybody of whom a party is told anything.
    pub(super) async fn known_to(&self, party: Party) -> Result<Vec<Party>, PeerAskError> {
        let now = self.accounts.unix();
        let others = self.outlines(party).await?.into_iter();
        let is_told = |(other, pair): &(Party, Pair)| told(pair, party, *other, now) != (Shown::None, false);
        Ok(others.filter(is_told).map(|(other, _)| other).collect())
    }

    /// The pairs that count for a party, without what was signed: bounded in number and size, whatever strangers do.
    async fn outlines(&self, party: Party) -> Result<Vec<(Party, Pair)>, PeerAskError> {
        let mut outlines = Vec::new();
        if let Party::Account(cid) = party {
            let stored = self.backend().outlines(cid).await.map_err(failed)?.into_iter();
            outlines.extend(stored.map(|(cid, pair)| (Party::Account(cid), pair)));
        }
        let floor = self.floor.lock();
        outlines.extend(floor.transient.counted(party).map(|(other, pair)| (other, pair.clone())));
        Ok(outlines)
    }

    /// Does `act` of `own` about `other`: durable when it resolves, and told to both. Says whether it changed anything. Who would
    /// have been told is told as well if the store cannot say whether it was done: what is told is read then.
    pub(super) async fn act(&self, own: Party, other: Party, act: Act) -> Result<bool, PeerAskError> {
        let now = self.accounts.unix();
        let limits = PairLimits { pairs: MOST_PAIRS, requests: MOST_REQUESTS, now };
        let Acted { before, after, outcome } = match (own, other) {
            (Party::Account(a), Party::Account(b)) => self.act_stored((a, b), act, limits).await?,
            _ => self.act_in_memory(own, other, act, limits)?,
        };
        let mine = told(&before, own, other, now) != told(&after, own, other, now);
        let theirs = told(&before, other, own, now) != told(&after, other, own, now);
        // Not for being none yet: they may have become peers, with a lane, since this was written.
        if before.is_agreed() && !after.is_agreed() {
            self.floor.lock().end_lanes(own, other);
        }
        // Who is blocked is told nothing, not even that there is nothing to tell.
        self.tell(own, other, mine);
        self.tell(other, own, theirs);
        outcome.map(|()| mine)
    }

    async fn act_stored(
        &self,
        (a, b): (Cid, Cid),
        act: Act,
        limits: PairLimits,
    ) -> Result<Acted, PeerAskError> {
        let (own, other) = (Party::Account(a), Party::Account(b));
        for _ in 0..TRIES {
            let stored = self.backend().pair(a, b).await.map_err(failed)?;
            let (pair, revision): (Pair, Option<Revision>) =
                stored.map(|stored| (stored.pair, Some(stored.revision))).unwrap_or_default();
            let next = apply(&pair, own, other, act.clone(), limits.now)?;
            let outcome = if next == pair {
                Ok(())
            } else {
                match self.backend().put_pair(a, b, &next, revision, limits).await {
                    Ok(_) => Ok(()),
                    Err(BackendError::Conflict(Conflict::Revision(_))) => continue,
                    Err(error @ BackendError::Io(_)) => Err(failed(error)),
                    Err(error) => return Err(failed(error)),
                }
            };
            return Ok(Acted { before: pair, after: next, outcome });
        }
        Err(PeerAskError::Conflict)
    }

    fn act_in_memory(
        &self,
        own: Party,
        other: Party,
        act: Act,
        limits: PairLimits,
    ) -> Result<Acted, PeerAskError> {
        let mut floor = self.floor.lock();
        let is_there = |party: Party| party.cid().is_some() || floor.seats.contains_key(&party);
        if !is_there(own) || !is_there(other) {
            return Err(PeerAskError::Unknown);
        }
        let pair = floor.transient.pair(own, other);
        let next = apply(&pair, own, other, act, limits.now)?;
        floor.transient.put(own, other, &next, limits).map_err(|Full| PeerAskError::Full)?;
        Ok(Acted { before: pair, after: next, outcome: Ok(()) })
    }

    /// The pair of `party` and `other` is to be told to `party` again, if that changed anything for it.
    fn tell(&self, party: Party, other: Party, has_changed: bool) {
        if has_changed {
            let seats: Vec<_> = self.floor.lock().seats_of(party).map(Arc::clone).collect();
            seats.iter().for_each(|seat| seat.mark(other, Stale::Pair));
        }
    }

    /// Every peer of a party that is there is told of its vouches anew, and so are its own devices. They are those who are told when
    /// it comes and goes: a seat is among them before it is told of vouches, and nothing has to be read to find it.
    pub(super) fn tell_vouches(&self, party: Party) {
        self.tell(party, party, true);
        let told = self.floor.lock().watchers(party, Stale::Pair);
        tell_of(party, told);
    }

    /// Which devices of `of`, a peer, are there. `seat` is told from now on when that changes.
    pub(super) fn presence(&self, seat: &Arc<Seat>, of: Party) -> Vec<PeerId> {
        let mut floor = self.floor.lock();
        seat.watch.lock().interests.insert(of);
        floor.interest.entry(of).or_default().insert(seat.id, Arc::clone(seat));
        floor.online(of)
    }

    fn lose_interest(&self, seat: &Seat, of: Party) {
        let mut floor = self.floor.lock();
        seat.watch.lock().interests.remove(&of);
        floor.lose_interest(seat, of);
    }

    /// What `seat` is told of its pair with `other`.
    pub(super) async fn view(&self, seat: &Arc<Seat>, other: Party) -> Result<View, PeerAskError> {
        if other == seat.party {
            return self.own_view(other).await;
        }
        let pair = self.pair(seat.party, other).await?;
        let shown = pair.shown_to(seat.party, other, self.accounts.unix());
        let (mine, _) = pair.halves(seat.party, other);
        let blocked = mine.blocks;
        let (user, display_name) = match shown {
            Shown::AskedByThem { .. } | Shown::Peers { .. } => self.names(other).await?,
            _ => (None, None),
        };
        let is_peer = matches!(shown, Shown::Peers { .. });
        let (online, vouches) = if is_peer {
            (self.presence(seat, other), self.vouches(other).await?)
        } else {
            self.lose_interest(seat, other);
            (Vec::new(), Vec::new())
        };
        Ok(View { party: other, user, display_name, shown, blocked, online, vouches })
    }

    async fn names(&self, party: Party) -> Result<(Option<UserName>, Option<DisplayName>), PeerAskError> {
        let Some(cid) = party.cid() else { return Ok((None, None)) };
        let account = self.backend().account(cid).await.map_err(failed)?;
        Ok(account.map(|account| (account.user, account.display_name)).unzip())
    }

    pub(super) async fn vouches(&self, party: Party) -> Result<Vec<Vec<u8>>, PeerAskError> {
        match party {
            Party::Account(cid) => self.backend().vouches(cid).await.map_err(failed),
            Party::Transient(_) => Ok(Vec::new()),
        }
    }
}

/// What the accounts shut out has no place here.
impl Watcher for Inner {
    fn shut_out(&self, cid: Cid, devices: &[PeerId]) {
        let account = Party::Account(cid);
        let told = self.floor.lock().shut_out(account, devices);
        tell_of(account, told);
    }

    fn left(&self, cid: Cid, others: &[Cid]) {
        let account = Party::Account(cid);
        let told = self.floor.lock().left(account, others.iter().copied().map(Party::Account));
        tell_of(account, told);
    }
}

/// Something about `party` is to be told to these.
pub(super) fn tell_of(party: Party, told: Told) {
    told.into_iter().for_each(|(seat, stale)| seat.mark(party, stale));
}

/// What `own` is told of its pair with `other`: what both said, as far as it may know it, and its own block.
pub(super) fn told(pair: &Pair, own: Party, other: Party, now: UnixTime) -> (Shown, bool) {
    (pair.shown_to(own, other, now), pair.halves(own, other).0.blocks)
}

/// What the backend says, to who asked.
pub(super) fn failed(error: BackendError) -> PeerAskError {
    match error {
        BackendError::NoAccount => PeerAskError::Unknown,
        BackendError::Limit(Limit::Pairs | Limit::Requests | Limit::Vouches) => PeerAskError::Full,
        error => {
            log::error!(target: "citadel::peers", "the backend failed: {error}");
            PeerAskError::Unavailable
        }
    }
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switchboard({} parties, {} lanes)", self.parties(), self.lanes())
    }
}
