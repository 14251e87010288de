//! The machine itself: its parts, its dispatch, its questions, and what the application does with it.

use super::closing::Announcement;
use super::keys::Keys;
use super::link::Link;
use super::liveness::{Liveness, Verdict};
use super::policy::{AckDelay, RoundClock};
use super::{Input, Output, SessionConfig, SessionStats, Tell, TimerReason};
use crate::channel::{Channels, Taken};
use crate::datagram::Datagrams;
use crate::errors::{OpenError, RekeyError, SendError, TrySendError};
use crate::frames::ChannelId;
use crate::shutdown::{self, CloseReason, Facts, SessionPlan, Stage};
use bytes::Bytes;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{Established, Instance};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::{self, RekeyConfig, Side, Version};
use citadel_crypt::ratchets::{ExportError, Exporter, FINGERPRINT_LEN, PathId, RatchetConfig};
use citadel_crypt::suite::CryptoProvider;
use std::collections::VecDeque;
use std::sync::Arc;

/// One end of a session (R-CORE-2): give it inputs, drain [`poll_output`](Self::poll_output), write what
/// [`poll_transmit`](Self::poll_transmit) gives, arm one timer for [`poll_timeout`](Self::poll_timeout).
///
/// The application's operations are methods of their own because they answer at once; after each of them outputs and
/// transmit are polled as after an input. Time never goes back: an earlier one given later counts as the latest.
pub struct SessionMachine {
    pub(super) instance: Instance,
    pub(super) side: Side,
    pub(super) now: Timestamp,
    /// `None` once they are wiped.
    pub(super) keys: Option<Keys>,
    pub(super) channels: Channels,
    pub(super) datagrams: Datagrams,
    pub(super) plan: SessionPlan,
    pub(super) facts: Facts,
    pub(super) announcement: Announcement,
    pub(super) link: Link,
    pub(super) resume: core::time::Duration,
    /// Ids of paths below this one were given out by [`next_path_id`](Self::next_path_id).
    pub(super) next_path: PathId,
    pub(super) liveness: Liveness,
    pub(super) clock: RoundClock,
    pub(super) exporter: Arc<Exporter>,
    pub(super) version: Version,
    pub(super) stats: SessionStats,
    pub(super) ack_delay: core::time::Duration,
    pub(super) ack: AckDelay,
    pub(super) outputs: VecDeque<Output>,
}

impl SessionMachine {
    /// The session that a handshake established at `now`. `identity` is the one that it proved, for signed rounds.
    pub fn new(
        established: Established,
        provider: Arc<dyn CryptoProvider>,
        identity: Arc<Identity>,
        config: &SessionConfig,
        now: Timestamp,
    ) -> Self {
        let Established { side, instance, suite, mode, window, peer, peer_limits, initial, .. } = established;
        let ratchet = RatchetConfig { mode, limits: config.key_limits };
        let parts = initial.into_parts(provider, side, ratchet, Some((identity, peer)));
        let exporter = parts.0.exporter();
        let rekey = RekeyConfig {
            window,
            timing: config.rekey_timing,
            reauth: config.reauth,
            ..RekeyConfig::new(side, suite.id())
        };
        Self {
            instance,
            side,
            now,
            keys: Some(Keys::new(rekey, parts, now)),
            channels: Channels::new(side, config.limits, peer_limits, config.send_buffer, config.services),
            datagrams: Datagrams::new(config.datagram_buffer),
            plan: SessionPlan::new(config.shutdown),
            facts: Facts::default(),
            announcement: Announcement::default(),
            link: Link::Carrying(PathId::FIRST),
            resume: config.resume,
            next_path: PathId::FIRST,
            liveness: Liveness::new(config, now),
            clock: RoundClock::new(config.rekey.background(mode), config.version_age, now),
            exporter,
            version: Version(0),
            stats: SessionStats::default(),
            ack_delay: config.ack_delay,
            ack: AckDelay::None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input; outputs are to be drained before the next one.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        if self.plan.stage() >= Stage::Releasing {
            return;
        }
        match input {
            Input::Record(raw) => self.on_record(raw),
            Input::Packet(packet) => self.on_packet(packet),
            Input::PathLost(loss) => self.lose(loss),
            Input::PathAttached { path } => self.attach(path),
            Input::Abandoned(loss) => self.abandon(loss),
            Input::PathFlushed => self.announcement.on_flushed(),
            Input::Timeout => self.on_timeout(),
        }
        self.settle();
    }

    /// The next effect, in the order in which they must happen; handles that may look again come first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.channels.poll_event().map(Output::Channel).or_else(|| self.outputs.pop_front())
    }

    /// Whether `poll_output` has something.
    pub fn has_output(&self) -> bool {
        self.channels.has_event() || !self.outputs.is_empty()
    }

    /// The earliest deadline and what it is for; none once the session is over.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerReason)> {
        if self.plan.stage() >= Stage::Releasing {
            return None;
        }
        let mut first = None;
        let mut consider = |timer: Option<(Timestamp, TimerReason)>| {
            if let Some(timer) = timer
                && first.is_none_or(|first| timer < first)
            {
                first = Some(timer);
            }
        };
        consider(self.plan.poll_timeout().map(|(at, stage)| (at, TimerReason::Stage(stage))));
        let rekey = self.keys.as_ref().and_then(Keys::poll_timeout);
        consider(rekey.map(|(at, reason)| (at, TimerReason::Rekey(reason))));
        consider(self.ack.poll_timeout());
        consider(self.link.until().map(|at| (at, TimerReason::Resume)));
        let is_running = self.plan.stage() == Stage::Running;
        self.liveness.poll_timeout(self.link.is_attached(), is_running).into_iter().for_each(&mut consider);
        if is_running {
            self.clock.poll_timeout().into_iter().for_each(&mut consider);
        }
        first
    }

    fn on_timeout(&mut self) {
        let (now, is_running) = (self.now, self.plan.stage() == Stage::Running);
        self.plan.handle(now, shutdown::Input::Timeout);
        self.expire();
        self.ack.on_timeout(now);
        match self.liveness.on_timeout(now, self.link.is_attached(), is_running) {
            Verdict::Alive => {}
            Verdict::Dead => self.lose(shutdown::PathLoss::Silent),
            Verdict::Idle => self.plan.handle(now, shutdown::Input::Close(CloseReason::Idle)),
        }
        self.rekey(rekey::Input::Timeout);
        if self.plan.stage() == Stage::Running && self.clock.is_expired(now) {
            self.fatal(shutdown::Fault::KeyLimit);
        }
    }

    /// Closes with `reason`; the first one stays.
    pub fn close(&mut self, now: Timestamp, reason: CloseReason) {
        self.now = self.now.max(now);
        let reason = match reason {
            CloseReason::Application { code, text } => CloseReason::application(code, &text),
            other => other,
        };
        if self.plan.stage() < Stage::Releasing {
            self.plan.handle(self.now, shutdown::Input::Close(reason));
            self.settle();
        }
    }

    /// Asks for a version above the latest; returns the version that will do.
    ///
    /// # Errors
    /// [`RekeyError::Closed`].
    pub fn trigger_rekey(&mut self, now: Timestamp) -> Result<Version, RekeyError> {
        self.now = self.now.max(now);
        let verdict = match self.plan.reason() {
            None => self.rekey(rekey::Input::Trigger),
            Some(_) => None,
        };
        self.settle();
        match verdict {
            Some(rekey::Verdict::Waiting(version)) => Ok(version),
            _ => Err(RekeyError::Closed(self.reason())),
        }
    }

    /// Channel 0, once; also after the close, for what it received.
    ///
    /// # Errors
    /// [`OpenError::Taken`].
    pub fn take_channel_zero(&mut self) -> Result<ChannelId, OpenError> {
        self.channels.take_zero()
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Limit`] until the peer takes another one.
    pub fn open_channel(&mut self, name: Bytes) -> Result<ChannelId, OpenError> {
        self.refuse_if_closing()?;
        self.channels.open(name)
    }

    /// Opens a service channel: one between nodes, under a name that no application can open or see.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Limit`] while [`MAX_SERVICE_CHANNELS`](crate::MAX_SERVICE_CHANNELS) of this end are alive.
    pub fn open_service_channel(&mut self, service: &str) -> Result<ChannelId, OpenError> {
        self.refuse_if_closing()?;
        self.channels.open_service(service)
    }

    /// A service channel that the peer opened, the oldest first; none where the session has no services.
    pub fn accept_service_channel(&mut self) -> Option<ChannelId> {
        self.channels.accept_service()
    }

    /// A channel that the peer opened, the oldest first. Those that came before the close are still given out.
    pub fn accept_channel(&mut self) -> Option<ChannelId> {
        self.channels.accept()
    }

    /// Whether the peer has opened any channel, of whatever kind, also one that was refused.
    pub(crate) fn has_peer_opened(&self) -> bool {
        self.channels.has_peer_opened()
    }

    /// Whether there is something of the peer that the application has not taken: a channel, or a message.
    pub(crate) fn has_unread(&self) -> bool {
        self.channels.has_unread()
    }

    /// Name of a channel, as its opener gave it.
    pub fn channel_name(&self, id: ChannelId) -> Bytes {
        self.channels.name(id)
    }

    /// Accepts a message into a channel's order; from then on it can no longer fail but by the end of the session. A session
    /// that closes accepts none but on relay lanes, and on those while it flushes.
    ///
    /// # Errors
    /// [`TrySendError`]; the message was not accepted.
    pub fn try_send(&mut self, id: ChannelId, message: Bytes) -> Result<(), TrySendError> {
        self.refuse_message_if_closing(id)?;
        self.channels.try_send(id, message)
    }

    /// Longest message that the peer takes on a channel, bytes. On a relay lane it is half the window, so that what was accepted
    /// arrives whether or not its reader reads.
    pub fn longest_message(&self, id: ChannelId) -> u64 {
        self.channels.longest_message(id)
    }

    /// What the reader of a channel gets now, and when the peer is to learn of it. The time is asked for where it matters:
    /// most looks of readers change nothing that has one.
    pub fn take(&mut self, now: impl FnOnce() -> Timestamp, id: ChannelId) -> (Taken, Tell) {
        let taken = self.channels.take(id);
        if self.plan.stage() >= Stage::Releasing {
            return (taken, Tell::Nothing);
        }
        if self.awaits_acknowledgement() {
            self.now = self.now.max(now());
        }
        let armed = self.arm_acknowledgement();
        let tell = match armed {
            _ if self.channels.is_control_due() => Tell::Now,
            true => Tell::ByTimer,
            false => Tell::Nothing,
        };
        (taken, tell)
    }

    /// Half-closes a channel behind what was accepted; nothing if it was before.
    ///
    /// # Errors
    /// [`SendError::Stopped`].
    pub fn finish(&mut self, id: ChannelId) -> Result<(), SendError> {
        self.channels.finish(id)
    }

    /// Gives up the sending half of a channel: what is not sent will not be.
    pub fn reset(&mut self, id: ChannelId, code: u32) {
        self.channels.reset(id, code);
        self.settle_if_open();
    }

    /// The sending handle of a channel is gone.
    pub fn drop_sender(&mut self, id: ChannelId) {
        self.channels.drop_sender(id);
        self.settle_if_open();
    }

    /// The reading handle of a channel is gone.
    pub fn drop_receiver(&mut self, id: ChannelId, code: u32) {
        self.channels.drop_receiver(id, code);
        self.settle_if_open();
    }

    /// Whether the peer's reader took every message accepted so far.
    ///
    /// # Errors
    /// [`SendError`] when it never will.
    pub fn is_consumed(&self, id: ChannelId) -> Result<bool, SendError> {
        match self.channels.is_consumed(id) {
            Ok(false) if self.plan.stage() >= Stage::Releasing => Err(SendError::Closed(self.reason())),
            other => other,
        }
    }

    /// Where the session stands.
    pub const fn stage(&self) -> Stage {
        self.plan.stage()
    }

    /// Why it ends: the peer's reason if this end only follows, else the own one. [`CloseReason::Aborted`] while it is open.
    pub fn reason(&self) -> CloseReason {
        match (self.plan.reason(), self.plan.peer_reason()) {
            (Some(CloseReason::PeerClosing), Some(peer)) => peer.clone(),
            (Some(own), _) => own.clone(),
            (None, _) => CloseReason::Aborted,
        }
    }

    /// Its generation.
    pub const fn instance(&self) -> Instance {
        self.instance
    }

    /// Own side.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Latest committed version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Fingerprint of a version in the window; none once the keys are wiped.
    pub fn fingerprint(&self, version: Version) -> Option<[u8; FINGERPRINT_LEN]> {
        self.keys.as_ref().and_then(|keys| keys.toolset.fingerprint(version))
    }

    /// Keying material of version 0, the same on both ends for the life of the session (R-CRY-10).
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        self.exporter.export(label, context, out)
    }

    /// The rekey machine's picture of itself, for tests and diagnostics; none once the keys are wiped.
    pub fn rekey_view(&self) -> Option<rekey::View> {
        self.keys.as_ref().map(|keys| keys.machine.view())
    }

    /// Counters.
    pub fn stats(&self) -> SessionStats {
        let rekey = self.keys.as_ref().map_or(self.stats.rekey, |keys| keys.machine.stats());
        let (channels, service_channels) = self.channels.count();
        let round_trip = self.liveness.round_trip();
        let datagrams = self.datagrams.stats();
        SessionStats { round_trip, channels, service_channels, datagrams, rekey, ..self.stats }
    }

    fn refuse_if_closing(&self) -> Result<(), OpenError> {
        if self.plan.reason().is_some() { Err(OpenError::Closed(self.reason())) } else { Ok(()) }
    }

    pub(super) fn refuse_message_if_closing(&self, id: ChannelId) -> Result<(), SendError> {
        let is_taken = match self.plan.stage() {
            Stage::Running => true,
            Stage::Refusing | Stage::Flushing => self.channels.is_lane(id),
            _ => false,
        };
        if is_taken { Ok(()) } else { Err(SendError::Closed(self.reason())) }
    }

    fn settle_if_open(&mut self) {
        if self.plan.stage() < Stage::Releasing {
            self.settle();
        }
    }

    /// Whether there is something to acknowledge, and no wait for company yet.
    fn awaits_acknowledgement(&self) -> bool {
        self.ack == AckDelay::None && self.link.is_attached() && self.channels.has_unannounced()
    }

    /// Starts the wait of acknowledgements for company; true if it was not running.
    pub(super) fn arm_acknowledgement(&mut self) -> bool {
        let is_new = self.awaits_acknowledgement();
        if is_new {
            self.ack = AckDelay::Until(self.now + self.ack_delay);
        }
        is_new
    }
}
