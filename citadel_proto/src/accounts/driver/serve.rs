//! The server's end of the service channel: one answer to each request, many at once, bounded.

use super::Accounts;
use crate::accounts::authorize::Actor;
use crate::accounts::message::{AskError, ResponseBody};
use crate::accounts::service::Answer;
use crate::accounts::wire;
use crate::channel::SERVICE_PREFIX;
use crate::driver::{Channel, SendHalf, Session};
use crate::shutdown::CloseReason;
use bytes::Bytes;
use core::time::Duration;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Semaphore;

/// Name of the service, without the prefix that keeps it from applications.
pub const SERVICE: &str = "account";
/// Requests of a session that are worked on at once. Those beyond it wait in the channel, whose credit stops the client.
pub(super) const OUTSTANDING: usize = 64;
/// Code of a channel that was reset because what came on it was no request.
const NO_REQUEST: u32 = 1;
/// How long the answer to a session that ends with it may take to be read. 1 s, as long as a close may take to be
/// announced.
const COURTESY: Duration = Duration::from_secs(1);

/// How a channel, or the answer to a request, left the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Open,
    /// The answer was the last thing: its device is shut out.
    Revoked,
}

impl Accounts {
    /// Answers what `session` asks of its account, until it is over. What is no request resets its channel, not the
    /// session. The session needs [`SessionConfig::services`](crate::SessionConfig::services).
    ///
    /// Holds the session: whoever has done with it closes it.
    ///
    /// # Cancel safety
    /// Dropping the future stops answering; requests that were begun are done or not done, never half.
    pub async fn serve(&self, session: &Session) {
        self.serve_beside(session, Some).await;
    }

    /// The same beside another service: `other` gets each service channel that is not of accounts, and gives back what it
    /// does not know.
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    pub async fn serve_beside(
        &self,
        session: &Session,
        other: impl Fn(Channel) -> Option<Channel> + Send + Sync,
    ) {
        let actor = Self::actor(session);
        let turns = Semaphore::new(OUTSTANDING);
        let mut channels = FuturesUnordered::new();
        let mut accepts = true;
        while accepts || !channels.is_empty() {
            tokio::select! {
                biased;
                Some(left) = channels.next(), if !channels.is_empty() => if left == Left::Revoked {
                    session.begin_shutdown(CloseReason::Revoked);
                },
                accepted = session.accept_service_channel(), if accepts => match accepted {
                    Ok(Some(channel)) if is_ours(&channel) => {
                        channels.push(self.serve_channel(session, actor, channel, &turns));
                    }
                    Ok(Some(channel)) => {
                        if let Some(unknown) = other(channel) {
                            unknown.reset(NO_REQUEST);
                        }
                    }
                    Ok(None) | Err(_) => accepts = false,
                },
            }
        }
    }

    async fn serve_channel(
        &self,
        session: &Session,
        actor: Actor,
        channel: Channel,
        turns: &Semaphore,
    ) -> Left {
        let (mut send, mut recv) = channel.split();
        let mut working = FuturesUnordered::new();
        let mut reads = true;
        while reads || !working.is_empty() {
            // A request is read once there is a turn for it: what a session may have read here is bounded by its turns.
            let next = async {
                let turn = turns.acquire().await;
                (turn, recv.recv().await)
            };
            tokio::select! {
                biased;
                Some((id, answer)) = working.next(), if !working.is_empty() => {
                    if self.reply(session, &actor, &mut send, id, answer).await == Left::Revoked {
                        return Left::Revoked;
                    }
                }
                (turn, message) = next, if reads => match message {
                    Ok(Some(message)) => match wire::decode_request(&message) {
                        Ok((id, body)) => working.push(async move {
                            let answer = self.answer(&actor, body).await;
                            drop(turn);
                            (id, answer)
                        }),
                        Err(error) => {
                            log::debug!(target: "citadel::accounts", "session {}: {error}", session.instance());
                            send.reset(NO_REQUEST);
                            recv.stop(NO_REQUEST);
                            return Left::Open;
                        }
                    },
                    Ok(None) | Err(_) => reads = false,
                },
            }
        }
        // Best effort: a channel that is over already cannot be finished.
        let _finished = send.finish().await;
        Left::Open
    }

    /// Sends an answer and closes what ends with it: other sessions at once, this one when the answer was read.
    async fn reply(
        &self,
        session: &Session,
        actor: &Actor,
        send: &mut SendHalf,
        id: u64,
        answer: Answer,
    ) -> Left {
        let Answer { response, closes } = answer;
        let ends = matches!(actor, Actor::Device { peer, .. } if closes.contains(peer));
        self.close_devices(actor, &closes, ends.then(|| session.instance()));
        let message = encode(id, &response);
        if !ends {
            // A client that is gone, or reads no more, gets no answer; what it asked for is done.
            let _sent = send.send(message).await;
            return Left::Open;
        }
        // A device that is shut out does not stay by not reading.
        let told = async {
            if send.send(message).await.is_ok() {
                let _read = send.acknowledged().await;
            }
        };
        let _told = tokio::time::timeout(COURTESY, told).await;
        Left::Revoked
    }
}

fn is_ours(channel: &Channel) -> bool {
    channel.name().strip_prefix(SERVICE_PREFIX) == Some(SERVICE.as_bytes())
}

fn encode(id: u64, response: &ResponseBody) -> Bytes {
    let encoded = wire::encode_response(id, response)
        .or_else(|_| wire::encode_response(id, &ResponseBody::Failed(AskError::TooLong)));
    encoded.map(Bytes::from).unwrap_or_default()
}
