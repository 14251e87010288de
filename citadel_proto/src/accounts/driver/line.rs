//! An open service channel on the client's end: requests side by side, each with its own answer, without a task.

use super::client::CallError;
use crate::accounts::message::{RequestBody, ResponseBody};
use crate::accounts::wire;
use crate::driver::{Channel, RecvHalf, SendHalf};
use crate::errors::RecvError;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

pub(super) struct Line {
    send: AsyncMutex<SendHalf>,
    /// Whoever holds it reads for all.
    recv: AsyncMutex<RecvHalf>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    answers: BTreeMap<u64, oneshot::Sender<ResponseBody>>,
    /// Why no further answer will come.
    over: Option<CallError>,
}

/// A request's place among those that wait; given up when the caller goes.
struct Place<'a> {
    line: &'a Line,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.waiting.lock().answers.remove(&self.id);
    }
}

impl Line {
    pub(super) fn new(channel: Channel) -> Self {
        let (send, recv) = channel.split();
        Self { send: AsyncMutex::new(send), recv: AsyncMutex::new(recv), waiting: Mutex::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.waiting.lock().over.is_some()
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn exchange(&self, body: &RequestBody) -> Result<ResponseBody, CallError> {
        let (place, answer) = self.place()?;
        let request = wire::encode_request(place.id, body).map_err(|_| CallError::TooLong)?;
        if let Err(error) = self.send.lock().await.send(Bytes::copy_from_slice(&request)).await {
            return Err(self.end(error.into()));
        }
        self.answer(answer).await
    }

    fn place(&self) -> Result<(Place<'_>, oneshot::Receiver<ResponseBody>), CallError> {
        let mut waiting = self.waiting.lock();
        if let Some(over) = &waiting.over {
            return Err(over.clone());
        }
        let id = waiting.next;
        waiting.next += 1;
        let (sender, receiver) = oneshot::channel();
        waiting.answers.insert(id, sender);
        Ok((Place { line: self, id }, receiver))
    }

    /// Nobody gets an answer any more.
    fn end(&self, error: CallError) -> CallError {
        let mut waiting = self.waiting.lock();
        waiting.answers.clear();
        waiting.over.get_or_insert(error).clone()
    }

    /// Waits for one's own answer, reading for the others meanwhile if nobody else does.
    async fn answer(&self, mut answer: oneshot::Receiver<ResponseBody>) -> Result<ResponseBody, CallError> {
        let over = || self.waiting.lock().over.clone().unwrap_or(CallError::Ended);
        let mut recv = tokio::select! {
            biased;
            answered = &mut answer => return answered.map_err(|_| over()),
            recv = self.recv.lock() => recv,
        };
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => return answered.map_err(|_| over()),
                message = recv.recv() => match message {
                    Ok(Some(message)) => self.deliver(&message)?,
                    Ok(None) | Err(RecvError::Reset { .. }) => return Err(self.end(CallError::Ended)),
                    Err(error) => return Err(self.end(error.into())),
                },
            }
        }
    }

    /// Hands an answer to whoever waits for it; one whose caller is gone is dropped.
    fn deliver(&self, message: &Bytes) -> Result<(), CallError> {
        let (id, body) = wire::decode_response(message).map_err(|_| self.end(CallError::Malformed))?;
        let waits = self.waiting.lock().answers.remove(&id);
        if let Some(waits) = waits {
            let _gone = waits.send(body);
        }
        Ok(())
    }
}
