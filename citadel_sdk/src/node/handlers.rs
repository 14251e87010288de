//! Runs a session's handler, ends the session by how the handler ended, and remembers the reports.

use super::remote::Inner;
use crate::kernel::{HandlerEnd, HandlerError, KernelResult};
use crate::prelude::BoxError;
use citadel_proto::driver::Session;
use citadel_proto::{ChannelId, CloseReason, CloseReport};
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::task::JoinError;

/// Reports that a client node keeps; a server keeps those of the sessions that were open when it began to stop.
const KEPT: usize = 64;

/// How a session and its handler ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionEnd {
    /// The handler.
    pub handler: HandlerEnd,
    /// The session.
    pub report: CloseReport,
}

impl HandlerEnd {
    fn of(result: Result<Option<KernelResult>, JoinError>) -> Self {
        match result {
            Ok(Some(Ok(()))) => Self::Done,
            Ok(Some(Err(error))) => Self::Failed(error),
            Err(error) if error.is_panic() => Self::Panicked,
            Ok(None) | Err(_) => Self::Cancelled,
        }
    }

    /// What the session ends with.
    fn reason(&self) -> CloseReason {
        match self {
            Self::Done => CloseReason::application(0, ""),
            Self::Failed(error) => failure(error),
            Self::Panicked => CloseReason::HandlerPanicked,
            Self::Cancelled => CloseReason::Aborted,
        }
    }
}

fn failure(error: &BoxError) -> CloseReason {
    match error.downcast_ref::<HandlerError>() {
        Some(error) => CloseReason::application(error.code(), error.text()),
        None => CloseReason::application(HandlerError::UNSPECIFIED, "the handler failed"),
    }
}

impl Inner {
    /// Runs `handler` in a task of its own, then ends `session`; ends with it.
    pub(super) async fn supervise(
        &self,
        session: Session,
        handler: impl Future<Output = KernelResult> + Send + 'static,
    ) -> SessionEnd {
        let handler = self.tasks.spawn(self.aborted.clone().run_until_cancelled_owned(handler));
        let handler = HandlerEnd::of(handler.await);
        match &handler {
            HandlerEnd::Failed(error) if session.closing().is_none() => {
                log::warn!(target: "citadel::node", "session {}: handler: {error}", session.instance());
            }
            HandlerEnd::Failed(error) => {
                log::debug!(target: "citadel::node", "session {}: handler: {error}", session.instance());
            }
            HandlerEnd::Panicked => {
                log::error!(target: "citadel::node", "session {}: handler panicked", session.instance());
            }
            HandlerEnd::Done | HandlerEnd::Cancelled => {}
        }
        // Half a stream must not look whole, nor a whole one cut. Without effect where the handler ended channel 0 itself.
        match handler {
            HandlerEnd::Done => session.finish_channel(ChannelId(0)),
            _ => session.drop_channel(ChannelId(0)),
        }
        let report = session.shutdown(handler.reason()).await;
        let keeps = if self.stopping.is_cancelled() { usize::MAX } else { self.kept() };
        self.history.record(report.clone(), keeps);
        SessionEnd { handler, report }
    }

    fn kept(&self) -> usize {
        if self.listens.is_empty() { KEPT } else { 0 }
    }
}

/// What became of sessions.
#[derive(Default)]
pub(super) struct History {
    inner: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    reports: VecDeque<CloseReport>,
    /// Those whose reports were not kept.
    earlier: u64,
}

impl History {
    /// Remembers a report, and of the older ones as many as still fit.
    fn record(&self, report: CloseReport, keeps: usize) {
        let mut ended = self.inner.lock();
        ended.reports.push_back(report);
        while ended.reports.len() > keeps {
            ended.reports.pop_front();
            ended.earlier += 1;
        }
    }

    /// All reports: those of before, then `closed`, those of the node's end in its order; and how many ended before them.
    pub(super) fn take(&self, closed: Vec<CloseReport>) -> (Vec<CloseReport>, u64) {
        let mut ended = self.inner.lock();
        let is_closed = |report: &CloseReport| closed.iter().any(|known| known.instance == report.instance);
        let mut reports: Vec<_> = ended.reports.drain(..).filter(|report| !is_closed(report)).collect();
        reports.extend(closed);
        (reports, ended.earlier)
    }
}
