//! Accounts and their devices.

use super::setup::{Kind, account, alice, cid, code, device, new, peer, user};
use citadel_crypt::handshake::DisplayName;
use citadel_proto::backend::{
    AccountChange, Expect, MAX_REVOKED, Member, PasswordHash, Quota, Revision, RevokeDevices, Space, UnixTime,
};
use futures::future::join_all;
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn an_account_is_found_by_cid_and_by_user_name(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    assert_eq!(backend.account(cid(1)).await.unwrap(), None);
    alice(&*backend).await;
    let found = backend.account(cid(1)).await.unwrap().unwrap();
    assert_eq!((found.user.as_str(), found.display_name.as_str()), ("alice", "Somebody"));
    assert_eq!((found.created, found.blocked, found.revision), (UnixTime(100), false, Revision(1)));
    assert_eq!(found.password.expose(), "$argon2id$first-hash");
    assert_eq!(backend.account_by_user(&user("alice")).await.unwrap(), Some(found));
    assert_eq!(backend.account_by_user(&user("Alice")).await.unwrap(), None);
    assert_eq!(backend.account_by_user(&user("alic")).await.unwrap(), None);
    assert_eq!(backend.devices(cid(1)).await.unwrap(), [device(1)]);
}

#[rstest]
#[tokio::test]
async fn a_member_is_an_account_with_the_device_that_was_asked_for(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    assert_eq!(backend.member(cid(1), peer(1)).await.unwrap(), None);
    assert_eq!(backend.member_by_user(&user("alice"), peer(1)).await.unwrap(), None);
    alice(&*backend).await;
    backend.create_account(account(2, "bob"), device(2)).await.unwrap();
    let account = backend.account(cid(1)).await.unwrap().unwrap();
    // Her own device, nobody's, and that of another account.
    for (number, has_it) in [(1, true), (7, false), (2, false)] {
        let member = Member { account: account.clone(), device: has_it.then(|| device(number)) };
        assert_eq!(member.is_live(), has_it);
        assert_eq!(
            backend.member_by_user(&user("alice"), peer(number)).await.unwrap().as_ref(),
            Some(&member)
        );
        assert_eq!(backend.member(cid(1), peer(number)).await.unwrap(), Some(member));
    }
    let block = AccountChange { blocked: Some(true), ..AccountChange::default() };
    backend.update_account(cid(1), Revision(1), block).await.unwrap();
    backend.revoke_device(cid(2), peer(2), UnixTime(300)).await.unwrap();
    let blocked = backend.member(cid(1), peer(1)).await.unwrap().unwrap();
    assert!(blocked.account.blocked && !blocked.is_live());
    let revoked = backend.member_by_user(&user("bob"), peer(2)).await.unwrap().unwrap();
    assert!(!revoked.account.blocked && !revoked.is_live());
}

#[rstest]
#[tokio::test]
async fn a_taken_name_or_cid_creates_nothing(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    assert_eq!(code(backend.create_account(account(2, "alice"), device(2)).await), 1);
    assert_eq!(code(backend.create_account(account(1, "bob"), device(2)).await), 2);
    assert_eq!(backend.account(cid(2)).await.unwrap(), None);
    assert_eq!(backend.account_by_user(&user("bob")).await.unwrap(), None);
    assert_eq!(backend.devices(cid(1)).await.unwrap(), [device(1)]);
}

#[rstest]
#[tokio::test]
async fn accounts_are_listed_in_pages(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let backend = new(kind);
    for (number, name) in [(300, "c"), (1, "a"), (2, "b")] {
        backend.create_account(account(number, name), device(1)).await.unwrap();
    }
    let numbers = async |after, limit| {
        let page = backend.accounts(after, limit).await.unwrap();
        page.into_iter().map(|account| account.cid.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, usize::MAX).await, [1, 2, 300]);
    assert_eq!(numbers(None, 2).await, [1, 2]);
    assert_eq!(numbers(Some(cid(2)), 2).await, [300]);
    assert_eq!(numbers(Some(cid(300)), 2).await, [0_u64; 0]);
    assert_eq!(numbers(None, 0).await, [0_u64; 0]);
}

#[rstest]
#[tokio::test]
async fn of_two_changes_to_one_revision_one_is_made(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    let change = |hash: &str| AccountChange {
        password: Some(PasswordHash::new(hash).unwrap()),
        ..AccountChange::default()
    };
    let both = tokio::join!(
        backend.update_account(cid(1), Revision(1), change("$one")),
        backend.update_account(cid(1), Revision(1), change("$two")),
    );
    let (won, lost, hash) = match both {
        (Ok(won), lost) => (won, lost, "$one"),
        (lost, Ok(won)) => (won, lost, "$two"),
        both => panic!("{both:?}"),
    };
    assert_eq!((won.revision, code(lost)), (Revision(2), 4));
    let now = backend.account(cid(1)).await.unwrap().unwrap();
    assert_eq!((now.password.expose(), now.revision), (hash, Revision(2)));
    assert_eq!(now.display_name.as_str(), "Somebody");
    assert_eq!(code(backend.update_account(cid(9), Revision(1), AccountChange::default()).await), 16);
}

#[rstest]
#[tokio::test]
async fn a_change_may_revoke_the_other_devices_with_it(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    for number in 2..=3 {
        backend.add_device(cid(1), device(number), 8).await.unwrap();
    }
    backend.revoke_device(cid(1), peer(2), UnixTime(5)).await.unwrap();
    let change = AccountChange {
        display_name: Some(DisplayName::new("Alice").unwrap()),
        blocked: Some(true),
        revoke: Some(RevokeDevices { except: Some(peer(1)), at: UnixTime(7) }),
        ..AccountChange::default()
    };
    let updated = backend.update_account(cid(1), Revision(1), change).await.unwrap();
    assert_eq!(updated.revoked, [peer(3)]);
    let revoked = backend.devices(cid(1)).await.unwrap().into_iter().map(|device| device.revoked);
    assert_eq!(revoked.collect::<Vec<_>>(), [None, Some(UnixTime(5)), Some(UnixTime(7))]);
    let now = backend.account(cid(1)).await.unwrap().unwrap();
    assert_eq!((now.display_name.as_str(), now.blocked), ("Alice", true));
    let all = AccountChange {
        revoke: Some(RevokeDevices { except: None, at: UnixTime(8) }),
        ..AccountChange::default()
    };
    assert_eq!(backend.update_account(cid(1), Revision(2), all).await.unwrap().revoked, [peer(1)]);
}

#[rstest]
#[tokio::test]
async fn devices_are_added_up_to_a_limit_and_revoked_for_good(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    assert_eq!(code(backend.add_device(cid(2), device(1), 8).await), 16);
    assert_eq!(code(backend.add_device(cid(1), device(1), 8).await), 3);
    backend.add_device(cid(1), device(2), 2).await.unwrap();
    assert_eq!(code(backend.add_device(cid(1), device(3), 2).await), 36);
    assert!(backend.revoke_device(cid(1), peer(1), UnixTime(9)).await.unwrap());
    assert!(!backend.revoke_device(cid(1), peer(1), UnixTime(10)).await.unwrap());
    assert!(!backend.revoke_device(cid(1), peer(7), UnixTime(10)).await.unwrap());
    assert!(!backend.revoke_device(cid(2), peer(1), UnixTime(10)).await.unwrap());
    let first = backend.device(cid(1), peer(1)).await.unwrap().unwrap();
    assert_eq!((first.revoked, first.is_live()), (Some(UnixTime(9)), false));
    assert_eq!(code(backend.add_device(cid(1), device(1), 8).await), 3);
    backend.add_device(cid(1), device(3), 2).await.unwrap();
    assert_eq!(backend.device(cid(1), peer(9)).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn revoked_devices_are_remembered_up_to_a_bound(#[values(Kind::Memory, Kind::Redb)] kind: Kind) {
    let backend = new(kind);
    alice(&*backend).await;
    let many = MAX_REVOKED + 3;
    for number in 0..many {
        let mut device = device(0);
        device.peer.0[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        backend.add_device(cid(1), device.clone(), 2).await.unwrap();
        assert!(backend.revoke_device(cid(1), device.peer, UnixTime(number as u64)).await.unwrap());
    }
    let devices = backend.devices(cid(1)).await.unwrap();
    let oldest = devices.iter().filter_map(|device| device.revoked).min();
    assert_eq!((devices.len(), oldest), (MAX_REVOKED + 1, Some(UnixTime(3))));
    assert!(devices.contains(&device(1)), "a live device is never forgotten");
}

#[rstest]
#[tokio::test]
async fn a_removed_account_leaves_nothing_and_its_name_is_free(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    alice(&*backend).await;
    backend.create_account(account(2, "bob"), device(2)).await.unwrap();
    for of in [1, 2] {
        backend.push_mail(cid(of), b"mail", Quota::DEFAULT).await.unwrap();
        for space in [Space::of(cid(of)), Space::about(cid(of), cid(3 - of))] {
            for number in 0..300_u32 {
                let key = number.to_be_bytes();
                backend.put_value(space, &key, b"value", Expect::Any, Quota::DEFAULT).await.unwrap();
            }
        }
    }
    assert_eq!(backend.remove_account(cid(1)).await.unwrap(), Some(vec![]));
    assert_eq!(backend.remove_account(cid(1)).await.unwrap(), None);
    assert_eq!(backend.account(cid(1)).await.unwrap(), None);
    assert_eq!(backend.account_by_user(&user("alice")).await.unwrap(), None);
    assert_eq!(backend.devices(cid(1)).await.unwrap(), []);
    assert_eq!(backend.mail(cid(1), None, 9).await.unwrap(), []);
    for space in [Space::of(cid(1)), Space::about(cid(1), cid(2))] {
        assert_eq!(backend.list_values(space, b"", None, 9).await.unwrap().entries, []);
    }
    let quota = Quota::DEFAULT;
    assert_eq!(code(backend.push_mail(cid(1), b"mail", quota).await), 16);
    assert_eq!(code(backend.put_value(Space::of(cid(1)), b"k", b"v", Expect::Any, quota).await), 16);
    // Bob has everything, and what he keeps about Alice is his.
    assert_eq!(backend.mail(cid(2), None, 9).await.unwrap().len(), 1);
    let about = backend.list_values(Space::about(cid(2), cid(1)), b"", None, 999).await.unwrap();
    assert_eq!(about.entries.len(), 300);
    backend.create_account(account(1, "alice"), device(1)).await.unwrap();
    let first = backend.push_mail(cid(1), b"", Quota { items: 1, bytes: 0 }).await.unwrap();
    assert_eq!(first.0, 1, "the new account has the old one's name and nothing else of it");
}

#[rstest]
#[tokio::test]
async fn of_many_who_register_a_name_at_once_one_has_it(
    #[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind,
) {
    let backend = new(kind);
    let all = (1..=16_u8).map(|number| {
        let backend = backend.clone();
        async move { backend.create_account(account(u64::from(number), "alice"), device(number)).await }
    });
    let results = join_all(all).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.into_iter().filter(Result::is_err).all(|result| code(result) == 1));
    let accounts = backend.accounts(None, 99).await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!(backend.account_by_user(&user("alice")).await.unwrap().as_ref(), accounts.first());
}
