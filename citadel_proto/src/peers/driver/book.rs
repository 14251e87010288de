//! What a client knows of the parties it has to do with, and the changes of that.

use super::super::message::View;
use super::super::{Party, PeerTrust, PinError, Shown};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{DisplayName, UserName};
use futures::Stream;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// How two parties stand, from one of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Standing {
    /// Neither wants anything.
    #[default]
    Nothing,
    /// This end asked, and has no answer.
    Asked,
    /// The other one asks.
    Asking,
    /// The other one declined.
    Declined,
    /// Peers.
    Peer,
}

/// What is known of a party.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Who it is.
    pub party: Party,
    /// Its user name, as the server says; of one that asked, or a peer, with an account.
    pub user: Option<UserName>,
    /// The name that it wants to be shown, likewise.
    pub display_name: Option<DisplayName>,
    /// How the two stand.
    pub standing: Standing,
    /// Whether it is blocked here.
    pub is_blocked: bool,
    /// Its devices that have a session with the server now, as the server says; of peers alone.
    pub online: Vec<PeerId>,
    /// Its devices by signed statements, with what the trust in each rests on; none before it is a peer, and where its
    /// statements do not hold.
    pub pinned: Option<Pinned>,
}

/// A pin as users see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Pinned {
    /// The devices, and what the trust in each rests on. None is left when all were disowned.
    pub devices: BTreeMap<PeerId, PeerTrust>,
}

impl Pinned {
    /// The least trust in any of them; none if none is left.
    pub fn least_trust(&self) -> Option<PeerTrust> {
        self.devices.values().min().copied()
    }
}

/// A change in what is known of a party.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// It asks to be a peer.
    Requested(Party),
    /// It is a peer now.
    Registered(Party),
    /// It declined.
    Declined(Party),
    /// It is no peer any more, or its request is gone.
    Removed(Party),
    /// A device of a peer has a session with the server now, or one that has is vouched for now.
    Online(Party, PeerId),
    /// It has none any more.
    Offline(Party, PeerId),
    /// A device of a peer is there that no statement vouches for, or that was disowned. No session with it is made.
    IdentityChanged {
        /// Whose.
        party: Party,
        /// The devices that are pinned.
        pinned: Vec<PeerId>,
        /// The one that was found.
        found: PeerId,
    },
}

/// A party as the book has it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) view: View,
    pub(super) pinned: Option<Pinned>,
    /// Why the statements that made it a peer pinned nothing.
    pub(super) fault: Option<PinError>,
}

impl Known {
    pub(super) const fn standing(&self) -> Standing {
        if matches!(self.fault, Some(PinError::Withdrawn)) {
            // An old agreement that is shown again is none.
            return Standing::Nothing;
        }
        match self.view.shown {
            Shown::None => Standing::Nothing,
            Shown::AskedByYou => Standing::Asked,
            Shown::AskedByThem { .. } => Standing::Asking,
            Shown::DeclinedByThem => Standing::Declined,
            Shown::Peers { .. } => Standing::Peer,
        }
    }

    /// Whether it is a peer as far as its pin says so.
    const fn rests_on_pin(&self) -> bool {
        matches!(self.view.shown, Shown::Peers { .. }) && matches!(self.fault, None | Some(PinError::NotKept))
    }

    fn info(&self) -> PeerInfo {
        let View { party, user, display_name, blocked, online, .. } = self.view.clone();
        let (standing, pinned) = (self.standing(), self.pinned.clone());
        PeerInfo { party, user, display_name, standing, is_blocked: blocked, online, pinned }
    }
}

/// What is shown of a pin that stands.
const fn pinned(pinned: Pinned) -> (Option<Pinned>, Option<PinError>) {
    (Some(pinned), None)
}

/// What is shown of one that does not.
const fn at_fault(fault: PinError) -> (Option<Pinned>, Option<PinError>) {
    (None, Some(fault))
}

/// Most parties that a server may speak of. 2,048: twice the pairs that an honest one keeps of a party, for those that come while
/// others go; with two statements each, 24 MiB.
const MOST_KNOWN: usize = 2_048;

/// Most vouches that are kept for another look at statements that pinned nothing, in all. 4,096: 22 MiB.
const MOST_KEPT_VOUCHES: usize = 4_096;

/// `known` without what its vouches say if that is in its pin by now, or if `all` keep too many of them.
fn bounded(all: &BTreeMap<Party, Known>, mut known: Known) -> Known {
    if !known.view.vouches.is_empty() {
        let party = known.view.party;
        let others = all.iter().filter(|(other, _)| **other != party);
        let kept: usize = others.map(|(_, known)| known.view.vouches.len()).sum();
        if known.fault.is_none() || kept + known.view.vouches.len() > MOST_KEPT_VOUCHES {
            known.view.vouches.clear();
        }
    }
    known
}

/// Every party that the server has spoken of.
pub(super) struct Book {
    pages: Mutex<Pages>,
    /// Rises with every change.
    pub(super) changes: watch::Sender<u64>,
}

/// A session with a server, as who tells the book. Numbered as they begin.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Teller(u64);

#[derive(Default)]
struct Pages {
    known: BTreeMap<Party, Known>,
    /// Whose word counts: the last that began.
    teller: Teller,
    /// Whom of them it has spoken of.
    told: BTreeSet<Party>,
    /// It has told everything that there was.
    is_whole: bool,
}

impl Book {
    pub(super) fn new() -> Self {
        Self { pages: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Another session begins to tell everything that there is. What was known before stands until it has, and no word of one
    /// before it counts any more.
    pub(super) fn begin(&self) -> Teller {
        self.change(|pages| {
            pages.teller = Teller(pages.teller.0 + 1);
            pages.told.clear();
            pages.is_whole = false;
            pages.teller
        })
    }

    /// A change that `teller` tells of, if its word counts; whether it does.
    fn change_by(&self, teller: Teller, change: impl FnOnce(&mut Pages)) -> bool {
        self.change(|pages| {
            let counts = pages.teller == teller;
            if counts {
                change(pages);
            }
            counts
        })
    }

    fn change<R>(&self, change: impl FnOnce(&mut Pages) -> R) -> R {
        let result = change(&mut self.pages.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// A pair is as it is told now. Unless its statements are at `fault`, what makes peers of the two is what `stands` by now: it is
    /// asked where nothing else can change what is shown, so what was taken back since they were looked at stays so. Whether the
    /// word of `teller` counts.
    pub(super) fn put(
        &self,
        teller: Teller,
        view: View,
        fault: Option<PinError>,
        stands: impl FnOnce() -> Result<Pinned, PinError>,
    ) -> bool {
        self.change_by(teller, |pages| {
            let (pinned, fault) = match &view.shown {
                Shown::Peers { .. } if fault.is_none() => stands().map_or_else(at_fault, pinned),
                _ => (None, fault),
            };
            let known = Known { view, pinned, fault };
            let (party, Pages { known: all, told, .. }) = (known.view.party, pages);
            if known.view.shown == Shown::None && !known.view.blocked {
                all.remove(&party);
                told.remove(&party);
            } else {
                all.insert(party, bounded(all, known));
                told.insert(party);
            }
        })
    }

    /// Whether the server may speak of `party`: of one that it has spoken of always, of others as long as they are not too many.
    pub(super) fn has_room(&self, party: Party) -> bool {
        let known = &self.pages.lock().known;
        known.len() < MOST_KNOWN || known.contains_key(&party)
    }

    pub(super) fn put_presence(&self, teller: Teller, party: Party, online: Vec<PeerId>) {
        self.change_by(teller, |pages| {
            if let Some(known) = pages.known.get_mut(&party) {
                known.view.online = online;
            }
        });
    }

    /// This end has taken its consent back: there is no agreement any more, whatever the server has heard.
    pub(super) fn withdraw(&self, party: Party) {
        self.change(|pages| {
            let known = pages.known.get_mut(&party);
            if let Some(known) = known.filter(|known| matches!(known.view.shown, Shown::Peers { .. })) {
                (known.pinned, known.fault) = (None, Some(PinError::Withdrawn));
            }
        });
    }

    /// The pin of a peer has changed: it is what `stands` by now. Statements that are at fault pin nothing all the same.
    pub(super) fn look_at_pin(&self, party: Party, stands: impl FnOnce() -> Result<Pinned, PinError>) {
        self.change(|pages| {
            let known = pages.known.get_mut(&party);
            if let Some(known) = known.filter(|known| known.rests_on_pin()) {
                (known.pinned, known.fault) = stands().map_or_else(at_fault, pinned);
            }
        });
    }

    /// The server has told everything: what it did not speak of is no more.
    pub(super) fn set_whole(&self, teller: Teller) {
        self.change_by(teller, |pages| {
            let Pages { known, told, is_whole, .. } = pages;
            known.retain(|party, _| told.contains(party));
            *is_whole = true;
        });
    }

    /// The session with the server is over: who is there is not known any more, the rest stands.
    pub(super) fn lose_server(&self, teller: Teller) {
        self.change_by(teller, |pages| {
            pages.is_whole = false;
            pages.told.clear();
            pages.known.values_mut().for_each(|known| known.view.online.clear());
        });
    }

    /// Everybody who is a peer by statements that pinned nothing.
    pub(super) fn at_fault(&self) -> Vec<View> {
        let pages = self.pages.lock();
        pages.known.values().filter(|known| known.fault.is_some()).map(|known| known.view.clone()).collect()
    }

    pub(super) fn get(&self, party: Party) -> Option<Known> {
        self.pages.lock().known.get(&party).cloned()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.pages.lock().is_whole
    }

    pub(super) fn list(&self) -> Vec<PeerInfo> {
        self.pages.lock().known.values().map(Known::info).collect()
    }

    pub(super) fn info(&self, party: Party) -> Option<PeerInfo> {
        self.pages.lock().known.get(&party).map(Known::info)
    }

    /// Waits until `look` gives something. Whoever waits waits on state: what happened before the call counts.
    pub(super) async fn wait<R>(&self, mut look: impl FnMut(&Self) -> Option<R>) -> R {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(result) = look(self) {
                return result;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`: it cannot be gone.
                core::future::pending::<()>().await;
            }
        }
    }
}

/// The changes of what is known since this was made, or since the last look: differences of states, so that none is lost and
/// none waits in a queue that grows. What came and went between two looks is none.
pub struct PeerEvents {
    book: Arc<Book>,
    changes: watch::Receiver<u64>,
    seen: BTreeMap<Party, Seen>,
    events: VecDeque<PeerEvent>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Seen {
    standing: Standing,
    online: BTreeSet<PeerId>,
    pinned: Option<Vec<PeerId>>,
}

impl Seen {
    /// Whether no pin speaks against a device.
    fn admits(&self, device: &PeerId) -> bool {
        self.pinned.as_ref().is_none_or(|pinned| pinned.contains(device))
    }
}

impl PeerEvents {
    pub(super) fn new(book: Arc<Book>) -> Self {
        let changes = book.changes.subscribe();
        Self { book, changes, seen: BTreeMap::new(), events: VecDeque::new() }
    }

    /// The next change. The first ones say what there is.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn next(&mut self) -> PeerEvent {
        loop {
            self.changes.mark_unchanged();
            self.look();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.changes.changed().await.is_err() {
                // The sender lives in the book, which this holds.
                core::future::pending::<()>().await;
            }
        }
    }

    /// The changes as a stream that owns itself.
    pub fn into_stream(self) -> impl Stream<Item = PeerEvent> + Send + Unpin + 'static {
        let next = |mut events: Self| async { Some((events.next().await, events)) };
        Box::pin(futures::stream::unfold(self, next))
    }

    fn look(&mut self) {
        if !self.events.is_empty() {
            return;
        }
        let now: BTreeMap<Party, Seen> = self.book.pages.lock().known.iter().map(seen).collect();
        let parties: BTreeSet<Party> = now.keys().chain(self.seen.keys()).copied().collect();
        for party in parties {
            let (before, after) = (self.seen.get(&party).cloned(), now.get(&party).cloned());
            self.tell(party, &before.unwrap_or_default(), &after.unwrap_or_default());
        }
        self.seen = now;
    }

    fn tell(&mut self, party: Party, before: &Seen, after: &Seen) {
        if before.standing != after.standing {
            self.events.extend(match after.standing {
                Standing::Asking => Some(PeerEvent::Requested(party)),
                Standing::Peer => Some(PeerEvent::Registered(party)),
                Standing::Declined => Some(PeerEvent::Declined(party)),
                Standing::Nothing => Some(PeerEvent::Removed(party)),
                Standing::Asked => None,
            });
        }
        let offline = before.online.difference(&after.online);
        self.events.extend(offline.map(|device| PeerEvent::Offline(party, *device)));
        for device in &after.online {
            let (was, is) =
                (before.online.contains(device).then(|| before.admits(device)), after.admits(device));
            if was == Some(is) {
                continue;
            }
            self.events.push_back(if is {
                PeerEvent::Online(party, *device)
            } else {
                let pinned = after.pinned.clone().unwrap_or_default();
                PeerEvent::IdentityChanged { party, pinned, found: *device }
            });
        }
    }
}

fn seen((party, known): (&Party, &Known)) -> (Party, Seen) {
    let pinned = known.pinned.as_ref().map(|pinned| pinned.devices.keys().copied().collect());
    (*party, Seen { standing: known.standing(), online: known.view.online.iter().copied().collect(), pinned })
}

impl core::fmt::Debug for PeerEvents {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PeerEvents({} parties)", self.seen.len())
    }
}
