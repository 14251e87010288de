//! Two managers of one session over in-memory queues: no link, no latency, nothing counted beside them.

use crate::memory_pair::initial_secrets;
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::manager_config::ManagerConfig;
use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::{CryptoProvider, Suite};
use core::convert::Infallible;
use futures::StreamExt;
use futures::channel::mpsc;
use std::sync::Arc;

/// Records in flight in one direction.
const QUEUE: usize = 8;

/// Managers of `suite` whose rounds are never signed: they have no identities, initiator first. Must be called inside a tokio runtime.
pub fn memory_managers(
    provider: &Arc<dyn CryptoProvider>,
    suite: Suite,
    mode: SecrecyMode,
) -> [RatchetManager; 2] {
    let (to_responder, from_initiator) = mpsc::channel::<Bytes>(QUEUE);
    let (to_initiator, from_responder) = mpsc::channel::<Bytes>(QUEUE);
    let manager = |side, sink, stream: mpsc::Receiver<Bytes>| {
        let keys = initial_secrets(suite).into_parts(Arc::clone(provider), side, mode, None);
        let config = ManagerConfig::new(&keys);
        RatchetManager::spawn(keys, config, sink, stream.map(Ok::<_, Infallible>))
    };
    [
        manager(Side::Initiator, to_responder, from_responder),
        manager(Side::Responder, to_initiator, from_initiator),
    ]
}
