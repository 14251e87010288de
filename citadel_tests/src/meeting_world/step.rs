//! One move: what the lanes carry, what the machines are told, what the driver does with their outputs, and what must hold.

use super::lane::{Answerer, Attempt, BACKWARD, Dialler, FORWARD, Message};
use super::world::{Breach, Machines, Move, World, breach, index, instance};
use super::{Driver, Scenario};
use crate::meeting::{Failure, Input, Output, OwnAttempt, TheirAttempt};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Instance;
use std::collections::VecDeque;

/// One move and what follows from it.
struct Step<'a> {
    world: World,
    scenario: &'a Scenario,
    machines: &'a mut Machines,
    by: Move,
}

/// The state after `by`, everything that follows at once included.
pub(super) fn after(
    world: &World,
    by: Move,
    scenario: &Scenario,
    machines: &mut Machines,
) -> Result<World, Breach> {
    let mut step = Step { world: world.clone(), scenario, machines, by };
    step.run()?;
    step.check()?;
    step.world.attempts.iter_mut().for_each(Attempt::forget);
    Ok(step.world)
}

impl Step<'_> {
    fn run(&mut self) -> Result<(), Breach> {
        let world = &mut self.world;
        match self.by {
            Move::Dial(side) => {
                world.ends[side].dials -= 1;
                world.ends[side].waiting += 1;
                self.tell(side, Input::Dial)
            }
            Move::Withdraw(side) => {
                world.ends[side].withdrawals -= 1;
                world.ends[side].waiting = 0;
                self.tell(side, Input::Withdraw)
            }
            Move::Timeout(side) => {
                world.losses -= 1;
                self.tell(side, Input::Timeout)
            }
            Move::Deliver(number, direction) => self.deliver(number, direction, false),
            Move::Overtake(number, direction) => self.deliver(number, direction, true),
            Move::Cancelled(number) => {
                world.attempts[number].end_dialler();
                Ok(())
            }
            Move::Linger(side, number) => {
                world.attempts[number].lingers[side] = false;
                self.tell_end(side, number)
            }
            Move::Break(number) => {
                world.losses -= 1;
                world.attempts[number].cut();
                Ok(())
            }
            Move::DiallerFails(number) => {
                world.losses -= 1;
                let attempt = &mut world.attempts[number];
                attempt.end_dialler();
                let (side, own) = (attempt.by(), attempt.own());
                self.tell(side, Input::OwnFailed(own, Failure::MayPass))
            }
            Move::AnswererFails(number) => {
                world.losses -= 1;
                let attempt = &mut world.attempts[number];
                attempt.end_answerer();
                let (side, theirs) = (1 - attempt.by(), attempt.theirs());
                self.tell(side, Input::TheirFailed(theirs))
            }
            Move::End(side, number) => {
                world.ends[side].ends -= 1;
                self.end_session(side, number);
                self.tell_end(side, number)
            }
        }
    }

    fn deliver(&mut self, number: usize, direction: usize, overtaking: bool) -> Result<(), Breach> {
        let Some(message) = self.world.attempts[number].take(direction, overtaking) else { return Ok(()) };
        if direction == FORWARD {
            self.at_answerer(number, message)
        } else {
            self.at_dialler(number, message)
        }
    }

    fn at_answerer(&mut self, number: usize, message: Message) -> Result<(), Breach> {
        let World { ends, attempts, .. } = &mut self.world;
        let attempt = &mut attempts[number];
        let side = 1 - attempt.by();
        let before = attempt.answerer;
        match (message, before) {
            (Message::Proof, Answerer::Unseen) => {
                ends[side].numbered += u8::from(self.scenario.driver == Driver::NumbersLate);
                attempt.name(ends[side].numbered);
                attempt.answerer = Answerer::Asked;
                let theirs = attempt.theirs();
                self.tell(side, Input::Proven(theirs))
            }
            (Message::Hello, Answerer::Pending) => {
                attempt.answerer = Answerer::Up;
                let theirs = attempt.theirs();
                self.tell(side, Input::TheirEstablished(theirs, instance(number)))
            }
            (Message::Hello, Answerer::Up) => Ok(()),
            (Message::End, _) => {
                attempt.end_answerer();
                let theirs = attempt.theirs();
                match before {
                    Answerer::Asked | Answerer::Pending => self.tell(side, Input::TheirFailed(theirs)),
                    Answerer::Up => self.tell_end(side, number),
                    Answerer::Unseen | Answerer::Over => Ok(()),
                }
            }
            _ => breach(format!("the model itself: {message:?} at {before:?}")),
        }
    }

    fn at_dialler(&mut self, number: usize, message: Message) -> Result<(), Breach> {
        let attempt = &mut self.world.attempts[number];
        let (side, own, before) = (attempt.by(), attempt.own(), attempt.dialler);
        match (message, before) {
            (Message::Yes, Dialler::Trying | Dialler::GivenUp) => {
                attempt.dialler = Dialler::Up;
                self.tell(side, Input::OwnEstablished(own, instance(number)))
            }
            (Message::No | Message::End, Dialler::Trying | Dialler::GivenUp) => {
                attempt.end_dialler();
                let is_refused = message == Message::No;
                let failure = if is_refused { Failure::Simultaneous } else { Failure::MayPass };
                self.tell(side, Input::OwnFailed(own, failure))
            }
            (Message::End, Dialler::Up) => {
                attempt.end_dialler();
                self.tell_end(side, number)
            }
            _ => breach(format!("the model itself: {message:?} at {before:?}")),
        }
    }

    fn tell_end(&mut self, side: usize, number: usize) -> Result<(), Breach> {
        let other = self.machines.of(&self.world, side).session();
        let ended = match self.scenario.driver {
            Driver::MixesUpEnds => other.unwrap_or(instance(number)),
            _ => instance(number),
        };
        self.tell(side, Input::Ended(ended))
    }

    fn end_session(&mut self, side: usize, number: usize) {
        let attempt = &mut self.world.attempts[number];
        if side == attempt.by() { attempt.end_dialler() } else { attempt.end_answerer() }
    }

    /// Hands an input to the machine of a side and does what it says.
    fn tell(&mut self, side: usize, input: Input) -> Result<(), Breach> {
        let mut machine = self.machines.of(&self.world, side).clone();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            machine.handle(Timestamp::ZERO, input);
            while let Some(output) = machine.poll_output() {
                inputs.extend(self.act(side, output)?);
            }
        }
        self.machines.set(&mut self.world, side, machine);
        Ok(())
    }

    fn act(&mut self, side: usize, output: Output) -> Result<Option<Input>, Breach> {
        match output {
            Output::Begin(own) => self.begin(side, own),
            Output::GiveUp(own) => self.give_up(side, own),
            Output::Accept(theirs) => return self.accept(side, theirs),
            Output::Refuse(theirs, _) => self.refuse(side, theirs),
            Output::Abandon(theirs) => self.abandon(side, theirs),
            Output::Supersede(session) => self.supersede(side, session),
            Output::Met(session) => self.met(side, session),
            Output::NotMet(reason) => {
                let waiting = std::mem::take(&mut self.world.ends[side].waiting);
                if waiting == 0 {
                    return breach(format!("side {side} fails nobody: {reason:?}"));
                }
                if self.is_spared() {
                    return breach(format!("nothing was lost and side {side} fails its callers: {reason:?}"));
                }
                Ok(())
            }
        }
        .map(|()| None)
    }

    fn begin(&mut self, side: usize, OwnAttempt(own): OwnAttempt) -> Result<(), Breach> {
        let of_side = |attempt: &&Attempt| attempt.by() == side && attempt.dialler == Dialler::Trying;
        if let Some(other) = self.world.attempts.iter().find(of_side) {
            return breach(format!("side {side} begins another attempt beside {other:?}"));
        }
        self.world.attempts.push(Attempt::new(side, own, self.is_in_order()));
        Ok(())
    }

    fn own(&mut self, side: usize, own: OwnAttempt) -> Result<&mut Attempt, Breach> {
        let is_it = |attempt: &&mut Attempt| attempt.by() == side && attempt.own() == own;
        match self.world.attempts.iter_mut().find(is_it) {
            Some(attempt) => Ok(attempt),
            None => breach(format!("side {side} never began {own:?}")),
        }
    }

    fn theirs(&self, side: usize, theirs: TheirAttempt) -> Result<usize, Breach> {
        let is_it = |attempt: &Attempt| {
            attempt.by() != side && attempt.theirs() == theirs && attempt.answerer != Answerer::Unseen
        };
        match self.world.attempts.iter().position(is_it) {
            Some(number) => Ok(number),
            None => breach(format!("side {side} was never told of {theirs:?}")),
        }
    }

    fn give_up(&mut self, side: usize, own: OwnAttempt) -> Result<(), Breach> {
        let is_wish = matches!(self.by, Move::Withdraw(_) | Move::Timeout(_));
        if side == 0 && !is_wish {
            return breach("the side with the smaller id gives up its attempt".into());
        }
        let attempt = self.own(side, own)?;
        if attempt.dialler != Dialler::Trying {
            return breach(format!("side {side} gives up {attempt:?}"));
        }
        attempt.dialler = Dialler::GivenUp;
        Ok(())
    }

    fn accept(&mut self, side: usize, theirs: TheirAttempt) -> Result<Option<Input>, Breach> {
        let number = self.theirs(side, theirs)?;
        let attempt = &mut self.world.attempts[number];
        if attempt.answerer != Answerer::Asked {
            return breach(format!("side {side} accepts {attempt:?}"));
        }
        attempt.answerer = Answerer::Pending;
        attempt.say(BACKWARD, Message::Yes);
        if self.scenario.driver == Driver::DoesNotListen {
            attempt.answerer = Answerer::Up;
            return Ok(Some(Input::TheirEstablished(theirs, instance(number))));
        }
        Ok(None)
    }

    fn refuse(&mut self, side: usize, theirs: TheirAttempt) -> Result<(), Breach> {
        let number = self.theirs(side, theirs)?;
        let attempt = &mut self.world.attempts[number];
        if attempt.answerer != Answerer::Asked {
            return breach(format!("side {side} refuses {attempt:?}"));
        }
        attempt.refuse();
        Ok(())
    }

    fn abandon(&mut self, side: usize, theirs: TheirAttempt) -> Result<(), Breach> {
        let number = self.theirs(side, theirs)?;
        let attempt = self.world.attempts[number];
        let is_wanted = matches!(attempt.dialler, Dialler::Trying | Dialler::Up);
        if attempt.answerer != Answerer::Pending || is_wanted && self.is_spared() {
            return breach(format!("side {side} abandons {attempt:?}"));
        }
        self.world.attempts[number].end_answerer();
        Ok(())
    }

    fn supersede(&mut self, side: usize, session: Instance) -> Result<(), Breach> {
        let attempt = self.world.attempts[index(session)];
        if !attempt.is_up(side) {
            return breach(format!("side {side} supersedes what it has not: {attempt:?}"));
        }
        if attempt.is_up(1 - side) && self.is_in_order() {
            return breach(format!("side {side} supersedes what the other has: {attempt:?}"));
        }
        if self.scenario.is_undisturbed() && self.world.only == Some(session.0[0]) {
            return breach(format!("nothing disturbs, and side {side} supersedes {attempt:?}"));
        }
        self.end_session(side, index(session));
        Ok(())
    }

    /// Whether nothing gives a reason to fail: no loss, and no attempt taken for a later one.
    fn is_spared(&self) -> bool {
        self.world.losses == self.scenario.losses && self.is_in_order()
    }

    /// Whether attempts are numbered as they were begun.
    fn is_in_order(&self) -> bool {
        self.scenario.driver != Driver::NumbersLate
    }

    fn met(&mut self, side: usize, session: Instance) -> Result<(), Breach> {
        let is_undisturbed = self.scenario.is_undisturbed();
        let World { ends, attempts, only, .. } = &mut self.world;
        ends[side].waiting = 0;
        let attempt = &mut attempts[index(session)];
        if !attempt.is_up(side) {
            return breach(format!("side {side} names what it has not: {attempt:?}"));
        }
        if attempt.by() == side && attempt.answerer == Answerer::Pending {
            attempt.say(FORWARD, Message::Hello);
        }
        if is_undisturbed && *only.get_or_insert(session.0[0]) != session.0[0] {
            return breach(format!("nothing disturbs, and there are {only:?} and {session:?}"));
        }
        Ok(())
    }

    /// What must hold after every move: a side has the session that its machine names, and no other.
    fn check(&self) -> Result<(), Breach> {
        for side in 0..2 {
            let machine = self.machines.of(&self.world, side);
            let mut up =
                (0..self.world.attempts.len()).filter(|number| self.world.attempts[*number].is_up(side));
            let (first, second) = (up.next().map(instance), up.next());
            if first != machine.session() || second.is_some() {
                return breach(format!("side {side} has {first:?} and {second:?}: {machine:?}"));
            }
        }
        Ok(())
    }
}
