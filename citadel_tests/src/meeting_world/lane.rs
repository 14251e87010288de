//! One attempt on its lane: how far each end is, and what is on its way between them.

use crate::meeting::{OwnAttempt, TheirAttempt};

/// What travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Message {
    /// Dialler: who I am.
    Proof,
    /// Answerer: yes.
    Yes,
    /// Answerer: no, another attempt counts.
    No,
    /// Dialler: I have kept the session.
    Hello,
    /// Either: the session or the attempt is over. Also what both ends see of a broken lane.
    End,
}

/// How far the dialling end is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Dialler {
    Trying,
    /// Its machine gave it up; the task that runs it has not ended yet.
    GivenUp,
    Up,
    Over,
}

/// How far the answering end is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Answerer {
    Unseen,
    /// The dialler is proven and waits.
    Asked,
    /// Accepted; there is a session that nobody was heard on.
    Pending,
    Up,
    Over,
}

/// Messages in one direction, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Queue([Option<Message>; 3]);

impl Queue {
    pub(super) fn first(&self) -> Option<Message> {
        self.0[0]
    }

    fn take(&mut self) -> Option<Message> {
        let [first, second, third] = self.0;
        self.0 = [second, third, None];
        first
    }

    fn push(&mut self, message: Message) {
        let free = self.0.iter_mut().find(|place| place.is_none());
        *free.expect("no end says more than three things") = Some(message);
    }

    /// Whether the end stands behind something that it may overtake.
    pub(super) fn has_late_end(&self) -> bool {
        self.0[1..].contains(&Some(Message::End))
    }
}

/// An attempt, or the session that it made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Attempt {
    /// Which side dialled.
    by: u8,
    /// Its number there.
    own: u8,
    /// Its number at the other side; 0 where it has none yet.
    number: u8,
    pub(super) dialler: Dialler,
    pub(super) answerer: Answerer,
    /// Towards the answerer, and towards the dialler.
    pub(super) queues: [Queue; 2],
    /// Nothing goes any more.
    pub(super) is_cut: bool,
    /// Sides that will hear once more that this session is over: it was closing first, then closed.
    pub(super) lingers: [bool; 2],
}

/// Index of the queue towards the answerer.
pub(super) const FORWARD: usize = 0;
/// Index of the queue towards the dialler.
pub(super) const BACKWARD: usize = 1;

impl Attempt {
    /// Any attempt of which nothing is left, neither to come.
    const GONE: Self = Self {
        by: 0,
        own: 0,
        number: 0,
        dialler: Dialler::Over,
        answerer: Answerer::Over,
        queues: [Queue([None; 3]); 2],
        is_cut: true,
        lingers: [false; 2],
    };

    /// Attempt `own` of the side `by`; `is_numbered` at the other side, too, as it is here.
    pub(super) fn new(by: usize, own: u64, is_numbered: bool) -> Self {
        let own = u8::try_from(own).expect("few attempts");
        let (by, number) = (u8::from(by == 1), if is_numbered { own } else { 0 });
        let mut queues = [Queue::default(); 2];
        queues[FORWARD].push(Message::Proof);
        let (dialler, answerer) = (Dialler::Trying, Answerer::Unseen);
        Self { by, own, number, dialler, answerer, queues, is_cut: false, lingers: [false; 2] }
    }

    /// Which side dialled.
    pub(super) const fn by(&self) -> usize {
        self.by as usize
    }

    /// Its name there.
    pub(super) const fn own(&self) -> OwnAttempt {
        OwnAttempt(self.own as u64)
    }

    /// Its name at the other side.
    pub(super) const fn theirs(&self) -> TheirAttempt {
        TheirAttempt(self.number as u64)
    }

    /// Names it at the other side if it has no name there.
    pub(super) const fn name(&mut self, number: u8) {
        if self.number == 0 {
            self.number = number;
        }
    }

    fn is_over(&self, direction: usize) -> bool {
        if direction == FORWARD { self.answerer == Answerer::Over } else { self.dialler == Dialler::Over }
    }

    /// Says something to the other end, if it can still hear.
    pub(super) fn say(&mut self, direction: usize, message: Message) {
        if !self.is_cut && !self.is_over(direction) {
            self.queues[direction].push(message);
        }
    }

    /// The answering end says no.
    pub(super) fn refuse(&mut self) {
        self.say(BACKWARD, Message::No);
        self.answerer = Answerer::Over;
        self.queues[FORWARD] = Queue::default();
    }

    /// What comes next; with `overtaking` the end, and what stands before it never does.
    pub(super) fn take(&mut self, direction: usize, overtaking: bool) -> Option<Message> {
        if overtaking {
            self.queues[direction] = Queue::default();
            return Some(Message::End);
        }
        self.queues[direction].take()
    }

    /// The dialling end is done and says so.
    pub(super) fn end_dialler(&mut self) {
        self.lingers[self.by()] |= self.dialler == Dialler::Up;
        self.dialler = Dialler::Over;
        self.queues[BACKWARD] = Queue::default();
        self.say(FORWARD, Message::End);
    }

    /// The answering end is done and says so.
    pub(super) fn end_answerer(&mut self) {
        self.lingers[1 - self.by()] |= self.answerer == Answerer::Up;
        self.answerer = Answerer::Over;
        self.queues[FORWARD] = Queue::default();
        self.say(BACKWARD, Message::End);
    }

    /// What is on its way is lost, and each end will see that the lane is.
    pub(super) fn cut(&mut self) {
        self.queues = [Queue::default(); 2];
        if self.answerer == Answerer::Unseen {
            self.answerer = Answerer::Over;
        }
        self.say(FORWARD, Message::End);
        self.say(BACKWARD, Message::End);
        self.is_cut = true;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_over(FORWARD) && self.is_over(BACKWARD)
    }

    /// Whether that side has the session, to use it.
    pub(super) fn is_up(&self, side: usize) -> bool {
        if side == self.by() { self.dialler == Dialler::Up } else { self.answerer == Answerer::Up }
    }

    pub(super) fn is_quiet(&self) -> bool {
        let is_said = self.queues == [Queue::default(); 2] && self.lingers == [false; 2];
        is_said && self.dialler != Dialler::GivenUp
    }

    /// Forgets what no longer makes a difference, so that such states are one.
    pub(super) fn forget(&mut self) {
        if self.is_gone() && self.is_quiet() {
            *self = Self::GONE;
        }
    }
}
