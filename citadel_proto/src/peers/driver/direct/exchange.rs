//! The addresses of both ends, told over the session itself, and the keys of the probes.

use super::super::client::Inner;
use super::gather::gather;
use super::{DIRECT, DirectConfig, MALFORMED, Means, NOT_SERVED};
use crate::driver::{Channel, Session};
use crate::errors::RecvError;
use crate::peers::direct::{Candidates, DIRECT_LABEL, DirectMessage, KeyMaterial, MAX_DIRECT_LEN, ProbeKeys};
use bytes::Bytes;
use core::time::Duration;
use std::sync::Arc;

/// Longest exchange. 5 s: three ways through a slow server, and the server's answer to where this end is.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoAttempt {
    /// The other end wants no direct paths.
    Unwanted,
    /// Another one may succeed.
    Failed,
}

/// The initiator's part: where the responder may be reached.
pub(super) async fn ask(
    inner: &Arc<Inner>,
    means: &Means,
    session: Session,
    attempt: u32,
) -> Result<Candidates, NoAttempt> {
    let asked = async {
        let mut channel = session.open_service_channel(DIRECT).map_err(|_| NoAttempt::Failed)?;
        drop(session);
        say(&mut channel, &DirectMessage::Begin { attempt }).await?;
        let (own, offered) = tokio::join!(gather(inner, means), hear(&mut channel, &means.config));
        let theirs = match offered? {
            DirectMessage::Offer { attempt: of, candidates } if of == attempt => candidates,
            _ => {
                channel.reset(MALFORMED);
                return Err(NoAttempt::Failed);
            }
        };
        say(&mut channel, &DirectMessage::Answer { attempt, candidates: own }).await?;
        channel.finish().await.map_err(|_| NoAttempt::Failed)?;
        Ok(theirs)
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or(Err(NoAttempt::Failed))
}

/// The responder's part, first: which attempt the initiator begins, above `after`.
pub(super) async fn begun(
    mut channel: Channel,
    config: &DirectConfig,
    after: u32,
) -> Result<(u32, Channel), NoAttempt> {
    let heard = tokio::time::timeout(DEADLINE, hear(&mut channel, config)).await;
    match heard.unwrap_or(Err(NoAttempt::Failed))? {
        DirectMessage::Begin { attempt } if attempt > after => Ok((attempt, channel)),
        _ => {
            channel.reset(MALFORMED);
            Err(NoAttempt::Failed)
        }
    }
}

/// The responder's part, then: where the initiator may be reached.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    means: &Means,
    mut channel: Channel,
    attempt: u32,
) -> Result<Candidates, NoAttempt> {
    let answered = async {
        let candidates = gather(inner, means).await;
        say(&mut channel, &DirectMessage::Offer { attempt, candidates }).await?;
        match hear(&mut channel, &means.config).await? {
            DirectMessage::Answer { attempt: of, candidates } if of == attempt => Ok(candidates),
            _ => {
                channel.reset(MALFORMED);
                Err(NoAttempt::Failed)
            }
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap_or(Err(NoAttempt::Failed))
}

/// Asks the initiator for an attempt.
pub(super) async fn renew(session: Session) {
    let asked = async {
        let mut channel = session.open_service_channel(DIRECT).map_err(|_| NoAttempt::Failed)?;
        drop(session);
        say(&mut channel, &DirectMessage::Renew).await?;
        channel.finish().await.map_err(|_| NoAttempt::Failed)
    };
    // Best effort: the initiator makes attempts by itself, later.
    let _asked = tokio::time::timeout(DEADLINE, asked).await;
}

/// Whether the responder asks for an attempt on this channel.
pub(super) async fn is_renewal(mut channel: Channel, config: DirectConfig) -> bool {
    let heard = tokio::time::timeout(DEADLINE, hear(&mut channel, &config)).await;
    heard == Ok(Ok(DirectMessage::Renew))
}

/// The keys of an attempt.
pub(super) fn keys(session: &Session, attempt: u32) -> Option<ProbeKeys> {
    let mut material = KeyMaterial::zero();
    session.export_keying_material(DIRECT_LABEL, &attempt.to_be_bytes(), material.expose_mut()).ok()?;
    Some(ProbeKeys::new(session.side(), &material))
}

async fn say(channel: &mut Channel, message: &DirectMessage) -> Result<(), NoAttempt> {
    channel.send(Bytes::from(message.encode())).await.map_err(|_| NoAttempt::Failed)
}

async fn hear(channel: &mut Channel, config: &DirectConfig) -> Result<DirectMessage, NoAttempt> {
    match channel.recv().await {
        Ok(Some(bytes)) if bytes.len() <= MAX_DIRECT_LEN => {
            DirectMessage::decode(&bytes, config.locality).map_err(|_| NoAttempt::Failed)
        }
        Err(RecvError::Reset { code: NOT_SERVED }) => Err(NoAttempt::Unwanted),
        Ok(_) | Err(_) => Err(NoAttempt::Failed),
    }
}
