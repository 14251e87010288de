//! The pins in memory beside those in the store: in order, and never more trust than what was acknowledged.

use super::*;
use crate::peers::driver::book::{Book, Standing};
use crate::peers::message::View;
use crate::peers::statement::{PeerRequest, Vouch, check_request};
use crate::peers::{FilePins, MemoryPins, Shown};
use async_trait::async_trait;
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use futures::poll;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

const SERVER: PeerId = PeerId([7; 32]);
const OWN: Party = Party::Account(Cid(1));
const OTHER: Party = Party::Account(Cid(2));
const HERE: Here = Here { server: SERVER, own: OWN };
const KEY: PinKey = (SERVER, OTHER);

/// A store that waits before it keeps anything, or fails.
struct Slow {
    kept: MemoryPins,
    may_keep: Semaphore,
    fails: AtomicBool,
}

impl Slow {
    fn new() -> Arc<Self> {
        let may_keep = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { kept: MemoryPins::new(), may_keep, fails: AtomicBool::new(false) })
    }

    async fn of(&self, party: Party) -> PinRecord {
        self.kept.load().await.unwrap().remove(&(SERVER, party)).unwrap_or_default()
    }
}

#[async_trait]
impl PinStore for Slow {
    async fn load(&self) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError> {
        self.kept.load().await
    }

    async fn put(&self, key: PinKey, record: Option<PinRecord>) -> Result<(), PinStoreError> {
        let _permit = self.may_keep.acquire().await.unwrap();
        if self.fails.load(Ordering::Relaxed) {
            return Err(PinStoreError::Full);
        }
        self.kept.put(key, record).await
    }
}

struct Scene {
    own: Identity,
    other: Identity,
    book: PinBook,
}

async fn scene(store: Arc<dyn PinStore>) -> Scene {
    scene_of(store, Identity::generate(), Identity::generate()).await
}

async fn scene_of(store: Arc<dyn PinStore>, own: Identity, other: Identity) -> Scene {
    let book = PinBook::load(store, own.peer_id(), TaskTracker::new()).await.unwrap();
    Scene { own, other, book }
}

impl Scene {
    fn at(&self) -> Standpoint {
        let (device, siblings) = (self.own.peer_id(), self.book.siblings(HERE));
        Standpoint { server: SERVER, own: OWN, device, siblings, other: OTHER }
    }

    /// This end asks at the time `now`, and the other one accepts.
    async fn agreed(&self, now: u64) -> (Vec<u8>, Vec<u8>) {
        let request = PeerRequest::new(&Native, &self.at(), StatementNumber(0), None).unwrap();
        let said = move |number| PeerRequest { number, ..request }.into();
        let request = self.book.say(HERE, OTHER, now, said).await.unwrap().unwrap();
        let request = request.sign(&self.own).unwrap();
        let (device, siblings) = (self.other.peer_id(), BTreeSet::new());
        let there = Standpoint { server: SERVER, own: OTHER, device, siblings, other: OWN };
        let acceptance = check_request(&request, &there, None).unwrap().acceptance(StatementNumber(1));
        let acceptance = Statement::from(acceptance).sign(&self.other).unwrap();
        (request, acceptance)
    }

    fn allows(&self) -> Result<PeerTrust, PinError> {
        self.book.allows(KEY, self.other.peer_id())
    }
}

#[tokio::test]
async fn fix_0040_a_change_is_made_in_its_turn_whether_or_not_anybody_waits_for_it() {
    let store = Slow::new();
    let scene = scene(store.clone()).await;
    let old = scene.agreed(1).await;
    scene.book.pin(scene.at(), old, &[]).await.unwrap();
    let new = scene.agreed(9).await;
    let all = store.may_keep.forget_permits(Semaphore::MAX_PERMITS);
    {
        let removed = pin!(scene.book.withdraw(HERE, OTHER, 5, true));
        assert!(poll!(removed).is_pending());
    }
    let mut pinned = pin!(scene.book.pin(scene.at(), new.clone(), &[]));
    assert!(poll!(&mut pinned).is_pending());
    store.may_keep.add_permits(all);
    pinned.await.unwrap_err();
    // What was dropped is done: the second agreement is older than the removal, whose number is that of the last request.
    assert_eq!(store.of(OTHER).await.withdrawn(), Some(StatementNumber(9)));
    assert_eq!(scene.allows(), Err(PinError::Unknown));
    let newest = scene.agreed(5).await;
    scene.book.pin(scene.at(), newest, &[]).await.unwrap();
    assert!(scene.allows().is_ok());
}

#[tokio::test]
async fn fix_0041_nobody_is_let_in_by_a_pin_that_is_not_known_to_be_kept() {
    let store = Slow::new();
    let scene = scene(store.clone()).await;
    let agreed = scene.agreed(1).await;
    store.fails.store(true, Ordering::Relaxed);
    assert_eq!(scene.book.pin(scene.at(), agreed.clone(), &[]).await, Err(PinError::NotKept));
    assert_eq!(scene.allows(), Err(PinError::NotKept));
    store.fails.store(false, Ordering::Relaxed);
    scene.book.pin(scene.at(), agreed.clone(), &[]).await.unwrap();
    assert!(scene.allows().is_ok());
    // Who is there may stay if it is one of the party's before and after the change.
    store.fails.store(true, Ordering::Relaxed);
    let device = scene.other.peer_id();
    scene.book.mark_verified(HERE, OTHER, device).await.unwrap_err();
    assert_eq!((scene.allows(), scene.book.is_out(KEY, device)), (Err(PinError::NotKept), false));
    // A removal that was not kept lets nobody in either, and the next change that is kept is the truth, in both.
    scene.book.withdraw(HERE, OTHER, 1, true).await.unwrap_err();
    assert_eq!((scene.allows(), scene.book.is_out(KEY, device)), (Err(PinError::NotKept), true));
    store.fails.store(false, Ordering::Relaxed);
    let before = store.of(OTHER).await;
    scene.book.pin(scene.at(), agreed, &[]).await.unwrap();
    assert!(scene.allows().is_ok());
    assert_eq!(store.of(OTHER).await, before);
    scene.book.withdraw(HERE, OTHER, 1, true).await.unwrap();
    assert_eq!(scene.allows(), Err(PinError::Unknown));
    assert!(store.of(OTHER).await.is_withdrawal());
}

#[tokio::test]
async fn fix_0036_numbers_rise_through_restarts_and_clocks_that_go_back() {
    let store = Arc::new(MemoryPins::new());
    let mut last = StatementNumber(0);
    let own = Arc::new(Identity::generate());
    for now in [7, 7, 7, 3, 0, 8] {
        let book = PinBook::load(store.clone(), own.peer_id(), TaskTracker::new()).await.unwrap();
        for of_own in [false, true] {
            let device = PeerId([u8::try_from(last.0).unwrap(); 32]);
            let vouch = move |number| Vouch { server: SERVER, account: Cid(1), device, number }.into();
            let decline = |number| {
                let (from, to, nonce, expected) = (OWN, OTHER, [0; 16], None);
                PeerRequest { server: SERVER, from, to, nonce, number, expected }.into()
            };
            let said = match of_own {
                true => book.say(HERE, OWN, now, vouch).await,
                false => book.say(HERE, OTHER, now, decline).await,
            };
            let number = said.unwrap().unwrap().number();
            assert!(number > last && number.0 >= now, "{number:?} after {last:?} at {now}");
            last = number;
        }
    }
    assert_eq!(last, StatementNumber(18));
}

#[tokio::test]
async fn fix_0043_what_was_taken_back_is_remembered_by_the_file() {
    let path = std::env::temp_dir().join(format!("citadel-pin-book-{}", std::process::id()));
    let removed = |path: &std::path::Path| {
        let lock = path.with_extension("lock");
        [path, &lock].map(|path| std::fs::remove_file(path).is_ok())
    };
    removed(&path);
    let first = scene(Arc::new(FilePins::new(&path))).await;
    let agreed = first.agreed(1).await;
    first.book.pin(first.at(), agreed.clone(), &[]).await.unwrap();
    first.book.withdraw(HERE, OTHER, 1, true).await.unwrap();
    let Scene { own, other, book } = first;
    drop(book);
    let second = scene_of(Arc::new(FilePins::new(&path)), own, other).await;
    assert_eq!(second.book.pin(second.at(), agreed, &[]).await, Err(PinError::Withdrawn));
    let agreed = second.agreed(1).await;
    second.book.pin(second.at(), agreed, &[]).await.unwrap();
    drop(second);
    assert_eq!(removed(&path), [true, true]);
}

#[tokio::test]
async fn withdrawals_are_bounded_and_none_is_forgotten() {
    let store = Arc::new(MemoryPins::new());
    let scene = scene(store.clone()).await;
    let agreed = scene.agreed(1).await;
    scene.book.pin(scene.at(), agreed.clone(), &[]).await.unwrap();
    scene.book.withdraw(HERE, OTHER, 1, true).await.unwrap();
    for number in 0..1_100 {
        scene.book.withdraw(HERE, Party::Account(Cid(100 + number)), 2 + number, true).await.unwrap();
    }
    let kept = store.load().await.unwrap();
    // One more is the own account's.
    assert_eq!(kept.len(), 1_024 + 1);
    assert!(!kept.contains_key(&KEY));
    assert_eq!(scene.book.pin(scene.at(), agreed, &[]).await, Err(PinError::Withdrawn));
    let agreed = scene.agreed(0).await;
    scene.book.pin(scene.at(), agreed, &[]).await.unwrap();
}

#[tokio::test]
async fn another_device_that_uses_the_same_pins_begins_with_itself() {
    let store = Arc::new(MemoryPins::new());
    let (first, phone) = (scene(store.clone()).await, Identity::generate().peer_id());
    let vouch = move |number| Vouch { server: SERVER, account: Cid(1), device: phone, number }.into();
    first.book.say(HERE, OWN, 5, vouch).await.unwrap().unwrap();
    assert_eq!(first.book.siblings(HERE), BTreeSet::from([phone]));
    let second = scene(store).await;
    assert_eq!(second.book.siblings(HERE), BTreeSet::new());
    second.book.say(HERE, OWN, 5, vouch).await.unwrap().unwrap();
    assert_eq!(second.book.siblings(HERE), BTreeSet::from([phone]));
}

/// What the server shows of the two once they are peers.
fn view((mine, theirs): (Vec<u8>, Vec<u8>)) -> View {
    let (shown, online, vouches) = (Shown::Peers { mine, theirs }, Vec::new(), Vec::new());
    View { party: OTHER, user: None, display_name: None, shown, blocked: false, online, vouches }
}

/// The feed is between the two: it has pinned what it was shown, and has not said so yet.
#[tokio::test]
async fn fix_0074_what_was_taken_back_while_it_was_pinned_is_shown_as_no_peer() {
    for is_known in [false, true] {
        for forgets in [false, true] {
            let (scene, book) = (scene(Arc::new(MemoryPins::new())).await, Book::new());
            let teller = book.begin();
            let agreed = scene.agreed(1).await;
            scene.book.pin(scene.at(), agreed.clone(), &[]).await.unwrap();
            let shows = |agreed| book.put(teller, view(agreed), None, || scene.book.stands(KEY));
            if is_known {
                shows(agreed.clone());
            }
            scene.book.withdraw(HERE, OTHER, 1, forgets).await.unwrap();
            book.withdraw(OTHER);
            shows(agreed);
            let known = book.get(OTHER).unwrap();
            assert_eq!((known.standing(), known.pinned), (Standing::Nothing, None), "{is_known} {forgets}");
        }
    }
}
