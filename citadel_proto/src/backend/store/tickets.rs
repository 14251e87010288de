//! Tickets of the server.

use super::super::account::UnixTime;
use super::super::error::BackendError;
use super::super::record::{Table, open_ticket, seal_ticket, ticket_expiry};
use super::super::ticket::TicketName;
use super::Writer;
use core::ops::ControlFlow;
use zeroize::Zeroizing;

impl Writer<'_> {
    pub(in super::super) fn put_ticket(
        &mut self,
        name: &TicketName,
        secret: &[u8],
        expires: UnixTime,
    ) -> Result<(), BackendError> {
        let record = seal_ticket(self.sealer, name.as_bytes(), expires, secret)?;
        self.tables.put(Table::Tickets, name.as_bytes(), record)
    }

    pub(in super::super) fn take_ticket(
        &mut self,
        name: &TicketName,
        now: UnixTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
        let Some(record) = self.tables.get(Table::Tickets, name.as_bytes())? else { return Ok(None) };
        let (expires, secret) = open_ticket(self.sealer, name.as_bytes(), &record)?;
        self.tables.delete(Table::Tickets, name.as_bytes())?;
        Ok((now < expires).then_some(secret))
    }

    pub(in super::super) fn purge_tickets(&mut self, now: UnixTime) -> Result<u64, BackendError> {
        let mut expired = Vec::new();
        self.tables.scan(Table::Tickets, &[], &mut |name, record| {
            if ticket_expiry(record)? <= now {
                expired.push(name.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for name in &expired {
            self.tables.delete(Table::Tickets, name)?;
        }
        Ok(expired.len() as u64)
    }
}
