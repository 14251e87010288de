//! From the name of a peer to a session with it: looks for it, registers with it, connects.

use super::back_off::wait;
use super::peers::Wanted;
use citadel_crypt::addr::PeerId;
use citadel_proto::OpenError;
use citadel_proto::driver::{Channel, Session};
use citadel_proto::peers::{
    ConnectError as PeerConnectError, ConsentError, Party, PeerAskError, PeerClient, PeerSession, PeerTrust,
    PeersCallError, PeersError, PinError, Standing,
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

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// What the peer says is heard, also if that is all that there is.
    Talk,
    /// It is sent to: one that is over is of no use.
    Send,
}

/// A session with a peer and its channel 0, registering with it on the way if need be.
///
/// The peer may have been faster: have opened a session, said all that it had to say, closed it and gone, before this end asked.
/// That is the session then, if something that was said is in it, and somebody is to hear it.
pub(super) async fn meet(
    peers: &PeerClient,
    wanted: &Wanted,
    purpose: Purpose,
) -> Result<PeerConnection, PeerFailure> {
    // Without an account it is gone when it goes; what it said may be there all the same.
    let party = match wanted.transient() {
        Some(party) => party,
        None => agree(peers, wanted).await?,
    };
    let met = tokio::select! {
        biased;
        arrived = arrival(peers, wanted, party, purpose) => arrived,
        reached = reach(peers, wanted) => reached?,
    };
    connection(peers, met)
}

/// The first session of the peer that nobody has taken and that is worth it. Of one that ended otherwise than in order the peer was
/// told that not all may have arrived.
async fn arrival(peers: &PeerClient, wanted: &Wanted, party: Party, purpose: Purpose) -> PeerSession {
    loop {
        let arrived = peers.accept_session_of(party).await;
        let is_worth_it = match arrived.session.closing() {
            None => true,
            Some(reason) => purpose == Purpose::Talk && reason.is_orderly() && arrived.session.has_unread(),
        };
        if let (true, Ok(arrived)) = (is_worth_it, as_expected(peers, wanted, arrived)) {
            return arrived;
        }
    }
}

/// Agrees with it, and connects whenever it is there, until there is a session.
async fn reach(peers: &PeerClient, wanted: &Wanted) -> Result<PeerSession, PeerFailure> {
    let party = agree(peers, wanted).await?;
    let mut pause = PAUSES.0;
    loop {
        peers.online(party).await;
        match peers.connect(party).await {
            // However it has ended since: this end wanted it, and is told.
            Ok(met) => return as_expected(peers, wanted, met),
            Err(error) if error.is_retryable() => {
                log::debug!(target: "citadel::node", "{wanted}: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        wait(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Looks for it, and registers with it.
async fn agree(peers: &PeerClient, wanted: &Wanted) -> Result<Party, PeerFailure> {
    let party = find(peers, wanted).await?;
    register(peers, party, wanted.expect).await?;
    Ok(party)
}

/// The session, if it is with the device that was named, or with another verified one of the same account.
fn as_expected(
    peers: &PeerClient,
    wanted: &Wanted,
    mut met: PeerSession,
) -> Result<PeerSession, PeerFailure> {
    let Some(expect) = wanted.expect else { return Ok(met) };
    let found = met.session.peer_id();
    // As it is now: who waited may have come before the user said whom to trust.
    let pinned = peers.info(met.party).and_then(|info| info.pinned);
    let trust = pinned.and_then(|pinned| pinned.devices.get(&found).copied());
    if found == expect || trust == Some(PeerTrust::Verified) {
        met.trust = PeerTrust::Verified;
        return Ok(met);
    }
    Err(PeersError::from(PinError::IdentityChanged { pinned: vec![expect], found }).into())
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

/// Agrees with it, whoever was the first to ask. Whom the user named by its peer id is verified, also if the two have agreed
/// before.
async fn register(peers: &PeerClient, party: Party, expect: Option<PeerId>) -> Result<(), PeerFailure> {
    let standing = peers.info(party).map(|info| info.standing);
    if standing != Some(Standing::Peer) {
        peers.ask(party, expect).await.or_else(unless_done)?;
    }
    let Standing::Peer = peers.answered(party).await else { return Err(PeerFailure::Declined) };
    let info = peers.registered(party).await?;
    let Some(expect) = expect else { return Ok(()) };
    let trust = info.pinned.as_ref().and_then(|pinned| pinned.devices.get(&expect));
    if trust != Some(&PeerTrust::Verified) {
        peers.mark_verified(party, expect).await?;
    }
    Ok(())
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
