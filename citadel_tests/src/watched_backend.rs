//! A backend whose writes are watched: somebody is told before each begins and once it is durable, may hold it up, and may have
//! it fail; likewise before what peers have said is read.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, UserName};
use citadel_proto::backend::{
    Account, AccountChange, Backend, BackendError, Device, Expect, Mail, MailId, Member, NewAccount,
    PairLimits, Quota, Revision, Space, StoredPair, TicketName, UnixTime, Updated, ValuePage, ValueVersion,
    Versioned,
};
use citadel_proto::peers::Pair;
use citadel_sdk::async_trait;
use core::fmt;
use zeroize::Zeroizing;

/// Declares the writes, each with the name of its method.
macro_rules! writes {
    ($($variant:ident = $name:literal;)*) => {
        /// A method of [`Backend`] that changes what is stored, or waits for changes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "each is the method of its name")]
        pub enum Write {
            $($variant,)*
        }

        impl Write {
            /// The method's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The write of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

writes! {
    CreateAccount = "create_account";
    UpdateAccount = "update_account";
    RemoveAccount = "remove_account";
    AddDevice = "add_device";
    RevokeDevice = "revoke_device";
    PushMail = "push_mail";
    RemoveMail = "remove_mail";
    PutValue = "put_value";
    DeleteValue = "delete_value";
    PutTicket = "put_ticket";
    TakeTicket = "take_ticket";
    PurgeTickets = "purge_tickets";
    PutPair = "put_pair";
    PutVouch = "put_vouch";
    Flush = "flush";
}

/// A method of [`Backend`] that reads what two parties or their devices have said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Read {
    Pair,
    Outlines,
    Vouches,
}

/// Who watches. A future of it that waits holds up the read or write, and nothing else.
#[async_trait]
pub trait Watcher: Send + Sync + 'static {
    /// Before `write` begins.
    ///
    /// # Errors
    /// Are the write's, which then does not begin.
    async fn begins(&self, write: Write) -> Result<(), BackendError> {
        let _ = write;
        Ok(())
    }

    /// `write` succeeded and is durable; nobody has heard of it yet.
    ///
    /// # Errors
    /// Are what the caller hears instead.
    async fn done(&self, write: Write) -> Result<(), BackendError> {
        let _ = write;
        Ok(())
    }

    /// Before `read` begins.
    ///
    /// # Errors
    /// Are the read's, which then does not begin.
    async fn reads(&self, read: Read) -> Result<(), BackendError> {
        let _ = read;
        Ok(())
    }
}

/// `store`, watched.
pub struct Watched<B, W> {
    store: B,
    watcher: W,
}

impl<B: Backend, W: Watcher> Watched<B, W> {
    /// Has `watcher` watch `store`.
    pub const fn new(store: B, watcher: W) -> Self {
        Self { store, watcher }
    }

    async fn watch<T>(
        &self,
        write: Write,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        self.watcher.begins(write).await?;
        let done = call.await?;
        self.watcher.done(write).await?;
        Ok(done)
    }
}

impl<B: fmt::Debug, W> fmt::Debug for Watched<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({:?})", self.store)
    }
}

#[async_trait]
impl<B: Backend, W: Watcher> Backend for Watched<B, W> {
    async fn create_account(&self, account: NewAccount, device: Device) -> Result<(), BackendError> {
        self.watch(Write::CreateAccount, self.store.create_account(account, device)).await
    }

    async fn account(&self, cid: Cid) -> Result<Option<Account>, BackendError> {
        self.store.account(cid).await
    }

    async fn account_by_user(&self, user: &UserName) -> Result<Option<Account>, BackendError> {
        self.store.account_by_user(user).await
    }

    async fn accounts(&self, after: Option<Cid>, limit: usize) -> Result<Vec<Account>, BackendError> {
        self.store.accounts(after, limit).await
    }

    async fn update_account(
        &self,
        cid: Cid,
        expected: Revision,
        change: AccountChange,
    ) -> Result<Updated, BackendError> {
        self.watch(Write::UpdateAccount, self.store.update_account(cid, expected, change)).await
    }

    async fn remove_account(&self, cid: Cid) -> Result<Option<Vec<Cid>>, BackendError> {
        self.watch(Write::RemoveAccount, self.store.remove_account(cid)).await
    }

    async fn device(&self, cid: Cid, peer: PeerId) -> Result<Option<Device>, BackendError> {
        self.store.device(cid, peer).await
    }

    async fn devices(&self, cid: Cid) -> Result<Vec<Device>, BackendError> {
        self.store.devices(cid).await
    }

    async fn add_device(&self, cid: Cid, device: Device, most: usize) -> Result<(), BackendError> {
        self.watch(Write::AddDevice, self.store.add_device(cid, device, most)).await
    }

    async fn revoke_device(&self, cid: Cid, peer: PeerId, at: UnixTime) -> Result<bool, BackendError> {
        self.watch(Write::RevokeDevice, self.store.revoke_device(cid, peer, at)).await
    }

    async fn push_mail(&self, cid: Cid, item: &[u8], quota: Quota) -> Result<MailId, BackendError> {
        self.watch(Write::PushMail, self.store.push_mail(cid, item, quota)).await
    }

    async fn mail(&self, cid: Cid, after: Option<MailId>, limit: usize) -> Result<Vec<Mail>, BackendError> {
        self.store.mail(cid, after, limit).await
    }

    async fn remove_mail(&self, cid: Cid, up_to: MailId) -> Result<u64, BackendError> {
        self.watch(Write::RemoveMail, self.store.remove_mail(cid, up_to)).await
    }

    async fn value(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, BackendError> {
        self.store.value(space, key).await
    }

    async fn put_value(
        &self,
        space: Space,
        key: &[u8],
        value: &[u8],
        expect: Expect,
        quota: Quota,
    ) -> Result<ValueVersion, BackendError> {
        self.watch(Write::PutValue, self.store.put_value(space, key, value, expect, quota)).await
    }

    async fn delete_value(&self, space: Space, key: &[u8], expect: Expect) -> Result<bool, BackendError> {
        self.watch(Write::DeleteValue, self.store.delete_value(space, key, expect)).await
    }

    async fn list_values(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ValuePage, BackendError> {
        self.store.list_values(space, prefix, after, limit).await
    }

    async fn put_ticket(
        &self,
        name: &TicketName,
        secret: &[u8],
        expires: UnixTime,
    ) -> Result<(), BackendError> {
        self.watch(Write::PutTicket, self.store.put_ticket(name, secret, expires)).await
    }

    async fn take_ticket(
        &self,
        name: &TicketName,
        now: UnixTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
        self.watch(Write::TakeTicket, self.store.take_ticket(name, now)).await
    }

    async fn purge_tickets(&self, now: UnixTime) -> Result<u64, BackendError> {
        self.watch(Write::PurgeTickets, self.store.purge_tickets(now)).await
    }

    async fn member(&self, cid: Cid, peer: PeerId) -> Result<Option<Member>, BackendError> {
        self.store.member(cid, peer).await
    }

    async fn member_by_user(&self, user: &UserName, peer: PeerId) -> Result<Option<Member>, BackendError> {
        self.store.member_by_user(user, peer).await
    }

    async fn pair(&self, a: Cid, b: Cid) -> Result<Option<StoredPair>, BackendError> {
        self.watcher.reads(Read::Pair).await?;
        self.store.pair(a, b).await
    }

    async fn pairs(
        &self,
        of: Cid,
        after: Option<Cid>,
        limit: usize,
    ) -> Result<Vec<(Cid, StoredPair)>, BackendError> {
        self.store.pairs(of, after, limit).await
    }

    async fn outlines(&self, of: Cid) -> Result<Vec<(Cid, Pair)>, BackendError> {
        self.watcher.reads(Read::Outlines).await?;
        self.store.outlines(of).await
    }

    async fn put_pair(
        &self,
        a: Cid,
        b: Cid,
        pair: &Pair,
        expected: Option<Revision>,
        limits: PairLimits,
    ) -> Result<Option<Revision>, BackendError> {
        self.watch(Write::PutPair, self.store.put_pair(a, b, pair, expected, limits)).await
    }

    async fn put_vouch(
        &self,
        cid: Cid,
        subject: PeerId,
        signer: PeerId,
        statement: &[u8],
        most: usize,
    ) -> Result<(), BackendError> {
        self.watch(Write::PutVouch, self.store.put_vouch(cid, subject, signer, statement, most)).await
    }

    async fn vouches(&self, cid: Cid) -> Result<Vec<Vec<u8>>, BackendError> {
        self.watcher.reads(Read::Vouches).await?;
        self.store.vouches(cid).await
    }

    async fn flush(&self) -> Result<(), BackendError> {
        self.watch(Write::Flush, self.store.flush()).await
    }
}
