//! From the name of a peer to a session with it: looks for it, registers with it, connects.

use super::back_off::wait;
use super::peers::Wanted;
use citadel_crypt::addr::PeerId;
use citadel_proto::OpenError;
use citadel_proto::driver::{Channel, Session};
use citadel_proto::peers::{
    ConnectError as PeerConnectError, ConsentError, Party, PeerAskError, PeerClient, PeerInfo, PeerSession,
    PeerTrust, PeersCallError, PeersError, Standing,
};
use core::time::Duration;

/// First and longest pause between two looks for somebody who is not there yet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A session with a peer, and its channel 0. What [`Connection`](crate::Connection) says of handlers holds here, too.
#[derive(Debug)]
#[non_exhaustive]
pub struct PeerConnection {
    /// The session, from end to end.
    pub session: Session,
    /// Channel 0.
    pub channel: Channel,
    /// What the peer is called: its display name, or its user name, or its peer id.
    pub name: String,
    /// The device at the other end: what a pin, a code or a user compares.
    pub peer_id: PeerId,
    /// Who it is at the server.
    pub party: Party,
    /// What the trust in the device rests on.
    pub trust: PeerTrust,
    /// The peers of this node, for whoever wants more of them.
    pub peers: PeerClient,
}

/// Why there was no session with a peer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFailure {
    /// It was not there, did not agree, or was not reached within the kernel's patience.
    #[error("not there within {0:?}")]
    Absent(Duration),
    /// It does not want to be a peer.
    #[error("declined")]
    Declined,
    /// Something about its registration failed.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// No session came about.
    #[error(transparent)]
    Connect(#[from] PeerConnectError),
    /// Channel 0 was taken before.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A session with a peer and its channel 0, registering with it on the way if need be.
pub(super) async fn meet(peers: &PeerClient, wanted: &Wanted) -> Result<PeerConnection, PeerFailure> {
    let party = find(peers, wanted).await?;
    register(peers, party, wanted.expect).await?;
    let mut pause = PAUSES.0;
    loop {
        peers.online(party).await;
        match peers.connect(party).await {
            Ok(met) => return connection(peers, met),
            Err(error) if error.is_retryable() => {
                log::debug!(target: "citadel::node", "{wanted}: {error}");
                wait(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Looks for it until there is one: either end may be the first.
async fn find(peers: &PeerClient, wanted: &Wanted) -> Result<Party, PeerFailure> {
    let mut pause = PAUSES.0;
    loop {
        let Ok(who) = wanted.who() else { return Err(PeersError::NotPeer.into()) };
        match peers.find(who).await {
            Ok(party) => return Ok(party),
            Err(error) if is_absent(&error) || error.is_retryable() => {
                wait(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

const fn is_absent(error: &PeersError) -> bool {
    matches!(error, PeersError::Call(PeersCallError::Refused(PeerAskError::Unknown)))
}

/// Agrees with it, whoever was the first to ask.
async fn register(peers: &PeerClient, party: Party, expect: Option<PeerId>) -> Result<PeerInfo, PeerFailure> {
    let standing = peers.info(party).map(|info| info.standing);
    if standing != Some(Standing::Peer) {
        peers.ask(party, expect).await.or_else(unless_done)?;
    }
    match peers.answered(party).await {
        Standing::Peer => Ok(peers.registered(party).await?),
        _ => Err(PeerFailure::Declined),
    }
}

/// They may have become peers while this end was asking.
fn unless_done(error: PeersError) -> Result<(), PeersError> {
    match error {
        PeersError::Call(PeersCallError::Refused(PeerAskError::Consent(ConsentError::AlreadyPeers))) => {
            Ok(())
        }
        error => Err(error),
    }
}

fn connection(peers: &PeerClient, met: PeerSession) -> Result<PeerConnection, PeerFailure> {
    let PeerSession { session, party, trust, .. } = met;
    let peer_id = session.peer_id();
    let info = peers.info(party);
    let display_name = info.as_ref().and_then(|info| info.display_name.as_ref()).map(|name| name.as_str());
    let user = info.as_ref().and_then(|info| info.user.as_ref()).map(|name| name.as_str());
    let name = display_name.filter(|name| !name.is_empty()).or(user);
    let name = name.map_or_else(|| peer_id.to_string(), str::to_owned);
    let channel = session.channel()?.left_to_session();
    Ok(PeerConnection { session, channel, name, peer_id, party, trust, peers: peers.clone() })
}
