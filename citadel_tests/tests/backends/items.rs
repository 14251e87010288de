//! Mail, values and tickets.

use super::setup::{Kind, account, alice, cid, code, device, new};
use citadel_proto::backend::{
    Expect, MAX_PAGE_BYTES, Mail, MailId, Quota, Space, TicketName, UnixTime, ValueVersion, Versioned,
};
use futures::future::join_all;
use rstest::rstest;

const QUOTA: Quota = Quota::DEFAULT;

#[rstest]
#[tokio::test]
async fn mail_is_numbered_listed_and_removed_in_order(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    for number in 1..=5_u8 {
        assert_eq!(backend.push_mail(cid(1), &[number], QUOTA).await.unwrap(), MailId(u64::from(number)));
    }
    let mail = |id: u64, item: u8| Mail { id: MailId(id), item: vec![item] };
    assert_eq!(backend.mail(cid(1), None, 2).await.unwrap(), [mail(1, 1), mail(2, 2)]);
    assert_eq!(backend.mail(cid(1), Some(MailId(4)), 9).await.unwrap(), [mail(5, 5)]);
    assert_eq!(backend.remove_mail(cid(1), MailId(3)).await.unwrap(), 3);
    assert_eq!(backend.remove_mail(cid(1), MailId(3)).await.unwrap(), 0);
    assert_eq!(backend.remove_mail(cid(1), MailId(99)).await.unwrap(), 2);
    assert_eq!(backend.push_mail(cid(1), &[6], QUOTA).await.unwrap(), MailId(6), "a number is never reused");
    assert_eq!(backend.mail(cid(2), None, 9).await.unwrap(), []);
    assert_eq!(backend.remove_mail(cid(2), MailId(9)).await.unwrap(), 0);
}

#[rstest]
#[tokio::test]
async fn a_full_mailbox_takes_mail_again_once_some_is_removed(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    let quota = Quota { items: 2, bytes: 10 };
    assert_eq!(code(backend.push_mail(cid(1), &[0; 11], quota).await), 35);
    backend.push_mail(cid(1), &[0; 4], quota).await.unwrap();
    assert_eq!(code(backend.push_mail(cid(1), &[0; 7], quota).await), 35);
    backend.push_mail(cid(1), &[0; 6], quota).await.unwrap();
    assert_eq!(code(backend.push_mail(cid(1), &[], quota).await), 35);
    backend.remove_mail(cid(1), MailId(1)).await.unwrap();
    assert_eq!(backend.push_mail(cid(1), &[0; 4], quota).await.unwrap(), MailId(3));
    assert_eq!(code(backend.push_mail(cid(1), &vec![0; Mail::MAX_LEN + 1], QUOTA).await), 34);
    assert_eq!(code(backend.push_mail(cid(2), b"", QUOTA).await), 16);
}

#[rstest]
#[tokio::test]
async fn a_page_ends_before_it_outgrows_a_message(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    let (space, big) = (Space::of(cid(1)), vec![7; Space::MAX_VALUE]);
    for number in 0..8_u8 {
        backend.push_mail(cid(1), &big, QUOTA).await.unwrap();
        backend.put_value(space, &[number], &big, Expect::Absent, QUOTA).await.unwrap();
    }
    let page = backend.list_values(space, b"", None, 99).await.unwrap();
    let bytes: usize = page.entries.iter().map(|entry| entry.key.len() + entry.versioned.value.len()).sum();
    assert!(page.more && bytes < MAX_PAGE_BYTES + Space::MAX_VALUE + Space::MAX_KEY, "{bytes} bytes");
    let last = &page.entries.last().unwrap().key;
    let rest = backend.list_values(space, b"", Some(last), 99).await.unwrap();
    assert_eq!((page.entries.len() + rest.entries.len(), rest.more), (8, false));
    assert_eq!(backend.mail(cid(1), None, 99).await.unwrap().len(), 4);
}

#[rstest]
#[tokio::test]
async fn a_value_is_set_only_as_expected(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    let space = Space::of(cid(1));
    let put =
        async |value: &'static [u8], expect| backend.put_value(space, b"key", value, expect, QUOTA).await;
    assert_eq!(code(put(b"0", Expect::Version(ValueVersion(1))).await), 5);
    let first = put(b"1", Expect::Absent).await.unwrap();
    assert_eq!(code(put(b"2", Expect::Absent).await), 5);
    let second = put(b"2", Expect::Version(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(code(put(b"3", Expect::Version(first)).await), 5);
    let found = backend.value(space, b"key").await.unwrap();
    assert_eq!(found, Some(Versioned { version: second, value: b"2".to_vec() }));
    assert_eq!(code(backend.delete_value(space, b"key", Expect::Version(first)).await), 5);
    assert!(backend.delete_value(space, b"key", Expect::Version(second)).await.unwrap());
    assert!(!backend.delete_value(space, b"key", Expect::Any).await.unwrap());
    let third = put(b"4", Expect::Any).await.unwrap();
    assert!(third > second, "a key that was deleted never has an old version");
    assert_eq!(backend.value(space, b"other").await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn spaces_do_not_meet(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    backend.create_account(account(2, "bob"), device(2)).await.unwrap();
    let spaces = [
        Space::of(cid(1)),
        Space::about(cid(1), cid(0)),
        Space::about(cid(1), cid(2)),
        Space::of(cid(2)),
        Space::about(cid(2), cid(1)),
    ];
    for (number, space) in spaces.iter().enumerate() {
        let value = [u8::try_from(number).unwrap()];
        backend.put_value(*space, b"\0\0key", &value, Expect::Absent, QUOTA).await.unwrap();
    }
    for (number, space) in spaces.iter().enumerate() {
        let page = backend.list_values(*space, b"", None, 9).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(usize::from(page.entries[0].versioned.value[0]), number);
    }
}

#[rstest]
#[tokio::test]
async fn keys_are_listed_by_prefix(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    let space = Space::of(cid(1));
    let all: [&[u8]; 7] = [b"", b"a", b"a/1", b"a/2", b"a/2/x", b"b", b"\xff\xff"];
    for key in all {
        backend.put_value(space, key, b"v", Expect::Absent, QUOTA).await.unwrap();
    }
    let list = async |prefix: &'static [u8], after: Option<&'static [u8]>, limit| {
        let page = backend.list_values(space, prefix, after, limit).await.unwrap();
        (page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), page.more)
    };
    let keys = |keys: &[&[u8]]| keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>();
    assert_eq!(list(b"", None, 99).await, (keys(&all), false));
    assert_eq!(list(b"a/", None, 2).await, (keys(&[b"a/1", b"a/2"]), true));
    assert_eq!(list(b"a/", Some(b"a/2"), 2).await, (keys(&[b"a/2/x"]), false));
    assert_eq!(list(b"a/", Some(b"a"), 1).await, (keys(&[b"a/1"]), true));
    assert_eq!(list(b"a/", Some(b"z"), 9).await, (keys(&[]), false));
    assert_eq!(list(b"\xff", None, 9).await, (keys(&[b"\xff\xff"]), false));
    assert_eq!(list(b"c", None, 9).await, (keys(&[]), false));
    assert_eq!(list(b"a", None, 0).await, (keys(&[]), true));
}

#[rstest]
#[tokio::test]
async fn values_keep_within_their_limits(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    let space = Space::of(cid(1));
    let put = async |key: Vec<u8>, len: usize, quota| {
        backend.put_value(space, &key, &vec![1; len], Expect::Any, quota).await
    };
    assert_eq!(code(put(vec![1; Space::MAX_KEY + 1], 1, QUOTA).await), 32);
    assert_eq!(code(put(vec![1], Space::MAX_VALUE + 1, QUOTA).await), 33);
    put(vec![1; Space::MAX_KEY], Space::MAX_VALUE, QUOTA).await.unwrap();
    assert!(backend.delete_value(space, &[1; Space::MAX_KEY], Expect::Any).await.unwrap());
    let tight = Quota { items: 2, bytes: 20 };
    put(vec![1], 9, tight).await.unwrap();
    assert_eq!(code(put(vec![2], 10, tight).await), 35);
    put(vec![2], 9, tight).await.unwrap();
    assert_eq!(code(put(vec![3], 0, tight).await), 35);
    assert_eq!(code(put(vec![1], 10, tight).await), 35);
    let tighter = Quota { items: 1, bytes: 5 };
    put(vec![1], 8, tighter).await.unwrap();
    assert_eq!(code(put(vec![1], 9, tighter).await), 35);
    // Both spaces of an account share its quota.
    let about = Space::about(cid(1), cid(2));
    assert_eq!(code(backend.put_value(about, b"", b"", Expect::Any, tight).await), 35);
}

#[rstest]
#[tokio::test]
async fn of_many_who_set_an_absent_key_at_once_one_does(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    let space = Space::of(cid(1));
    let all = (0..16_u8).map(|number| {
        let backend = backend.clone();
        async move { backend.put_value(space, b"lock", &[number], Expect::Absent, QUOTA).await }
    });
    let results = join_all(all).await;
    let winner = results.iter().position(Result::is_ok).unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let found = backend.value(space, b"lock").await.unwrap().unwrap();
    assert_eq!(usize::from(found.value[0]), winner);
}

#[rstest]
#[tokio::test]
async fn a_counter_by_compare_and_set_loses_no_step(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    let space = Space::of(cid(1));
    let start = backend.put_value(space, b"n", &0_u64.to_le_bytes(), Expect::Absent, QUOTA).await.unwrap();
    let all = (0..8).map(|_| {
        let backend = backend.clone();
        async move {
            for _ in 0..5 {
                loop {
                    let found = backend.value(space, b"n").await.unwrap().unwrap();
                    let number = u64::from_le_bytes(found.value.try_into().unwrap()) + 1;
                    let expect = Expect::Version(found.version);
                    if backend.put_value(space, b"n", &number.to_le_bytes(), expect, QUOTA).await.is_ok() {
                        break;
                    }
                }
            }
        }
    });
    join_all(all).await;
    let found = backend.value(space, b"n").await.unwrap().unwrap();
    assert_eq!((found.value, found.version.0), (40_u64.to_le_bytes().to_vec(), start.0 + 40));
}

#[rstest]
#[tokio::test]
async fn a_ticket_is_taken_once_and_before_it_expires(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    let name = |name: &str| TicketName::new(name).unwrap();
    let take = async |of: &str, now| {
        let taken = backend.take_ticket(&name(of), UnixTime(now)).await.unwrap();
        taken.map(|secret| secret.to_vec())
    };
    for (of, expires) in [("a", 10), ("b", 10), ("c", 20), ("d", 30)] {
        backend.put_ticket(&name(of), of.as_bytes(), UnixTime(expires)).await.unwrap();
    }
    assert_eq!(take("a", 9).await, Some(b"a".to_vec()));
    assert_eq!(take("a", 9).await, None);
    assert_eq!(take("b", 10).await, None);
    backend.put_ticket(&name("d"), b"new", UnixTime(40)).await.unwrap();
    assert_eq!(backend.purge_tickets(UnixTime(30)).await.unwrap(), 1);
    assert_eq!(backend.purge_tickets(UnixTime(30)).await.unwrap(), 0);
    assert_eq!(take("c", 0).await, None);
    assert_eq!(take("d", 30).await, Some(b"new".to_vec()));
    let long = vec![0; TicketName::MAX_SECRET + 1];
    assert_eq!(code(backend.put_ticket(&name("e"), &long, UnixTime(1)).await), 38);
    assert_eq!((code(TicketName::new("")), code(TicketName::new([0; 129]))), (37, 37));
}

#[rstest]
#[tokio::test]
async fn a_dropped_future_leaves_the_next_one_its_turn(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    use futures::FutureExt;
    let backend = new(kind);
    alice(&*backend).await;
    for _ in 0..20 {
        let _dropped_at_its_first_poll = backend.push_mail(cid(1), b"x", QUOTA).now_or_never();
    }
    backend.flush().await.unwrap();
    let mail = backend.mail(cid(1), None, 99).await.unwrap();
    let ids: Vec<_> = mail.iter().map(|mail| mail.id.0).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "each was done or not, in order");
    assert!(backend.push_mail(cid(1), b"x", QUOTA).await.is_ok());
}
