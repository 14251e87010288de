//! Pairs of accounts, and vouches.

use super::setup::{Kind, account, alice, cid, code, device, most, new, peer};
use citadel_proto::backend::{Backend, MAX_PAGE, MAX_PAGE_BYTES, PairLimits, Revision, StoredPair, UnixTime};
use citadel_proto::peers::{Half, Pair, Stance};
use futures::future::join_all;
use rstest::rstest;

/// The longest statement, written again.
const MOST_BYTES: usize = 8_192;

fn half(stance: Stance, statement: &[u8]) -> Half {
    Half { stance, at: UnixTime(7), statement: statement.to_vec(), blocks: false }
}

/// The lower party asked.
fn asked(statement: &[u8]) -> Pair {
    Pair { lower: half(Stance::Asked, statement), ..Pair::default() }
}

/// The same a month and some seconds later: what was said at 7 is over.
fn a_month_later(pairs: usize, requests: usize) -> PairLimits {
    PairLimits { pairs, requests, now: UnixTime(8 + 30 * 86_400) }
}

async fn accounts(backend: &dyn Backend, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let name = format!("user-{number}");
        backend.create_account(account(number, &name), device(1)).await.unwrap();
    }
}

async fn others(backend: &dyn Backend, of: u64) -> Vec<u64> {
    let pairs = backend.pairs(cid(of), None, usize::MAX).await.unwrap();
    pairs.into_iter().map(|(other, _)| other.0).collect()
}

#[rstest]
#[tokio::test]
async fn a_pair_is_one_record_of_both(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    accounts(&*backend, 1..=2).await;
    assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap(), None);
    let halves = [
        half(Stance::Silent, b""),
        half(Stance::Asked, b"ask"),
        half(Stance::Accepted, b"acceptance"),
        half(Stance::Declined, b""),
        Half { blocks: true, ..Half::default() },
    ];
    let mut revision = None;
    for (lower, upper) in halves.iter().flat_map(|lower| halves.iter().map(move |upper| (lower, upper))) {
        let pair = Pair { lower: lower.clone(), upper: upper.clone() };
        // Whoever writes it, and whoever reads it.
        revision = backend.put_pair(cid(2), cid(1), &pair, revision, most(9)).await.unwrap();
        assert_eq!(revision.is_none(), pair.is_nothing());
        let stored = revision.map(|revision| StoredPair { pair, revision });
        assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap(), stored);
        assert_eq!(backend.pair(cid(2), cid(1)).await.unwrap(), stored);
        for (of, other) in [(1, 2), (2, 1)] {
            let listed = backend.pairs(cid(of), None, 9).await.unwrap();
            assert_eq!(listed, stored.iter().map(|s| (cid(other), s.clone())).collect::<Vec<_>>());
        }
    }
    assert!(revision.is_some());
}

#[rstest]
#[tokio::test]
async fn a_pair_is_changed_only_by_who_knows_it(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=3).await;
    let put = async |pair: &Pair, expected| backend.put_pair(cid(1), cid(2), pair, expected, most(9)).await;
    assert_eq!(code(put(&asked(b"1"), Some(Revision(1))).await), 4);
    let first = put(&asked(b"1"), None).await.unwrap().unwrap();
    assert_eq!(code(put(&asked(b"2"), None).await), 4);
    let second = put(&asked(b"2"), Some(first)).await.unwrap().unwrap();
    assert!(second > first);
    assert_eq!(code(put(&asked(b"3"), Some(first)).await), 4);
    assert_eq!(code(put(&Pair::default(), Some(first)).await), 4);
    assert_eq!(code(put(&Pair::default(), None).await), 4);
    assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap().unwrap().pair, asked(b"2"));
    assert_eq!(put(&Pair::default(), Some(second)).await.unwrap(), None);
    assert_eq!(put(&Pair::default(), None).await.unwrap(), None);
    assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap(), None);
    assert_eq!(code(put(&asked(b"3"), Some(second)).await), 4);
    let third = put(&asked(b"3"), None).await.unwrap().unwrap();
    assert!(third > second, "a pair that is made again never has an old revision");
    // Nor has one of which the other account is new.
    backend.remove_account(cid(2)).await.unwrap();
    accounts(&*backend, [2]).await;
    assert!(put(&asked(b"4"), None).await.unwrap().unwrap() > third);
    assert_eq!(code(backend.put_pair(cid(1), cid(1), &asked(b""), None, most(9)).await), 6);
    assert_eq!(code(backend.put_pair(cid(1), cid(9), &asked(b""), None, most(9)).await), 16);
    assert_eq!(code(backend.put_pair(cid(9), cid(1), &asked(b""), None, most(9)).await), 16);
    assert_eq!(others(&*backend, 1).await, [2]);
}

#[rstest]
#[tokio::test]
async fn neither_account_gets_more_pairs_than_it_may(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=4).await;
    let put = async |a, b, pair: &Pair, expected, limit| {
        backend.put_pair(cid(a), cid(b), pair, expected, most(limit)).await
    };
    assert_eq!(code(put(1, 2, &asked(b""), None, 0).await), 39);
    let first = put(1, 2, &asked(b""), None, 2).await.unwrap();
    put(1, 3, &asked(b""), None, 2).await.unwrap();
    assert_eq!(code(put(1, 4, &asked(b""), None, 2).await), 39);
    assert_eq!(code(put(4, 1, &asked(b""), None, 2).await), 39, "the other is full as well");
    put(4, 2, &asked(b""), None, 2).await.unwrap();
    // What is there may be changed, whatever the limit has become.
    let first = put(1, 2, &asked(b"again"), first, 0).await.unwrap();
    put(1, 2, &Pair::default(), first, 0).await.unwrap();
    put(1, 4, &asked(b""), None, 2).await.unwrap();
    // An account that goes makes room for those who had a pair with it.
    assert_eq!(code(put(1, 2, &asked(b""), None, 2).await), 39);
    backend.remove_account(cid(3)).await.unwrap();
    put(1, 2, &asked(b""), None, 2).await.unwrap();
    assert_eq!(others(&*backend, 1).await, [2, 4]);
}

#[rstest]
#[tokio::test]
async fn who_is_only_blocked_has_no_pair_to_count(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=5).await;
    let put =
        async |a, b, pair: &Pair, expected| backend.put_pair(cid(a), cid(b), pair, expected, most(1)).await;
    let blocks = || Half { blocks: true, ..Half::default() };
    let blocked = Pair { lower: blocks(), ..Pair::default() };
    let asks_all_the_same = Pair { upper: half(Stance::Asked, b"s"), ..blocked.clone() };
    // However many block 5, it may have the one pair that it may have.
    let first = put(1, 5, &blocked, None).await.unwrap();
    put(2, 5, &blocked, None).await.unwrap();
    assert_eq!(code(put(1, 4, &blocked, None).await), 39, "for who blocks it counts");
    put(3, 5, &asked(b"s"), None).await.unwrap();
    assert_eq!(others(&*backend, 5).await, [1, 2, 3]);
    assert_eq!(code(put(5, 1, &asks_all_the_same, first).await), 39);
    backend.remove_account(cid(2)).await.unwrap();
    assert_eq!(code(put(5, 1, &asks_all_the_same, first).await), 39, "5 had nothing of that");
    backend.remove_account(cid(3)).await.unwrap();
    assert_eq!(code(put(5, 1, &asks_all_the_same, first).await), 39, "1 has the one that it may have");
    let two = async |pair: &Pair, expected| backend.put_pair(cid(5), cid(1), pair, expected, most(2)).await;
    let second = two(&asks_all_the_same, first).await.unwrap();
    assert_eq!(code(put(4, 5, &asked(b"s"), None).await), 39);
    put(5, 1, &blocked, second).await.unwrap();
    put(4, 5, &asked(b"s"), None).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn fix_0050_what_is_over_takes_no_room(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    accounts(&*backend, 1..=5).await;
    let declined = Pair { lower: half(Stance::Declined, b""), ..Pair::default() };
    let peers = Pair { lower: half(Stance::Asked, b"a"), upper: half(Stance::Accepted, b"b") };
    for (other, pair) in [(2, &declined), (3, &asked(b"s")), (4, &peers)] {
        backend.put_pair(cid(1), cid(other), pair, None, most(3)).await.unwrap();
    }
    let put = async |limits| backend.put_pair(cid(1), cid(5), &asked(b"s"), None, limits).await;
    assert_eq!(code(put(most(3)).await), 39);
    assert_eq!(code(put(PairLimits { now: UnixTime(7 + 30 * 86_400), ..most(3) }).await), 39, "not yet over");
    assert_eq!(code(put(a_month_later(1, 9)).await), 39, "peers are never over");
    assert_eq!(others(&*backend, 1).await, [2, 3, 4], "what fails takes nothing out");
    put(a_month_later(3, 9)).await.unwrap();
    assert_eq!(others(&*backend, 1).await, [4, 5]);
    assert_eq!(others(&*backend, 3).await, [0_u64; 0], "nor does the other one keep it");
    let outlines: Vec<u64> =
        backend.outlines(cid(1)).await.unwrap().into_iter().map(|(other, _)| other.0).collect();
    assert_eq!(outlines, [4, 5]);
    // And both have room again, each for what it may have.
    backend.put_pair(cid(3), cid(2), &asked(b"s"), None, most(1)).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn fix_0050_a_change_that_needs_room_takes_a_bounded_number_of_pairs_out(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=202).await;
    for other in 2..=201 {
        backend.put_pair(cid(1), cid(other), &asked(b"s"), None, most(200)).await.unwrap();
    }
    let later = a_month_later(200, 9);
    backend.put_pair(cid(1), cid(202), &asked(b"s"), None, later).await.unwrap();
    assert_eq!(others(&*backend, 1).await.len(), 200 - 64 + 1);
}

#[rstest]
#[tokio::test]
async fn fix_0052_so_many_requests_wait_for_an_account_and_no_more(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=9).await;
    let asks = |at| Pair { upper: Half { at: UnixTime(at), ..half(Stance::Asked, b"s") }, ..Pair::default() };
    let limits = |at| PairLimits { pairs: 9, requests: 2, now: UnixTime(at) };
    let ask = async |other, at| backend.put_pair(cid(1), cid(other), &asks(at), None, limits(at)).await;
    let first = ask(2, 7).await.unwrap();
    ask(3, 8).await.unwrap();
    assert_eq!(code(ask(4, 9).await), 42);
    // Who asked already may ask again; one who is blocked is told what everybody is told.
    backend.put_pair(cid(1), cid(2), &asks(9), first, limits(9)).await.unwrap();
    let blocks = Pair { lower: Half { blocks: true, ..Half::default() }, ..Pair::default() };
    let blocked = backend.put_pair(cid(1), cid(5), &blocks, None, limits(9)).await.unwrap();
    let asks_all_the_same = Pair { upper: asks(9).upper, ..blocks.clone() };
    let put = async |pair: &Pair| backend.put_pair(cid(1), cid(5), pair, blocked, limits(9)).await;
    assert_eq!(code(put(&asks_all_the_same).await), 42);
    // Three seconds short of a month later one of the two is over.
    let later = 9 + 30 * 86_400;
    ask(4, later).await.unwrap();
    assert_eq!(code(ask(6, later).await), 42);
    assert_eq!(others(&*backend, 1).await, [2, 4, 5]);
    // An answer makes room, and so does who is gone.
    let declined = Pair { lower: half(Stance::Declined, b""), ..Pair::default() };
    let stored = backend.pair(cid(1), cid(2)).await.unwrap().unwrap().revision;
    backend.put_pair(cid(1), cid(2), &declined, Some(stored), limits(later)).await.unwrap();
    ask(6, later).await.unwrap();
    assert_eq!(code(ask(7, later).await), 42);
    backend.remove_account(cid(6)).await.unwrap();
    ask(7, later).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn fix_0052_outlines_are_short_whatever_was_signed(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=4).await;
    let long = vec![7; MOST_BYTES];
    let peers = Pair { lower: half(Stance::Asked, &long), upper: half(Stance::Accepted, &long) };
    let blocked = Pair { upper: Half { blocks: true, ..Half::default() }, ..Pair::default() };
    for (other, pair) in [(2, &peers), (3, &blocked), (4, &asked(&long))] {
        backend.put_pair(cid(1), cid(other), pair, None, most(9)).await.unwrap();
    }
    let bare = Pair { lower: half(Stance::Asked, b""), upper: half(Stance::Accepted, b"") };
    let mine = backend.outlines(cid(1)).await.unwrap();
    assert_eq!(mine, [(cid(2), bare), (cid(4), asked(b""))], "who only blocks it is none of its pairs");
    assert_eq!(backend.outlines(cid(3)).await.unwrap(), [(cid(1), blocked)]);
    assert_eq!(backend.outlines(cid(9)).await.unwrap(), []);
}

#[rstest]
#[tokio::test]
async fn pairs_are_listed_in_pages_by_rising_cid(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, [5, 300, 1, 2, 7]).await;
    for other in [300, 1, 7] {
        backend.put_pair(cid(5), cid(other), &asked(b"s"), None, most(9)).await.unwrap();
    }
    backend.put_pair(cid(1), cid(2), &asked(b"s"), None, most(9)).await.unwrap();
    let numbers = async |after: Option<u64>, limit| {
        let page = backend.pairs(cid(5), after.map(cid), limit).await.unwrap();
        page.into_iter().map(|(other, _)| other.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, usize::MAX).await, [1, 7, 300]);
    assert_eq!(numbers(None, 2).await, [1, 7]);
    assert_eq!(numbers(Some(1), 1).await, [7]);
    assert_eq!(numbers(Some(7), 9).await, [300]);
    assert_eq!(numbers(Some(300), 9).await, [0_u64; 0]);
    assert_eq!(numbers(None, 0).await, [0_u64; 0]);
    assert_eq!((others(&*backend, 1).await, others(&*backend, 9).await), (vec![2, 5], vec![]));
}

#[rstest]
#[tokio::test]
async fn a_page_of_pairs_ends_before_it_outgrows_a_message(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=20).await;
    let long = vec![7; MOST_BYTES];
    let peers = Pair { lower: half(Stance::Asked, &long), upper: half(Stance::Accepted, &long) };
    for other in 2..=20 {
        backend.put_pair(cid(1), cid(other), &peers, None, most(MAX_PAGE)).await.unwrap();
    }
    let page = backend.pairs(cid(1), None, usize::MAX).await.unwrap();
    let bytes = page.len() * 2 * MOST_BYTES;
    assert!(page.len() < 19 && bytes < MAX_PAGE_BYTES + 2 * MOST_BYTES, "{bytes} bytes");
    assert!(page.iter().all(|(_, stored)| stored.pair == peers));
    let rest = backend.pairs(cid(1), page.last().map(|(other, _)| *other), usize::MAX).await.unwrap();
    assert_eq!(page.len() + rest.len(), 19);
}

#[rstest]
#[tokio::test]
async fn a_statement_has_a_longest_length(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    accounts(&*backend, 1..=2).await;
    let (long, longer) = (vec![7; MOST_BYTES], vec![7; MOST_BYTES + 1]);
    let put = async |pair: &Pair| backend.put_pair(cid(1), cid(2), pair, None, most(9)).await;
    assert_eq!(code(put(&asked(&longer)).await), 41);
    let upper = half(Stance::Asked, &longer);
    assert_eq!(code(put(&Pair { upper, ..Pair::default() }).await), 41);
    put(&asked(&long)).await.unwrap();
    assert_eq!(code(backend.put_vouch(cid(1), peer(1), peer(2), &longer, 9).await), 41);
    backend.put_vouch(cid(1), peer(1), peer(2), &long, 9).await.unwrap();
    assert_eq!(backend.vouches(cid(1)).await.unwrap(), [long]);
}

#[rstest]
#[tokio::test]
async fn a_vouch_is_kept_for_each_subject_and_signer(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=2).await;
    let put = async |subject, signer, statement: &'static [u8], most| {
        backend.put_vouch(cid(1), peer(subject), peer(signer), statement, most).await
    };
    assert_eq!(code(backend.put_vouch(cid(9), peer(1), peer(1), b"", 9).await), 16);
    assert_eq!(code(put(1, 1, b"", 0).await), 40);
    for (subject, signer, statement) in [(2, 1, b"2 by 1"), (1, 2, b"1 by 2"), (2, 3, b"2 by 3")] {
        put(subject, signer, statement, 3).await.unwrap();
    }
    assert_eq!(code(put(3, 1, b"3 by 1", 3).await), 40);
    put(2, 1, b"2 by 1 again", 3).await.unwrap();
    let all: [&[u8]; 3] = [b"1 by 2", b"2 by 1 again", b"2 by 3"];
    assert_eq!(backend.vouches(cid(1)).await.unwrap(), all);
    backend.put_vouch(cid(2), peer(1), peer(2), b"of another", 1).await.unwrap();
    assert_eq!(backend.vouches(cid(1)).await.unwrap(), all);
    assert_eq!(backend.vouches(cid(9)).await.unwrap(), [[0_u8; 0]; 0]);
}

#[rstest]
#[tokio::test]
async fn a_removed_account_is_in_no_pair_and_nobody_vouches_in_it(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    accounts(&*backend, 2..=300).await;
    for other in 2..=300 {
        backend.put_pair(cid(1), cid(other), &asked(b"s"), None, most(MAX_PAGE)).await.unwrap();
    }
    backend.put_pair(cid(2), cid(3), &asked(b"s"), None, most(MAX_PAGE)).await.unwrap();
    for of in [1, 2] {
        backend.put_vouch(cid(of), peer(1), peer(2), b"vouch", 9).await.unwrap();
    }
    let had = backend.remove_account(cid(1)).await.unwrap().unwrap();
    assert!(had.into_iter().eq((2..=300).map(cid)));
    assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap(), None);
    assert_eq!(backend.pair(cid(2), cid(1)).await.unwrap(), None);
    assert_eq!(others(&*backend, 1).await, [0_u64; 0]);
    for (other, left) in [(2, vec![3]), (3, vec![2]), (4, vec![]), (300, vec![])] {
        assert_eq!(others(&*backend, other).await, left, "of {other}");
    }
    assert_eq!(backend.vouches(cid(1)).await.unwrap(), [[0_u8; 0]; 0]);
    assert_eq!(backend.vouches(cid(2)).await.unwrap(), [b"vouch"]);
    assert_eq!(code(backend.put_pair(cid(1), cid(2), &asked(b""), None, most(9)).await), 16);
    assert_eq!(code(backend.put_vouch(cid(1), peer(1), peer(2), b"", 9).await), 16);
    // Each of the others has room for one pair again.
    alice(&*backend).await;
    backend.put_pair(cid(1), cid(300), &asked(b"s"), None, most(1)).await.unwrap();
    assert_eq!(code(backend.put_pair(cid(4), cid(2), &asked(b"s"), None, most(1)).await), 39);
}

#[rstest]
#[tokio::test]
async fn of_many_who_make_a_pair_at_once_one_does(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    accounts(&*backend, 1..=2).await;
    let all = (0..16_u8).map(|number| {
        let backend = backend.clone();
        let (a, b) = if number % 2 == 0 { (cid(1), cid(2)) } else { (cid(2), cid(1)) };
        async move { backend.put_pair(a, b, &asked(&[number]), None, most(9)).await }
    });
    let results = join_all(all).await;
    let winner = results.iter().position(Result::is_ok).unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.into_iter().filter(Result::is_err).all(|result| code(result) == 4));
    let found = backend.pair(cid(1), cid(2)).await.unwrap().unwrap();
    assert_eq!(usize::from(found.pair.lower.statement[0]), winner);
}
