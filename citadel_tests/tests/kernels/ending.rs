//! The order in which a server ends, seen from its storage.

use super::common::{builder, echo};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, UserName};
use citadel_proto::backend::*;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, StorageEnd};
use core::time::Duration;
use parking_lot::Mutex;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the storage does and sees when it is flushed.
type OnFlush = Box<dyn FnMut() -> io::Result<()> + Send>;

/// A store whose flushes are watched.
#[derive(Clone)]
struct Watched {
    store: Memory,
    flushed: Arc<Mutex<OnFlush>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    fn new() -> Self {
        Self { store: Memory::new(), flushed: Arc::new(Mutex::new(Box::new(|| Ok(())))) }
    }

    fn on_flush(&self, act: impl FnMut() -> io::Result<()> + Send + 'static) {
        *self.flushed.lock() = Box::new(act);
    }
}

#[async_trait]
impl Backend for Watched {
    async fn create_account(&self, account: NewAccount, device: Device) -> Result<(), BackendError> {
        self.store.create_account(account, device).await
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
        self.store.update_account(cid, expected, change).await
    }

    async fn remove_account(&self, cid: Cid) -> Result<bool, BackendError> {
        self.store.remove_account(cid).await
    }

    async fn device(&self, cid: Cid, peer: PeerId) -> Result<Option<Device>, BackendError> {
        self.store.device(cid, peer).await
    }

    async fn devices(&self, cid: Cid) -> Result<Vec<Device>, BackendError> {
        self.store.devices(cid).await
    }

    async fn add_device(&self, cid: Cid, device: Device, most: usize) -> Result<(), BackendError> {
        self.store.add_device(cid, device, most).await
    }

    async fn revoke_device(&self, cid: Cid, peer: PeerId, at: UnixTime) -> Result<bool, BackendError> {
        self.store.revoke_device(cid, peer, at).await
    }

    async fn push_mail(&self, cid: Cid, item: &[u8], quota: Quota) -> Result<MailId, BackendError> {
        self.store.push_mail(cid, item, quota).await
    }

    async fn mail(&self, cid: Cid, after: Option<MailId>, limit: usize) -> Result<Vec<Mail>, BackendError> {
        self.store.mail(cid, after, limit).await
    }

    async fn remove_mail(&self, cid: Cid, up_to: MailId) -> Result<u64, BackendError> {
        self.store.remove_mail(cid, up_to).await
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
        self.store.put_value(space, key, value, expect, quota).await
    }

    async fn delete_value(&self, space: Space, key: &[u8], expect: Expect) -> Result<bool, BackendError> {
        self.store.delete_value(space, key, expect).await
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
        self.store.put_ticket(name, secret, expires).await
    }

    async fn take_ticket(
        &self,
        name: &TicketName,
        now: UnixTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
        self.store.take_ticket(name, now).await
    }

    async fn purge_tickets(&self, now: UnixTime) -> Result<u64, BackendError> {
        self.store.purge_tickets(now).await
    }

    async fn flush(&self) -> Result<(), BackendError> {
        (self.flushed.lock())().map_err(BackendError::Io)?;
        self.store.flush().await
    }
}

async fn serve(store: &Watched) -> Node<ClientConnectListenerKernel> {
    let server = builder(echo()).backend(store.clone()).listen(Transport::Tcp("127.0.0.1:0"));
    server.start().await.unwrap()
}

#[tokio::test]
async fn a_server_closes_its_sessions_then_flushes_its_storage_then_closes_its_sockets() {
    let watcher = Watched::new();
    let server = serve(&watcher).await;
    let address = server.local_addrs()[0];
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("hello").await.unwrap();
    channel.recv().await.unwrap().unwrap();
    let served = server.sessions().remove(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, watched, remote) = (Arc::clone(&seen), served.downgrade(), server.remote());
    drop(served);
    watcher.on_flush(move || {
        let is_gone = watched.upgrade().is_none_or(|session| session.closing().is_some());
        let listens = TcpStream::connect(address).is_ok();
        log.lock().push((is_gone, remote.sessions().len(), listens));
        Ok(())
    });
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_clean() && !report.is_late && report.storage.is_stored(), "{report}");
    assert_eq!(session.closed().await.reason(), &CloseReason::GoingAway);
    let seen = seen.lock();
    assert_eq!(*seen, [(true, 0, true)]);
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_storage_that_cannot_be_flushed_is_in_the_report() {
    let watcher = Watched::new();
    let server = serve(&watcher).await;
    watcher.on_flush(|| Err(io::Error::other("the disk is gone")));
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(matches!(&report.storage, StorageEnd::Failed(_)), "{report}");
    assert!(!report.is_clean());
    assert!(report.to_string().contains("storage"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_makes_the_report_late_and_the_storage_is_flushed_all_the_same() {
    let stubborn = ClientConnectListenerKernel::new(|connection: Connection| async move {
        let _connection = connection;
        core::future::pending().await
    });
    let starting = builder(stubborn).listen(Transport::Tcp("127.0.0.1:0"));
    let server = starting.shutdown_deadline(Duration::from_secs(3)).start().await.unwrap();
    let _session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    while server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    server.begin_shutdown();
    server.begin_shutdown();
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_late && report.storage.is_stored() && report.unfinished.is_empty(), "{report}");
    assert_eq!(report.sessions.len(), 1);
}
