//! Whom a client takes for its server when it does not dial by peer id (R-EST-1).

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Trust;
use citadel_crypt::identity::IdentityPublic;
use citadel_proto::driver::TrustPolicy;
use core::fmt;
use futures::FutureExt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Whom a client takes for its server when the address names no peer. There is no default: without one, nobody is trusted.
#[derive(Clone)]
pub struct ServerTrust {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Ask(TrustPolicy),
    Anyone { passwords: bool },
}

impl ServerTrust {
    /// Those that `decide` says yes to, once they have proven their identity and before this node tells its own: trust on
    /// first use, for example. It may take as long as the handshake's deadline leaves.
    pub fn ask<F, Fut>(decide: F) -> Self
    where
        F: Fn(IdentityPublic) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        Self { kind: Kind::Ask(Arc::new(move |peer| decide(peer).boxed())) }
    }

    /// These and no others.
    pub fn pinned(peers: impl IntoIterator<Item = PeerId>) -> Self {
        let peers: Arc<[PeerId]> = peers.into_iter().collect();
        Self::ask(move |peer| {
            let is_pinned = peers.contains(&peer.peer_id());
            async move { is_pinned }
        })
    }

    /// Those whose peer ids stand in the file at `path`, one a line; lines that are empty or begin with `#` are skipped. Reads
    /// the file now.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no peer id ([`io::ErrorKind::InvalidData`]).
    pub fn pinned_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let peers: Result<Vec<PeerId>, _> = lines.map(str::parse).collect();
        peers.map(Self::pinned).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whoever answers: anyone on the way can be the server. Passwords are not sent to such a one.
    pub const fn dangerous_anyone() -> Self {
        Self { kind: Kind::Anyone { passwords: false } }
    }

    /// Whoever answers, and passwords go to it as well: anyone on the way can learn them.
    pub const fn dangerous_anyone_with_passwords() -> Self {
        Self { kind: Kind::Anyone { passwords: true } }
    }

    /// What the handshake is told: whom to trust, whether passwords may go to anyone, and who is asked.
    pub(crate) fn parts(&self) -> (Trust, bool, Option<TrustPolicy>) {
        match &self.kind {
            Kind::Ask(policy) => (Trust::Ask, false, Some(Arc::clone(policy))),
            Kind::Anyone { passwords } => (Trust::DangerousAnyone, *passwords, None),
        }
    }
}

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Ask(_) => f.write_str("ServerTrust(asks)"),
            Kind::Anyone { passwords } => write!(f, "ServerTrust(anyone, passwords: {passwords})"),
        }
    }
}
