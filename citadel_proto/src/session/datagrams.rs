//! Datagrams: what the application and the driver do with them, and what one that comes does.

use super::{Output, SessionMachine};
use crate::errors::DatagramError;
use crate::shutdown::Stage;
use bytes::{Bytes, BytesMut};
use citadel_crypt::Timestamp;

impl SessionMachine {
    /// Somebody wants datagrams: from now on those of the peer are kept for [`take_datagram`](Self::take_datagram), until
    /// [`leave_datagrams`](Self::leave_datagrams) was called as often as this.
    ///
    /// # Errors
    /// [`DatagramError::Closed`].
    pub fn ask_for_datagrams(&mut self) -> Result<(), DatagramError> {
        self.refuse_datagrams_if_closing()?;
        self.datagrams.ask();
        Ok(())
    }

    /// One more wants what somebody asked for, also while the session closes.
    pub const fn share_datagrams(&mut self) {
        self.datagrams.ask();
    }

    /// One of those who asked has gone.
    pub fn leave_datagrams(&mut self) {
        self.datagrams.leave();
    }

    /// Whether anybody wants datagrams now.
    pub const fn wants_datagrams(&self) -> bool {
        self.datagrams.is_wanted()
    }

    /// Takes a datagram to be sent once, if the path takes it before newer ones fill its place.
    ///
    /// # Errors
    /// [`DatagramError`].
    pub fn send_datagram(&mut self, datagram: Bytes) -> Result<(), DatagramError> {
        self.refuse_datagrams_if_closing()?;
        self.datagrams.send(datagram)
    }

    /// The oldest datagram that came and was not taken, also after the session's end.
    pub fn take_datagram(&mut self) -> Option<Bytes> {
        self.datagrams.take()
    }

    /// Longest datagram that the path takes now; [`MIN_DATAGRAM`](crate::MIN_DATAGRAM) while there is none.
    pub const fn longest_datagram(&self) -> usize {
        self.datagrams.longest()
    }

    /// The path in use has packets of at most `longest` bytes, or none: until this is said of a path, it has none.
    pub fn carry_packets(&mut self, longest: Option<usize>) {
        self.datagrams.carry_in_packets(longest);
    }

    /// Whether [`poll_packet`](Self::poll_packet) has something.
    pub fn has_packet(&self) -> bool {
        self.datagrams.has_for_packet()
    }

    /// The next packet to be sent, sealed now; it is to be given to the path at once, or to nobody.
    pub fn poll_packet(&mut self, now: Timestamp) -> Option<Bytes> {
        self.now = self.now.max(now);
        while self.plan.stage() == Stage::Running {
            let datagram = self.datagrams.next_for_packet()?;
            match self.keys.as_mut().and_then(|keys| keys.seal_packet(&datagram)) {
                Some(packet) => {
                    self.on_traffic(packet.len());
                    self.settle();
                    return Some(packet);
                }
                None => self.datagrams.on_unsealed(),
            }
        }
        None
    }

    fn refuse_datagrams_if_closing(&self) -> Result<(), DatagramError> {
        if self.plan.reason().is_some() { Err(DatagramError::Closed(self.reason())) } else { Ok(()) }
    }

    /// It counts for rounds and for idleness as a message does.
    fn on_traffic(&mut self, len: usize) {
        self.clock.on_record(len);
        self.liveness.on_message(self.now);
    }

    /// A packet came. One that is of no use is dropped: it proves nothing about the path.
    pub(super) fn on_packet(&mut self, mut packet: BytesMut) {
        if !self.datagrams.is_wanted() || self.plan.stage() != Stage::Running {
            return self.datagrams.on_unwanted();
        }
        let (len, keys) = (packet.len(), self.keys.as_mut().filter(|_| self.link.is_attached()));
        match keys.and_then(|keys| keys.open_packet(&mut packet)) {
            Some(datagram) => {
                self.on_traffic(len);
                self.on_datagram(datagram);
            }
            None => self.datagrams.on_rejected(),
        }
    }

    /// A datagram came, in whatever way.
    pub(super) fn on_datagram(&mut self, datagram: &[u8]) {
        if self.plan.stage() != Stage::Running {
            self.datagrams.on_unwanted();
        } else if self.datagrams.receive(datagram) {
            self.outputs.push_back(Output::Datagram);
        }
    }
}
