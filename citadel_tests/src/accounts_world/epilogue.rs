//! The end of every run: the network heals, everything comes to rest, and what is stored is held against the model; then
//! every device asks once more for what it may have had, and is answered as it must be.

use super::device::{Came, Device, as_stored, key, user_name, word};
use super::model::Kind;
use super::scene::{Scene, pass};
use citadel_proto::CloseReason;
use citadel_proto::backend::{Account, Space};
use citadel_proto::driver::memory::Faults;
use core::time::Duration;

/// A silent path is found dead, a session is not taken up again, a close is over: all of that in this time.
const SETTLED: Duration = Duration::from_secs(90);

impl Scene {
    pub(super) async fn finish(&self, devices: &mut [Device]) {
        self.say(format_args!("epilogue: the network heals"));
        self.network.heal();
        self.network.set_faults(Faults::DELAYS);
        pass(SETTLED).await;
        self.check_sessions(true);
        self.check_gone(devices);
        for user in 0..self.users {
            self.check_stored(user).await;
        }
        self.check_removed().await;
        self.ask_again(devices).await;
        pass(SETTLED).await;
        self.check_sessions(true);
        self.check_gone(devices);
        for device in devices {
            device.hub.close(CloseReason::GoingAway).await;
            assert_eq!(device.hub.sessions(), 0, "device {} has sessions left", device.number);
        }
    }

    /// An older session of a device gave way to a newer one of the same account, and its client knows.
    fn check_gone(&self, devices: &[Device]) {
        for device in devices {
            let live: Vec<_> =
                device.sessions.iter().filter(|(session, _)| session.closing().is_none()).collect();
            let server = self.sessions_of(device.number);
            for (_, cid) in &live {
                assert!(
                    server.contains(cid),
                    "device {} has a session that the server has not",
                    device.number
                );
                let same = live.iter().filter(|(_, other)| other == cid).count();
                assert_eq!(same, 1, "device {} has two sessions of an account", device.number);
            }
        }
    }

    async fn stored(&self, user: usize) -> Option<Account> {
        self.backend().account_by_user(&user_name(user)).await.expect("memory does not fail")
    }

    /// The account of a user is there if it must be, and whole if it is.
    async fn check_stored(&self, user: usize) {
        let stored = self.stored(user).await;
        let existing = self.model.borrow().existing(user);
        let stored_cid = stored.as_ref().map(|account| account.cid);
        assert!(existing.is_none() || existing == stored_cid, "user {user} was registered, and is not there");
        let Some(account) = stored else { return };
        assert!(self.model.borrow().asked.contains_key(&user), "user {user} registered by nobody");
        let creator = (0..self.devices).find(|device| word(*device) == account.display_name.as_str());
        let creator = creator.expect("somebody made it");
        let listed = self.backend().devices(account.cid).await.expect("memory does not fail");
        let is_listed = |device: usize| {
            let peer = Device::identity(device).peer_id();
            listed.iter().find(|listed| listed.peer == peer).map(|listed| listed.revoked.is_none())
        };
        assert!(is_listed(creator).is_some(), "an account without the device that made it");
        for device in 0..self.devices {
            let (must, is_out, values) = {
                let model = self.model.borrow();
                let member = model.members.get(&(account.cid, device));
                let must = model.membership(user, device).is_some();
                let values = member.map(|member| member.values.clone()).unwrap_or_default();
                (must, member.is_some_and(|member| member.revoked.is_some()), values)
            };
            assert!(!must || is_listed(device) == Some(true), "device {device} is not in its account");
            assert!(!is_out || is_listed(device) != Some(true), "device {device} is live again");
            let space = Space { cid: account.cid, peer: None };
            let value = self.backend().value(space, &key(device)).await.expect("memory does not fail");
            let is_known =
                value.as_ref().is_none_or(|found| values.iter().any(|it| as_stored(*it) == found.value));
            assert!(is_known, "device {device} has the value {value:?}, of {values:?}");
        }
    }

    /// A removed account has left nothing.
    async fn check_removed(&self) {
        let removed: Vec<_> = {
            let model = self.model.borrow();
            let removed = model.accounts.iter().filter(|(_, account)| account.removed_by.is_some());
            removed.map(|(cid, _)| *cid).collect()
        };
        for cid in removed {
            let account = self.backend().account(cid).await.expect("memory does not fail");
            assert!(account.is_none(), "an account was removed and is there");
            let devices = self.backend().devices(cid).await.expect("memory does not fail");
            assert!(devices.is_empty(), "devices of a removed account are left");
        }
    }

    /// On a whole network every request is answered, as the store says.
    async fn ask_again(&self, devices: &mut [Device]) {
        for user in 0..self.users {
            for device in devices.iter_mut() {
                let stored = self.stored(user).await;
                let cid = stored.as_ref().map(|account| account.cid);
                let own = match cid {
                    Some(cid) => self.backend().device(cid, Device::identity(device.number).peer_id()).await,
                    None => Ok(None),
                };
                let own = own.expect("memory does not fail");
                let is_live = own.as_ref().is_some_and(|own| own.revoked.is_none());
                let was_revoked = own.is_some() && !is_live;
                let right = cid.filter(|_| is_live).map_or(Came::Refused, Came::Granted);
                let came = device.enter_calmly(self, user, Kind::Login).await;
                assert_eq!(came, right, "device {} logs in as user {user}", device.number);
                let came = device.enter_calmly(self, user, Kind::Register).await;
                match &stored {
                    None => assert!(matches!(came, Came::Granted(_)), "the name of user {user} is free"),
                    Some(account) => {
                        let is_creator = account.display_name.as_str() == word(device.number);
                        let is_first = self.is_password_the_first(account);
                        let again = is_live && is_creator && is_first;
                        let right = if again { Came::Granted(account.cid) } else { Came::Refused };
                        let may_be = is_live && is_creator && !is_first;
                        assert!(
                            came == right || may_be,
                            "device {} registers user {user} again",
                            device.number
                        );
                        if was_revoked && is_first {
                            let came = device.enter_calmly(self, user, Kind::AddDevice(cid)).await;
                            assert_eq!(came, Came::Refused, "device {} was revoked and joins", device.number);
                        }
                    }
                }
            }
        }
    }

    fn is_password_the_first(&self, account: &Account) -> bool {
        let model = self.model.borrow();
        model.accounts.get(&account.cid).is_none_or(|known| known.passwords.is_empty())
    }
}
