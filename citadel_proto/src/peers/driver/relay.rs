//! Lanes on the server: two service channels, and messages handed on from one to the other.
//!
//! A lane holds one message in each direction; what waits beyond that waits in the channels, within their credit, so a reader
//! that stalls stops the writer at the other end and nobody else. Each lane is a task of its own.

use super::super::wire::{self, LaneFrom, LaneOpen};
use super::board::Inner;
use super::floor::{Listed, Seat, TooManyLanes};
use super::serve::{actor, resource};
use crate::accounts::{Action, authorize};
use crate::channel::RELAY;
use crate::driver::{Channel, RecvHalf, SendHalf};
use crate::errors::{OpenError, RecvError, SendError};
use std::sync::Arc;

/// Longest message of a lane: what one write of a stream over a channel becomes.
const MAX_MESSAGE: usize = 64 << 10;

/// Why a lane is no more, or was not made; the code that its ends are reset with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// What came is no message of a lane.
    #[error("malformed")]
    Malformed,
    /// Unknown, not peers, or blocked; which of them is not said.
    #[error("not peers")]
    NotPeers,
    /// A peer whose device has no session.
    #[error("offline")]
    Offline,
    /// The own device.
    #[error("this is the own device")]
    Yourself,
    /// One of the two sessions has as many lanes as it may.
    #[error("too many lanes")]
    Full,
    /// The other end, or its session, is over.
    #[error("the other end is gone")]
    Gone,
    /// The server could not look.
    #[error("the server could not do it")]
    Unavailable,
}

impl LaneError {
    /// Stable number.
    pub const fn code(self) -> u32 {
        match self {
            Self::Malformed => 1,
            Self::NotPeers => 2,
            Self::Offline => 3,
            Self::Yourself => 4,
            Self::Full => 5,
            Self::Gone => 6,
            Self::Unavailable => 7,
        }
    }

    /// Of the code that a lane was reset with.
    pub const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::NotPeers,
            3 => Self::Offline,
            4 => Self::Yourself,
            5 => Self::Full,
            7 => Self::Unavailable,
            // Also 0, that of a handle which was dropped.
            _ => Self::Gone,
        }
    }
}

/// Makes the lane that the first message asks for and carries it until it is over.
pub(super) async fn serve(inner: &Arc<Inner>, seat: &Arc<Seat>, channel: Channel) {
    let (send, mut recv) = channel.split();
    let joined = tokio::select! {
        biased;
        () = seat.over.cancelled() => Err(LaneError::Gone),
        joined = join(inner, seat, &mut recv) => joined,
    };
    match joined {
        Ok(Joined { far, there, listed }) => {
            let ended = ended(&listed, [seat, &there]);
            carry(ended, (send, recv), far.split()).await;
        }
        Err(error) => {
            log::debug!(target: "citadel::peers", "{:?}: no lane: {error}", seat.party);
            send.reset(error.code());
            recv.stop(error.code());
        }
    }
}

/// A lane that is made.
struct Joined {
    /// The channel to the other end.
    far: Channel,
    /// Who sits there.
    there: Arc<Seat>,
    listed: Listed,
}

async fn join(inner: &Arc<Inner>, seat: &Arc<Seat>, recv: &mut RecvHalf) -> Result<Joined, LaneError> {
    let Ok(Some(message)) = recv.recv().await else { return Err(LaneError::Gone) };
    let LaneOpen { to, device } = wire::decode_lane(&message).map_err(|_| LaneError::Malformed)?;
    if to == seat.party || device == seat.device {
        return Err(LaneError::Yourself);
    }
    // Listed before the pair is read: whoever ends the pair afterwards ends this lane, too.
    let listed = inner.list_lane(seat.party, to);
    let pair = inner.pair(seat.party, to).await.map_err(|_| LaneError::Unavailable)?;
    authorize(&actor(seat), Action::Relay, &resource(to, pair.is_agreed()))
        .map_err(|_| LaneError::NotPeers)?;
    let there = inner.find_seat(to, device).ok_or(LaneError::Offline)?;
    let session = there.session().ok_or(LaneError::Offline)?;
    listed.join([seat, &there]).map_err(|TooManyLanes| LaneError::Full)?;
    let mut far = session.open_service_channel(RELAY).map_err(|error| match error {
        OpenError::Limit => LaneError::Full,
        _ => LaneError::Offline,
    })?;
    let head = LaneFrom { from: seat.party, device: seat.device };
    let head = wire::encode_lane(&head).map_err(|_| LaneError::Malformed)?;
    far.send(head).await.map_err(|_| LaneError::Offline)?;
    Ok(Joined { far, there, listed })
}

/// Why a lane is no more whatever it carries: the two are no peers, or the device at an end of it was shut out.
async fn ended(listed: &Listed, [here, there]: [&Seat; 2]) -> LaneError {
    tokio::select! {
        biased;
        () = listed.ended.cancelled() => LaneError::NotPeers,
        () = here.over.cancelled() => LaneError::Gone,
        () = there.over.cancelled() => LaneError::Gone,
    }
}

/// Hands on until both directions have ended well, or one has not, or the lane has `ended`.
async fn carry(
    ended: impl Future<Output = LaneError>,
    near: (SendHalf, RecvHalf),
    far: (SendHalf, RecvHalf),
) {
    let ((mut near_send, mut near_recv), (mut far_send, mut far_recv)) = (near, far);
    let carried = async {
        tokio::try_join!(hand_on(&mut near_recv, &mut far_send), hand_on(&mut far_recv, &mut near_send))
    };
    let ended = tokio::select! {
        biased;
        why = ended => Err(why),
        carried = carried => carried.map(|_| ()),
    };
    // A lane is one stream: an end that broke breaks both directions, as a cut connection does.
    if let Err(error) = ended {
        for send in [near_send, far_send] {
            send.reset(error.code());
        }
        for recv in [near_recv, far_recv] {
            recv.stop(error.code());
        }
    }
}

/// One direction, to its end.
async fn hand_on(from: &mut RecvHalf, to: &mut SendHalf) -> Result<(), LaneError> {
    loop {
        match from.recv().await {
            Ok(Some(message)) if message.len() > MAX_MESSAGE => return Err(LaneError::Malformed),
            Ok(Some(message)) => to.send(message).await.map_err(of_send)?,
            Ok(None) => return to.finish().await.map_err(of_send),
            Err(RecvError::Reset { code }) => return Err(LaneError::from_code(code)),
            Err(_) => return Err(LaneError::Gone),
        }
    }
}

fn of_send(error: SendError) -> LaneError {
    match &error {
        SendError::Stopped { code } => LaneError::from_code(*code),
        _ => LaneError::Gone,
    }
}
