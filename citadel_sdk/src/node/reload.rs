//! What a node can be told again while it runs.

use super::error::NodeError;
use super::remote::NodeRemote;
use crate::EndpointConfig;
use citadel_crypt::handshake::{HandshakeError, Limits, Psk, ServerConfig};
use citadel_proto::accounts::{Policy, RateLimits};
use citadel_proto::driver::Acceptor;
use core::fmt;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Changes for a running node: what is not named stays as it is.
#[derive(Clone, Debug, Default)]
#[must_use = "changes take effect with `NodeRemote::reload`"]
pub struct Reload {
    limits: Option<Limits>,
    psk: Option<Option<Arc<Psk>>>,
    accepted_psks: Option<Arc<[Psk]>>,
    require_psk: Option<bool>,
    policy: Option<Policy>,
    rates: Option<RateLimits>,
}

impl Reload {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the other end of a new session may send.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The pre-shared key that this node connects with from now on.
    pub fn psk(self, psk: Option<Arc<Psk>>) -> Self {
        Self { psk: Some(psk), ..self }
    }

    /// Pre-shared keys that others may connect with from now on. To rotate a key, accept old and new, then give every client
    /// the new one, then accept the new one only.
    pub fn accepted_psks(self, psks: impl Into<Arc<[Psk]>>) -> Self {
        Self { accepted_psks: Some(psks.into()), ..self }
    }

    /// Whether others must connect with one.
    pub fn require_psk(self, is_required: bool) -> Self {
        Self { require_psk: Some(is_required), ..self }
    }

    /// Who gets in, and what they get. The resume time in it counts for the server's side from now on.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// How often something may be tried.
    pub fn rates(self, rates: RateLimits) -> Self {
        Self { rates: Some(rates), ..self }
    }

    fn change(&self, config: &mut EndpointConfig) {
        if let Some(limits) = self.limits {
            config.limits = limits;
        }
        if let Some(psk) = &self.psk {
            config.psk.clone_from(psk);
        }
        if let Some(psks) = &self.accepted_psks {
            config.accepted_psks = Arc::clone(psks);
        }
        if let Some(is_required) = self.require_psk {
            config.require_psk = is_required;
        }
    }
}

/// How a node connects and answers now.
pub(super) struct Settings {
    now: Mutex<Now>,
}

struct Now {
    config: Arc<EndpointConfig>,
    server: Arc<ServerConfig>,
    /// Gone once the node's listeners are closed.
    acceptor: Weak<Acceptor>,
}

impl Settings {
    pub(super) fn new(config: EndpointConfig, server: Arc<ServerConfig>, acceptor: Weak<Acceptor>) -> Self {
        Self { now: Mutex::new(Now { config: Arc::new(config), server, acceptor }) }
    }

    pub(super) fn config(&self) -> Arc<EndpointConfig> {
        Arc::clone(&self.now.lock().config)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.config(), f)
    }
}

impl NodeRemote {
    /// Changes the node's settings for handshakes from now on. Handshakes in flight and sessions keep what they began with:
    /// who is in stays in, also with a pre-shared key that is not accepted any more.
    ///
    /// # Errors
    /// [`NodeError::Config`] and [`NodeError::Accounts`]; nothing has changed then.
    pub fn reload(&self, reload: Reload) -> Result<(), NodeError> {
        let mut now = self.inner.settings.now.lock();
        let mut config = EndpointConfig::clone(&now.config);
        reload.change(&mut config);
        let server = config.server(&self.inner.identity).map_err(|error| NodeError::Config(error.into()))?;
        // Cookies that were given out stay good.
        let guard = Arc::clone(&now.server.guard);
        let server = Arc::new(ServerConfig { guard, ..server });
        if let Some(accounts) = &self.inner.accounts
            && (reload.policy.is_some() || reload.rates.is_some())
        {
            let policy = reload.policy.unwrap_or_else(|| accounts.policy());
            let rates = reload.rates.unwrap_or_else(|| accounts.rates());
            accounts
                .reload(policy, rates)
                .map_err(|_| NodeError::Config(HandshakeError::Unavailable.into()))?;
        }
        if let Some(acceptor) = now.acceptor.upgrade() {
            acceptor.reload(Arc::clone(&server), config.session.clone());
        }
        *now = Now { config: Arc::new(config), server, acceptor: Weak::clone(&now.acceptor) };
        Ok(())
    }
}
