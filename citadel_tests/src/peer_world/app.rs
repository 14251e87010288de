//! What users do in a session with a peer: each end opens channels, answers those of the other, and looks at how the session
//! fares.

use super::client::Client;
use super::flow::{Ending, Flow, FlowId, Pace, Plan, ReadEnd, WriteEnd};
use super::world::pass;
use citadel_crypt::handshake::Instance;
use citadel_proto::driver::{Channel, RecvHalf, SendHalf, Session, SessionEvent, SessionEvents, WeakSession};
use citadel_proto::{PathKind, RecvError, SendError};
use core::time::Duration;
use std::sync::Arc;

/// A session that this end was shown.
pub(super) struct Shown {
    pub(super) session: Session,
    /// The client at the other end.
    pub(super) peer: usize,
}

/// The tasks of a session that was just shown.
pub(super) fn begin(client: &Arc<Client>, shown: &Shown, number: usize) {
    let session = shown.session.clone();
    client.run(accept(Arc::clone(client), session.clone()));
    let watching = Watching {
        client: Arc::clone(client),
        peer: shown.peer,
        number,
        instance: session.instance(),
        carrier: session.path_kind(),
    };
    client.run(watching.run(session.downgrade(), session.events()));
}

/// What somebody who looks at a session knows of it.
struct Watching {
    client: Arc<Client>,
    peer: usize,
    number: usize,
    instance: Instance,
    /// What carries it, as far as was told.
    carrier: PathKind,
}

impl Watching {
    /// Notes keys and paths, and the end.
    async fn run(mut self, weak: WeakSession, mut events: SessionEvents) {
        let (client, number, instance) = (Arc::clone(&self.client), self.number, self.instance);
        let ledger = Arc::clone(&client.world.ledger);
        let mut was_closing = false;
        while let Some(event) = events.next().await {
            match event {
                SessionEvent::Rekeyed(version) => {
                    let print = weak.upgrade().and_then(|session| session.fingerprint(version));
                    print.into_iter().for_each(|print| ledger.print(instance, version.0, &print));
                    ledger.with(|state| state.rounds += 1);
                }
                SessionEvent::Attached { path } => {
                    ledger
                        .say(format_args!("client {}: session {number} has path {}", client.number, path.0));
                    ledger.with(|state| state.resumed += 1);
                }
                SessionEvent::PathChanged { from, to } => self.moved(from, to),
                SessionEvent::Closing(_) => {
                    ledger.check(!was_closing, format_args!("session {number} begins to close twice"));
                    was_closing = true;
                }
                SessionEvent::Closed(report) => {
                    ledger.closed((number, client.number), report);
                    ledger.check(
                        events.next().await.is_none(),
                        format_args!("an event of {number} follows the last"),
                    );
                    client.forget(instance);
                    return;
                }
                _ => {}
            }
        }
    }

    /// Something else carries the session.
    fn moved(&mut self, from: PathKind, to: PathKind) {
        let (world, own, number) = (&self.client.world, self.client.number, self.number);
        let ledger = &world.ledger;
        ledger.say(format_args!("client {own}: session {number} goes from {from:?} to {to:?}"));
        let was = core::mem::replace(&mut self.carrier, to);
        ledger.check(
            was == from && from != to,
            format_args!("session {number} goes from {from:?} to {to:?}, and was on {was:?}"),
        );
        let is_right = match to {
            PathKind::Relayed => true,
            PathKind::Direct(address) => {
                let owner = world.internet.as_ref().and_then(|internet| internet.owner(address.ip()));
                owner == Some(self.peer) && world.setup.allows_direct(own, self.peer)
            }
            _ => false,
        };
        ledger.check(is_right, format_args!("session {number} is on {to:?}, which is no path to the peer"));
        ledger.with(|state| if to.is_direct() { state.direct += 1 } else { state.fallen += 1 });
    }
}

/// Takes the channels of the peer until there are none any more.
async fn accept(client: Arc<Client>, session: Session) {
    while let Ok(Some(channel)) = session.accept_channel().await {
        let Ok(lane) = channel.name().try_into().map(u64::from_le_bytes) else {
            client.world.ledger.fail(format_args!("client {}: a channel of nobody's", client.number));
            return;
        };
        let forth = FlowId { lane, is_back: false };
        client.run(carry(Arc::clone(&client), session.instance(), channel, forth));
    }
}

/// Opens a channel, and does what is planned for it.
pub(super) async fn open(client: Arc<Client>, session: Session, peer: usize, plans: [Plan; 2]) {
    let ledger = Arc::clone(&client.world.ledger);
    let lane = ledger.plan(plans);
    let Ok(channel) = session.open_named_channel(lane.to_le_bytes().to_vec()).await else { return };
    let number = ledger.number(session.instance());
    ledger.say(format_args!("client {}: channel {lane} in session {number}: {plans:?}", client.number));
    for is_back in [false, true] {
        let (writer, reader) = if is_back { (peer, client.number) } else { (client.number, peer) };
        let flow = Flow {
            plan: plans[usize::from(is_back)],
            session: session.instance(),
            channel: channel.id().0,
            writer,
            reader,
            offered: 0,
            accepted: 0,
            taken: 0,
            write_end: None,
            read_end: None,
        };
        ledger.opened(FlowId { lane, is_back }, flow);
    }
    let back = FlowId { lane, is_back: true };
    let instance = session.instance();
    drop(session);
    carry(client, instance, channel, back).await;
}

/// Both directions of a channel; `reads` is the one that comes here.
async fn carry(client: Arc<Client>, session: Instance, channel: Channel, reads: FlowId) {
    let writes = FlowId { is_back: !reads.is_back, ..reads };
    let (send, recv) = channel.split();
    tokio::join!(write(&client, send, writes), read(&client, session, recv, reads));
}

async fn write(client: &Client, mut send: SendHalf, id: FlowId) {
    let ledger = &client.world.ledger;
    let Some(plan) = ledger.plan_of(id) else { return };
    let mut ending = plan.ending;
    for number in 0..plan.count {
        ledger.offered(id);
        if let Err(error) = send.send(id.message(number, plan.len)).await {
            ledger.written(id, failed(&error));
            // What became of those before is said there.
            ending = Ending::Finish;
            break;
        }
        ledger.accepted(id);
        pause(plan.gap).await;
    }
    match ending {
        Ending::Finish => {
            let finished = send.finish().await;
            ledger.written(id, finished.as_ref().map_or_else(failed, |()| WriteEnd::Finished));
            match send.acknowledged().await {
                Ok(()) => ledger.acknowledged(id),
                Err(error) => ledger.written(id, failed(&error)),
            }
        }
        Ending::Reset(code) => {
            ledger.written(id, WriteEnd::GivenUp);
            send.reset(code);
        }
        Ending::Drop => {
            ledger.written(id, WriteEnd::GivenUp);
            drop(send);
        }
    }
}

/// What a writer was told.
const fn failed(error: &SendError) -> WriteEnd {
    if let SendError::Stopped { .. } = error { WriteEnd::Refused } else { WriteEnd::Failed }
}

async fn read(client: &Client, session: Instance, mut recv: RecvHalf, id: FlowId) {
    let ledger = &client.world.ledger;
    let Some(plan) = ledger.plan_of(id) else { return };
    if let Pace::Stalled(time) = plan.pace {
        pause(time).await;
    }
    let mut taken = 0;
    loop {
        if plan.pace == Pace::Stops(taken) {
            ledger.read(id, ReadEnd::Stopped);
            return recv.stop(7);
        }
        if let Pace::Slow(time) = plan.pace {
            pause(time).await;
        }
        match recv.recv().await {
            Ok(Some(message)) => ledger.taken(id, session, &message),
            Ok(None) => return ledger.read(id, ReadEnd::Finished),
            Err(RecvError::Reset { .. }) => return ledger.read(id, ReadEnd::Reset),
            Err(_) => return ledger.read(id, ReadEnd::Closed),
        }
        taken += 1;
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        pass(time).await;
    }
}
