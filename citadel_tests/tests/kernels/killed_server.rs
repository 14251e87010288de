//! A server in a process of its own, killed (SIGKILL) at each of its writes while clients wait for the answer, and started again
//! on its files: what was acknowledged is there, what was not is done or not done as a whole, and asking again helps.
//!
//! The write at which it dies stands still, the rest of the server goes on: whoever was told too early would hear it.

#[path = "killed_server/clients.rs"]
mod clients;
#[path = "killed_server/in_flight.rs"]
mod in_flight;
#[path = "killed_server/process.rs"]
mod process;
#[path = "killed_server/script.rs"]
mod script;

use citadel_sdk::ConnectError;
use citadel_sdk::{
    CallError, CloseReason, EstablishError, Identity, NodeReport, PathLoss, RecvError, RefusalCode,
};
use citadel_tests::watched_backend::Write;
use clients::{Attempt, Outcome, Told, connect, echoes, look, look_at_peers};
use process::{Moment, Server};
use rstest::rstest;
use script::{Again, BOB, Cast, Model, Request, Step, USER, What, script};
use std::sync::Arc;

/// The writes that clients cause. Nothing yet writes mail or tickets.
const WRITES_OF_CLIENTS: [Write; 9] = [
    Write::CreateAccount,
    Write::UpdateAccount,
    Write::RemoveAccount,
    Write::AddDevice,
    Write::RevokeDevice,
    Write::PutValue,
    Write::DeleteValue,
    Write::PutPair,
    Write::PutVouch,
];

#[tokio::test]
async fn the_script_makes_every_write_of_clients_in_the_order_that_it_says() {
    let mut play = Play::new("whole").await;
    let mut writes = Vec::new();
    for step in script() {
        play.reconfigure(&step).await;
        let request = play.model.request(&step, &play.cast, play.server.peer_id());
        let told = play.ask_whole(&request).await;
        play.model.expect(&step, &told, false);
        play.done(&step, Some(&told));
        assert_eq!(play.server.writes().await, step.writes, "{step:?}");
        play.check().await;
        writes.extend(step.writes);
    }
    for write in WRITES_OF_CLIENTS {
        assert!(writes.contains(&write), "no {}", write.name());
    }
    play.server.stop().await;
}

#[rstest]
#[case::before_it_began(Moment::Before)]
#[case::after_it_was_durable(Moment::After)]
#[tokio::test]
async fn a_server_killed_at_each_write_before_anybody_was_told_has_done_it_or_not(#[case] moment: Moment) {
    let mut play = Play::new(&format!("{moment:?}")).await;
    for step in script() {
        play.reconfigure(&step).await;
        let request = play.model.request(&step, &play.cast, play.server.peer_id());
        let mut durable = 0;
        for (number, write) in step.writes.iter().enumerate() {
            play.kill_at(moment, *write, &request).await;
            // What others see of a step is in its first write.
            if durable == 0 && (number > 0 || moment == Moment::After) {
                play.model.apply(&step, &play.cast, None);
            }
            durable = number + usize::from(moment == Moment::After);
            play.pay(&step, durable);
            play.check().await;
        }
        let told = play.ask_whole(&request).await;
        play.model.expect(&step, &told, durable > 0);
        if durable == 0 {
            play.model.apply(&step, &play.cast, Some(&told));
        } else {
            play.model.hear(&step, &told);
        }
        play.pay(&step, step.writes.len());
        let written = match step.again {
            _ if durable < step.writes.len() => &step.writes[durable..],
            Again::Nothing => &[],
            Again::Same => step.writes,
        };
        assert_eq!(play.server.writes().await, written, "{step:?}");
    }
    play.check().await;
    play.server.stop().await;
}

#[tokio::test]
async fn a_server_killed_once_a_client_was_told_has_done_it() {
    let mut play = Play::new("told").await;
    for step in script() {
        play.reconfigure(&step).await;
        let request = play.model.request(&step, &play.cast, play.server.peer_id());
        let mut attempt = play.begin(&request, true).await;
        let told = attempt.told().await.unwrap().unwrap();
        play.server.kill_and_restart().await;
        let report = attempt.ended().await.unwrap();
        // Whoever leaves is shut out behind the answer, unless the kill is faster.
        let is_shut_out = *report.sessions[0].reason() == CloseReason::Revoked;
        assert!(step.what == What::Deregister && is_shut_out || is_unknown(&report), "{step:?}: {report}");
        play.model.expect(&step, &told, false);
        play.done(&step, Some(&told));
        play.check().await;
    }
    play.server.stop().await;
}

/// The server that was started again did not know the session, and said so.
fn is_unknown(report: &NodeReport) -> bool {
    let [session] = &report.sessions[..] else { panic!("{report}") };
    *session.reason() == CloseReason::PathLost(PathLoss::ResumeUnknown) && !session.clean
}

struct Play {
    server: Server,
    cast: Cast,
    model: Model,
}

impl Play {
    async fn new(name: &str) -> Self {
        let cast = core::array::from_fn(|_| Arc::new(Identity::generate()));
        Self { server: Server::start(&format!("killed-{name}")).await, cast, model: Model::default() }
    }

    /// A server whose hashes cost what the step says.
    async fn reconfigure(&mut self, step: &Step) {
        if self.server.passes() != step.passes {
            self.server.reconfigure(step.passes).await;
        }
    }

    async fn begin(&self, request: &Request, stays: bool) -> Attempt<Result<Told, CallError>> {
        let (device, to) = (&self.cast[request.by], request.entry(self.server.to()));
        let request = request.clone();
        connect(device, to, stays, move |session| request.clone().ask(session)).await
    }

    /// Asks a server that lives.
    async fn ask_whole(&self, request: &Request) -> Told {
        match self.begin(request, false).await.outcome().await {
            Outcome::Told(told, _) => told,
            Outcome::Never(error) if error.refusal().is_some() => Told::Refused(error.refusal().unwrap()),
            other => panic!("{other:?} to {request:?}"),
        }
    }

    fn done(&mut self, step: &Step, told: Option<&Told>) {
        self.model.apply(step, &self.cast, told);
        self.pay(step, step.writes.len());
    }

    /// Notes what the stored hash costs when so many writes of `step` are done.
    fn pay(&mut self, step: &Step, durable: usize) {
        let hashes = matches!(step.what, What::Register { .. } | What::Join | What::ChangePassword { .. });
        if hashes && durable == step.writes.len() {
            self.model.passes = step.passes;
        }
    }

    /// Kills the server at this moment of `write`, which `request` leads to, and starts it again.
    async fn kill_at(&mut self, moment: Moment, write: Write, request: &Request) {
        self.server.plan(moment, write).await;
        let mut attempt = self.begin(request, false).await;
        tokio::select! {
            biased;
            told = attempt.told() => panic!("{told:?} to {request:?} although {write:?} stands still"),
            () = self.server.stands() => {}
        }
        echoes(&self.server).await;
        assert!(attempt.waits(), "{request:?} was answered although {write:?} stands still");
        self.server.kill_and_restart().await;
        let outcome = attempt.outcome().await;
        let is_typed = match &outcome {
            Outcome::Lost(CallError::Recv(RecvError::Closed(reason)), report) => {
                *reason == CloseReason::PathLost(PathLoss::ResumeUnknown) && is_unknown(report)
            }
            Outcome::Never(ConnectError::Establish(EstablishError::Io(_))) => true,
            _ => false,
        };
        assert!(is_typed, "{outcome:?}");
    }

    /// Each device that is live logs in and sees everything, and nobody else does; the password is what it was.
    async fn check(&mut self) {
        for device in &self.cast {
            let is_live = self.model.devices.get(&device.peer_id()) == Some(&true);
            match connect(device, self.server.to().login(USER), false, look).await.outcome().await {
                Outcome::Told(seen, report) if is_live => {
                    assert!(report.is_clean(), "{report}");
                    self.model.meet(&seen);
                }
                Outcome::Never(error) if !is_live => {
                    assert_eq!(error.refusal(), Some(RefusalCode::CREDENTIALS))
                }
                other => panic!("{other:?} for a device that is live: {is_live}"),
            }
        }
        self.check_password().await;
        self.check_bob().await;
    }

    /// Bob logs in, if he has an account, and is told what they agreed.
    async fn check_bob(&self) {
        let bob = self.cast.last().unwrap();
        match connect(bob, self.server.to().login(BOB), false, look_at_peers).await.outcome().await {
            Outcome::Told(seen, report) if self.model.has_bob => {
                assert!(report.is_clean(), "{report}");
                self.model.meet_bob(&seen);
            }
            Outcome::Never(error) if !self.model.has_bob => {
                assert_eq!(error.refusal(), Some(RefusalCode::CREDENTIALS))
            }
            other => panic!("{other:?} for bob, who has an account: {}", self.model.has_bob),
        }
    }

    /// By a device that the account knows, which then only logs in; unless that would renew the hash.
    async fn check_password(&self) {
        let live = self.cast.iter().find(|device| self.model.devices.get(&device.peer_id()) == Some(&true));
        let Some(live) = live.filter(|_| self.model.passes >= self.server.passes()) else { return };
        let enter = async |password| {
            let to = self.server.to().add_device(USER, password);
            connect(live, to, false, look).await.outcome().await
        };
        let right = enter(self.model.password).await;
        assert!(matches!(right, Outcome::Told(..)), "{right:?}");
        match enter(self.model.old_password).await {
            Outcome::Never(error) => assert_eq!(error.refusal(), Some(RefusalCode::CREDENTIALS)),
            other => panic!("{other:?} for a password that it is not"),
        }
    }
}
