//! The addresses of both ends, told over the session itself, and the keys of the probes.

use super::super::client::Inner;
use super::gather::gather;
use super::{DIRECT, DirectConfig, MALFORMED, NOT_SERVED};
use crate::driver::{Channel, Punch, Session};
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
    config: &DirectConfig,
    punch: &Arc<Punch>,
    session: Session,
    attempt: u32,
) -> Result<Candidates, NoAttempt> {
    let asked = async {
        let mut channel = session.open_service_channel(DIRECT).map_err(|_| NoAttempt::Failed)?;
        drop(session);
        say(&mut channel, &DirectMessage::Begin { attempt }).await?;
        let (own, offered) = tokio::join!(gather(inner, config, punch), hear(&mut channel, config));
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

/// The responder's part, once the initiator has begun: which attempt, and where the initiator may be reached.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    config: &DirectConfig,
    punch: &Arc<Punch>,
    mut channel: Channel,
    after: u32,
) -> Result<(u32, Candidates), NoAttempt> {
    let answered = async {
        let DirectMessage::Begin { attempt } = hear(&mut channel, config).await? else {
            channel.reset(MALFORMED);
            return Err(NoAttempt::Failed);
        };
        if attempt <= after {
            channel.reset(MALFORMED);
            return Err(NoAttempt::Failed);
        }
        let candidates = gather(inner, config, punch).await;
        say(&mut channel, &DirectMessage::Offer { attempt, candidates }).await?;
        match hear(&mut channel, config).await? {
            DirectMessage::Answer { attempt: of, candidates } if of == attempt => Ok((attempt, candidates)),
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
