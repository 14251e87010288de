//! What the server sees: asked from the direct socket, with a token that the session with it gave.

use super::super::client::Inner;
use super::super::uplink::Uplink;
use crate::driver::Punch;
use crate::peers::direct::{Observation, Packet, Token};
use crate::peers::{Offered, PeerAnswer, PeerAsk};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Instance;
use citadel_crypt::secret::Secret;
use core::time::Duration;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// When requests go, and when an answer is late. An attempt waits no longer for it: the peer may see the address by itself.
const TRIES: [Duration; 3] =
    [Duration::from_millis(150), Duration::from_millis(300), Duration::from_millis(450)];
/// A token is used for so long; it holds twice as long.
const FRESH: Duration = Duration::from_secs(300);

/// What is known of the server's observation port.
#[derive(Default)]
pub(super) struct Observed {
    port: Option<Port>,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<SocketAddr>>,
}

/// The port of the server that a session is with.
struct Port {
    session: Instance,
    until: Timestamp,
    /// None if it has none.
    at: Option<(SocketAddr, Arc<Observation>)>,
}

impl Observed {
    /// A packet came that is neither ping nor pong.
    pub(super) fn hear(&mut self, packet: &Packet) {
        let Some(Port { at: Some((_, observation)), .. }) = &self.port else { return };
        let Some((number, seen)) = observation.read(packet) else { return };
        if let Some(waits) = self.waiting.remove(&number) {
            // Whoever asked may have gone.
            let _gone = waits.send(seen);
        }
    }
}

/// Where this end's packets come from, as the server sees it; none if it does not say in time.
pub(super) async fn ask(inner: &Arc<Inner>, punch: &Punch) -> Option<SocketAddr> {
    let uplink = inner.uplink().ok()?;
    let (server, observation) = port(inner, &uplink).await?;
    if !punch.reaches(server) {
        return None;
    }
    let (sender, mut answer) = oneshot::channel();
    let number = {
        let mut observed = inner.direct.observed.lock();
        observed.next += 1;
        let number = observed.next;
        // Those whose attempts are over.
        observed.waiting.retain(|_, waits| !waits.is_closed());
        observed.waiting.insert(number, sender);
        number
    };
    let request = observation.request(number);
    for pause in TRIES {
        punch.send(server, &request);
        if let Ok(answer) = tokio::time::timeout(pause, &mut answer).await {
            return answer.ok();
        }
    }
    None
}

/// The server's port and the right to ask there.
async fn port(inner: &Arc<Inner>, uplink: &Uplink) -> Option<(SocketAddr, Arc<Observation>)> {
    let (session, now) = (uplink.session.instance(), inner.hub.now());
    {
        let observed = inner.direct.observed.lock();
        let known = observed.port.as_ref().filter(|port| port.session == session && now < port.until);
        if let Some(port) = known {
            return port.at.clone();
        }
    }
    let at = match uplink.ask(&PeerAsk::Observe).await {
        Ok(PeerAnswer::Observer(offered)) => right(&offered, uplink.session.remote_addr()),
        Ok(_) | Err(_) => None,
    };
    inner.direct.observed.lock().port = Some(Port { session, until: now + FRESH, at: at.clone() });
    at
}

/// The port, of a server that is reached at `server`, and the right to ask there.
fn right(offered: &Offered, server: Option<SocketAddr>) -> Option<(SocketAddr, Arc<Observation>)> {
    let mut address = offered.address;
    if address.ip().is_unspecified() {
        address.set_ip(server?.ip().to_canonical());
    }
    let key = Secret::copy_from(offered.key.expose());
    Some((address, Arc::new(Observation::new(Token::from_bytes(&offered.token), key))))
}
