//! A device: it asks for sessions and for what they may do, gives up at any point, and notes what it was told.

use super::dice;
use super::model::{By, Kind};
use super::scene::{ADDRESS, RESUME, Scene, common, pass};
use crate::canary::marked;
use crate::world::Dice;
use crate::world::crypto::identity;
use citadel_crypt::handshake::{
    Cid, ClientConfig, DeviceName, DisplayName, HandshakeError, Password, Request, Trust, UserName,
};
use citadel_crypt::identity::Identity;
use citadel_proto::SessionConfig;
use citadel_proto::accounts::{AccountClient, AskError, CallError};
use citadel_proto::backend::Expect;
use citadel_proto::driver::{Dialer, EstablishError, Hub, Session, Transport};
use core::time::Duration;
use futures::FutureExt;
use std::sync::Arc;
use tokio::time::timeout;

/// Nobody's password.
const WRONG: &str = "a wrong one";

/// Longer than a handshake, and than a session waits for a path.
const PATIENCE: Duration = Duration::from_secs(60);

/// One device with its sessions.
pub(super) struct Device {
    pub(super) number: usize,
    pub(super) hub: Hub,
    dice: Dice,
    /// The last one, and older ones, which must give way.
    pub(super) sessions: Vec<(Session, Cid)>,
    next_value: u64,
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    Granted(Cid),
    Refused,
    Unanswered,
}

pub(super) fn user_name(user: usize) -> UserName {
    UserName::new(format!("user {user}")).expect("a name")
}

/// The first password of an account, and the name that shows who made it.
pub(super) fn word(device: usize) -> String {
    format!("by device {device}")
}

fn password(word: &str) -> Password {
    Password::new(marked(word)).expect("a password")
}

impl Device {
    pub(super) fn new(number: usize, seed: u64) -> Self {
        let dice = dice(seed, 2 + number as u64);
        Self { number, hub: Hub::new(), dice, sessions: Vec::new(), next_value: 0 }
    }

    pub(super) fn identity(number: usize) -> Arc<Identity> {
        identity(1 + number)
    }

    /// Does this and that for a while.
    pub(super) async fn live(&mut self, scene: &Scene) {
        for _ in 0..self.dice.between(6, 24) {
            let longest = if self.dice.percent(20) { 20_000 } else { 900 };
            pass(self.dice.time(Duration::from_millis(longest))).await;
            if self.sessions.last().is_some_and(|(session, _)| session.closing().is_none())
                && self.dice.percent(70)
            {
                self.use_session(scene).await;
            } else {
                let user = self.dice.index(scene.users);
                let kind = self.kind(scene, user).await;
                self.enter(scene, user, kind).await;
            }
            scene.check_sessions(false);
        }
    }

    async fn kind(&mut self, scene: &Scene, user: usize) -> Kind {
        match self.dice.below(10) {
            0..=3 => Kind::Register,
            4..=6 => Kind::Login,
            7 => Kind::AddDevice(None),
            _ => {
                let account = scene.backend().account_by_user(&user_name(user)).await;
                Kind::AddDevice(account.expect("memory does not fail").map(|account| account.cid))
            }
        }
    }

    async fn request(&self, scene: &Scene, user: usize, kind: Kind) -> Request {
        let device = DeviceName::new(format!("device {}", self.number)).expect("a name");
        let user = user_name(user);
        match kind {
            Kind::Register => {
                let display_name = DisplayName::new(word(self.number)).expect("a name");
                Request::Register { user, display_name, password: password(&word(self.number)), device }
            }
            Kind::Login => Request::Login { user },
            Kind::AddDevice(None) => Request::AddDevice { user, password: password(WRONG), device },
            Kind::AddDevice(Some(cid)) => {
                let account = scene.backend().account(cid).await.expect("memory does not fail");
                let first =
                    account.map_or_else(|| WRONG.to_owned(), |it| it.display_name.as_str().to_owned());
                let model = scene.model.borrow();
                let changed = model.accounts.get(&cid).and_then(|account| account.passwords.last());
                let password = password(changed.unwrap_or(&first));
                Request::AddDevice { user, password, device }
            }
        }
    }

    /// Asks for a session, and gives up at some point or not.
    async fn enter(&mut self, scene: &Scene, user: usize, kind: Kind) -> Came {
        let patience = self.patience(scene);
        self.enter_within(scene, user, kind, patience).await
    }

    /// Asks for a session and waits for the answer.
    pub(super) async fn enter_calmly(&mut self, scene: &Scene, user: usize, kind: Kind) -> Came {
        self.enter_within(scene, user, kind, PATIENCE).await
    }

    async fn enter_within(&mut self, scene: &Scene, user: usize, kind: Kind, patience: Duration) -> Came {
        let request = self.request(scene, user, kind).await;
        if kind == Kind::Register {
            *scene.model.borrow_mut().asked.entry(user).or_default() += 1;
        }
        let trust = Trust::Peer(identity(0).peer_id());
        let own = common(&scene.provider, 1 + self.number);
        let config = ClientConfig { request: request.into(), ..ClientConfig::new(own, trust) };
        let session = SessionConfig { resume: RESUME, ..SessionConfig::default() };
        let opened = timeout(patience, self.hub.connect_with(dialer(scene), config, session, None)).await;
        let came = self.note(scene, user, kind, opened.ok()).await;
        scene.say(format_args!("device {} {kind:?} user {user}: {}", self.number, name_of(came)));
        came
    }

    async fn note(
        &mut self,
        scene: &Scene,
        user: usize,
        kind: Kind,
        opened: Option<Result<Session, EstablishError>>,
    ) -> Came {
        match opened {
            Some(Ok(session)) => {
                let cid = session.cid().expect("a session of an account");
                scene.model.borrow_mut().on_granted(user, self.number, kind, cid);
                self.sessions.push((session, cid));
                Came::Granted(cid)
            }
            Some(Err(EstablishError::Handshake(HandshakeError::Refused {
                code,
                authenticated: true,
                ..
            }))) => {
                let account = scene.backend().account_by_user(&user_name(user)).await;
                let account = account.expect("memory does not fail");
                let is_creator = account.is_some_and(|it| it.display_name.as_str() == word(self.number));
                let mut model = scene.model.borrow_mut();
                model.on_refused((user, self.number), kind, code, is_creator);
                Came::Refused
            }
            Some(Err(error)) => {
                assert!(scene.is_rough, "an attempt on a whole network failed: {error:?}");
                scene.model.borrow_mut().unanswered += 1;
                Came::Unanswered
            }
            None => {
                scene.model.borrow_mut().unanswered += 1;
                Came::Unanswered
            }
        }
    }

    /// How long it waits for an answer: on a rough network it may give up anywhere.
    fn patience(&mut self, scene: &Scene) -> Duration {
        if scene.is_rough && self.dice.percent(30) {
            self.dice.time(Duration::from_millis(160))
        } else {
            PATIENCE
        }
    }

    /// Asks for something in the last session.
    async fn use_session(&mut self, scene: &Scene) {
        let Some((session, cid)) = self.sessions.last().cloned() else { return };
        let patience = self.patience(scene);
        let client = AccountClient::new(session.clone()).with_deadline(patience);
        let roll = self.dice.below(20);
        let outcome = match roll {
            0..=8 => self.put(scene, &client, cid).await,
            9..=12 => self.revoke(scene, &client, cid).await,
            13 | 14 => self.change_password(scene, &client, cid).await,
            15 => self.deregister(scene, &client, cid).await,
            16 | 17 => self.list(scene, &client, cid).await,
            _ => {
                session.close(0, "done").await;
                return;
            }
        };
        scene.say(format_args!(
            "device {} asks, {roll}: {:?}",
            self.number,
            outcome.as_ref().map_err(CallError::code)
        ));
        let Err(error) = outcome else { return };
        let mut model = scene.model.borrow_mut();
        let member = model.member(cid, self.number);
        let may_be_out = member.may_be_revoked;
        let account = &model.accounts[&cid];
        match error {
            CallError::Refused(AskError::Gone) => {
                assert!(may_be_out || account.may_be_removed, "device {} is gone, for nobody", self.number);
            }
            CallError::Refused(AskError::Credentials) => {
                assert!(!account.passwords.is_empty(), "the right password is wrong");
            }
            CallError::Refused(AskError::Conflict) => {}
            CallError::Refused(other) => unreachable!("{other}"),
            _ => {
                let is_over = session.closing().is_some();
                assert!(scene.is_rough || is_over, "no answer on a whole network: {error}");
                model.unanswered += 1;
            }
        }
    }

    async fn put(&mut self, scene: &Scene, client: &AccountClient, cid: Cid) -> Result<(), CallError> {
        self.next_value += 1;
        let value = self.next_value;
        scene.model.borrow_mut().member(cid, self.number).values.push(value);
        client.put(None, key(self.number), as_stored(value), Expect::Any).await?;
        scene.model.borrow_mut().member(cid, self.number).values = vec![value];
        Ok(())
    }

    async fn revoke(&mut self, scene: &Scene, client: &AccountClient, cid: Cid) -> Result<(), CallError> {
        let device = self.dice.index(scene.devices);
        scene.model.borrow_mut().member(cid, device).may_be_revoked = true;
        let peer = Self::identity(device).peer_id();
        let was_live = client.revoke_device(peer).await?;
        if was_live {
            self.shut_out(scene, cid, device);
        }
        Ok(())
    }

    fn shut_out(&self, scene: &Scene, cid: Cid, device: usize) {
        let by = if device == self.number { By::Itself } else { By::Other };
        scene.model.borrow_mut().member(cid, device).revoked.get_or_insert(by);
        scene.check_sessions(false);
    }

    async fn change_password(
        &mut self,
        scene: &Scene,
        client: &AccountClient,
        cid: Cid,
    ) -> Result<(), CallError> {
        let account = scene.backend().account(cid).await.expect("memory does not fail");
        let first =
            account.map_or_else(|| WRONG.to_owned(), |account| account.display_name.as_str().to_owned());
        let (new, revokes) = (format!("next {} {}", self.number, self.dice.draw()), self.dice.percent(50));
        let (old, others) = {
            let mut model = scene.model.borrow_mut();
            let others = if revokes { model.others(cid, self.number) } else { Vec::new() };
            if revokes {
                // Also who joins meanwhile may be hit.
                (0..scene.devices).filter(|device| *device != self.number).for_each(|device| {
                    model.member(cid, device).may_be_revoked = true;
                });
            }
            let known = model.accounts.get_mut(&cid).expect("it has a session of it");
            let old = known.passwords.last().unwrap_or(&first).clone();
            known.passwords.push(new.clone());
            (old, others)
        };
        client.change_password(password(&old), password(&new), revokes).await?;
        others.into_iter().for_each(|device| self.shut_out(scene, cid, device));
        Ok(())
    }

    async fn deregister(&mut self, scene: &Scene, client: &AccountClient, cid: Cid) -> Result<(), CallError> {
        let known = |change: &dyn Fn(&mut super::model::Account)| {
            change(scene.model.borrow_mut().accounts.get_mut(&cid).expect("it has a session of it"));
        };
        known(&|account| account.may_be_removed = true);
        client.deregister().await?;
        known(&|account| account.removed_by = account.removed_by.or(Some(self.number)));
        scene.check_sessions(false);
        Ok(())
    }

    /// The list names who must be there, and calls nobody live who was shut out.
    async fn list(&mut self, scene: &Scene, client: &AccountClient, cid: Cid) -> Result<(), CallError> {
        let shut: Vec<usize> = {
            let model = scene.model.borrow();
            let shut =
                model.members.iter().filter(|((of, _), member)| *of == cid && member.revoked.is_some());
            shut.map(|((_, device), _)| *device).collect()
        };
        let listed = client.devices().await?;
        let find = |device: usize| {
            let peer = Self::identity(device).peer_id();
            listed.iter().find(|listed| listed.peer == peer).map(|listed| listed.revoked.is_none())
        };
        let model = scene.model.borrow();
        for device in 0..scene.devices {
            let member = model.members.get(&(cid, device));
            let must = member.is_some_and(|member| member.is_acked && !member.may_be_revoked);
            assert!(!must || find(device) == Some(true), "device {device} is not listed");
        }
        assert!(shut.iter().all(|device| find(*device) == Some(false)), "a revoked device is listed as live");
        Ok(())
    }
}

/// A device's value as it is stored.
pub(super) fn as_stored(value: u64) -> Vec<u8> {
    marked(value.to_be_bytes())
}

/// The key of a device's value.
pub(super) fn key(device: usize) -> Vec<u8> {
    format!("of device {device}").into_bytes()
}

const fn name_of(came: Came) -> &'static str {
    match came {
        Came::Granted(_) => "granted",
        Came::Refused => "refused",
        Came::Unanswered => "no answer",
    }
}

fn dialer(scene: &Scene) -> Dialer {
    let network = scene.network.clone();
    Arc::new(move || {
        let network = network.clone();
        async move { network.connect(ADDRESS.0, ADDRESS.1).await }.boxed()
    })
}
