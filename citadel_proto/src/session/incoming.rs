//! What records and frames do.

use super::keys::{KeyOutput, Rejected};
use super::{Output, SessionMachine};
use crate::frames::{Frame, Frames};
use crate::record::RawRecord;
use crate::shutdown::{self, CloseReason, Fault, Stage};
use citadel_crypt::ratchets::HybridAgreement;
use citadel_crypt::ratchets::rekey::{self, Verdict, Version};

impl SessionMachine {
    /// One record: opened, then its frames in order. The first frame tells the rekey machine that it opened.
    pub(super) fn on_record(&mut self, raw: RawRecord) {
        if !self.link.is_attached() {
            return;
        }
        let len = raw.header.len() + raw.body.len();
        let Some(keys) = &mut self.keys else { return };
        let (version, payload) = match keys.open(raw) {
            Ok(opened) => opened,
            Err(Rejected::Session(fault)) => return self.fatal(fault),
            Err(Rejected::Path(loss)) => return self.lose(loss),
        };
        self.stats.records_received += 1;
        self.stats.bytes_received += len as u64;
        self.liveness.on_heard(self.now);
        let mut frames = Frames::new(payload).peekable();
        if !matches!(frames.peek(), Some(Ok(Frame::Rekey(_)))) && self.awaits(version) {
            self.rekey(rekey::Input::Record { under: version });
        }
        let mut has_message = false;
        for frame in frames {
            let handled = frame.map_err(Fault::from).and_then(|frame| {
                has_message |= match frame {
                    Frame::Data(_) => true,
                    Frame::Datagram(_) => self.datagrams.is_wanted(),
                    _ => false,
                };
                self.on_frame(frame, version)
            });
            if let Err(fault) = handled {
                return self.fatal(fault);
            }
            if self.plan.stage() >= Stage::Releasing {
                return;
            }
        }
        self.link.hear();
        if has_message {
            self.clock.on_record(len);
            self.liveness.on_message(self.now);
        }
    }

    fn awaits(&self, version: Version) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.machine.awaits_record(version))
    }

    fn on_frame(&mut self, frame: Frame, under: Version) -> Result<(), Fault> {
        match frame {
            Frame::Rekey(bytes) => {
                let Some(keys) = &self.keys else { return Ok(()) };
                let message = keys.decode(&bytes)?;
                self.rekey(rekey::Input::Message { under, message });
                Ok(())
            }
            Frame::Ping(number) => {
                self.liveness.on_ping(number);
                Ok(())
            }
            Frame::Pong(number) => {
                if let Some(sample) = self.liveness.on_pong(number, self.now) {
                    self.rekey(rekey::Input::RttSample(sample));
                }
                Ok(())
            }
            Frame::Open { channel, name } => {
                let is_closing = self.plan.reason().is_some();
                self.channels.on_open(channel, name, is_closing)
            }
            Frame::Data(data) => self.channels.on_data(data),
            Frame::Finish { channel, offset, by } => self.channels.on_finish(channel, offset, by),
            Frame::Reset { channel, offset, code } => self.channels.on_reset(channel, offset, code),
            Frame::Stop { channel, code } => self.channels.on_stop(channel, code),
            Frame::Ack { channel, received, consumed } => self.channels.on_ack(channel, received, consumed),
            Frame::Credit { channel, limit } => self.channels.on_credit(channel, limit),
            Frame::SessionCredit { limit } => {
                self.channels.on_session_credit(limit);
                Ok(())
            }
            Frame::ChannelCredit { count } => {
                self.channels.on_channel_credit(count);
                Ok(())
            }
            Frame::Closing { reason, instance } => {
                self.check(instance)?;
                self.plan.handle(self.now, shutdown::Input::PeerClosing(reason));
                Ok(())
            }
            Frame::Close { reason, instance } => {
                self.check(instance)?;
                self.plan.handle(self.now, shutdown::Input::PeerClosed(reason));
                Ok(())
            }
            Frame::Datagram(datagram) => {
                self.on_datagram(&datagram);
                Ok(())
            }
            Frame::Skipped(_) => Ok(()),
        }
    }

    fn check(&self, instance: citadel_crypt::handshake::Instance) -> Result<(), Fault> {
        if instance == self.instance { Ok(()) } else { Err(Fault::WrongInstance) }
    }

    /// Gives the rekey machine an input and acts on what comes out; none once the keys are wiped.
    pub(super) fn rekey(&mut self, input: rekey::Input<HybridAgreement>) -> Option<Verdict> {
        let keys = self.keys.as_mut()?;
        let (now, clock, outputs, facts) = (self.now, &mut self.clock, &mut self.outputs, &mut self.facts);
        let mut fault = None;
        let verdict = keys.step(now, input, |output| match output {
            KeyOutput::Committed(outcome) => {
                clock.on_commit(now);
                outputs.push_back(Output::Rekeyed(outcome));
            }
            KeyOutput::Event(event) => outputs.push_back(Output::Round(event)),
            KeyOutput::Halted => facts.rekey_stopped = true,
            KeyOutput::Close(reason) => fault = Some(reason),
        });
        self.version = keys.toolset.latest();
        if let Some(fault) = fault {
            self.fatal(fault);
        }
        Some(verdict)
    }

    /// The session cannot go on.
    pub(super) fn fatal(&mut self, fault: Fault) {
        self.plan.handle(self.now, shutdown::Input::Close(CloseReason::Fatal(fault)));
    }
}
