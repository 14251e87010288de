//! Nodes with accounts: the ways in, the ways out, and what an administrator does meanwhile.

use super::common::{Scratch, builder, echo};
use citadel_sdk::prelude::*;
use citadel_sdk::{
    AccountClient, CloseReason, ConnectError, CredentialsError, NodeError, NodeReport, Password, RefusalCode,
    UserName,
};
use std::sync::Arc;

type Prefab = SingleClientServerConnectionKernel;

async fn server(backend: impl citadel_sdk::Backend) -> Node<ClientConnectListenerKernel> {
    let server = NodeBuilder::new(echo()).identity(Identity::generate()).backend(backend);
    server.listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap()
}

/// Says hello as `account`; the answer is the account's id.
async fn hello(identity: &Arc<Identity>, account: ServerConnection) -> Result<NodeReport, NodeError> {
    let hello = Prefab::new(account, |mut connection| async move {
        connection.channel.send("hello").await?;
        assert_eq!(connection.channel.recv().await?.as_deref(), Some(&b"hello"[..]));
        Ok(())
    });
    let node = NodeBuilder::new(hello).identity(Arc::clone(identity)).start().await?;
    node.await.map(|(_kernel, report)| report)
}

/// The refusal that a client's node ended with.
#[track_caller]
fn refused(ended: Result<NodeReport, NodeError>) -> RefusalCode {
    let Err(NodeError::Kernel { source, .. }) = ended else { panic!("{ended:?}") };
    let error = source.downcast_ref::<ConnectError>().unwrap();
    error.refusal().unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn the_target_programs_work_as_they_stand_and_a_restarted_server_knows_its_accounts() {
    let files = Scratch::new("target");
    let identity = Arc::new(Identity::load_or_create(files.file("alice.id")).unwrap());
    for round in 0..2 {
        let node = NodeBuilder::new(echo())
            .identity(Identity::load_or_create(files.file("server.id")).unwrap())
            .backend(Redb::open(files.file("server.redb")).unwrap());
        let node = node.listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap();
        let to = ServerConnection::to(node.addr());
        let account = match round {
            0 => to.clone().register("alice", "correct horse battery staple"),
            _ => to.clone().login("alice"),
        };
        assert!(hello(&identity, account).await.unwrap().is_clean());
        // Asked again with the same words the device has what it asked for; another one finds the name taken.
        let again = to.register("alice", "correct horse battery staple");
        assert!(hello(&identity, again.clone()).await.unwrap().is_clean());
        let other = Arc::new(Identity::generate());
        assert_eq!(refused(hello(&other, again).await), RefusalCode::USER_TAKEN);
        assert!(node.shutdown().await.unwrap().1.is_clean());
    }
}

#[tokio::test]
async fn an_account_is_had_in_any_case_by_who_knows_its_password() {
    let node = server(Memory::new()).await;
    let to = || ServerConnection::to(node.addr());
    let (first, second) = (Arc::new(Identity::generate()), Arc::new(Identity::generate()));
    let any = |password: &str| to().register_or_login("alice", password).names("Alice", "a laptop");
    // Registers, then logs in, then adds the other device.
    for identity in [&first, &first, &second, &second] {
        assert!(hello(identity, any("correct horse")).await.unwrap().is_clean());
    }
    let stranger = Arc::new(Identity::generate());
    assert_eq!(refused(hello(&stranger, any("wrong horse")).await), RefusalCode::CREDENTIALS);
    assert_eq!(refused(hello(&stranger, to().login("alice")).await), RefusalCode::CREDENTIALS);
    assert!(hello(&stranger, to().add_device("alice", "correct horse")).await.is_ok());

    let accounts = node.accounts().unwrap();
    let alice = accounts.find(&UserName::new("alice").unwrap()).await.unwrap();
    assert_eq!(alice.display_name.as_str(), "Alice");
    assert_eq!(accounts.devices(alice.cid).await.unwrap().len(), 3);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn sessions_without_an_account_are_refused_unless_they_are_allowed_by_name() {
    let identity = Arc::new(Identity::generate());
    let closed = server(Memory::new()).await;
    let transient = ServerConnection::to(closed.addr()).transient();
    assert_eq!(refused(hello(&identity, transient).await), RefusalCode::TRANSIENT);
    let bare = ServerConnection::to(closed.addr()).identity();
    assert!(hello(&identity, bare).await.is_err());
    closed.shutdown().await.unwrap();

    let open =
        builder(echo()).registration(false).listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap();
    for to in [ServerConnection::to(open.addr()).transient(), ServerConnection::to(open.addr()).identity()] {
        assert!(hello(&identity, to).await.unwrap().is_clean());
    }
    let registers = ServerConnection::to(open.addr()).register("alice", "correct horse");
    assert_eq!(refused(hello(&identity, registers).await), RefusalCode::POLICY);
    open.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_no_server_takes_is_told_before_anything_is_sent() {
    let nowhere = NodeAddr::new(Identity::generate().peer_id(), "127.0.0.1", 1).unwrap();
    let account = ServerConnection::to(nowhere).register("alice ", "correct horse");
    let Err(NodeError::Kernel { source, .. }) = hello(&Arc::new(Identity::generate()), account).await else {
        panic!("a name with a space at its end")
    };
    assert!(matches!(source.downcast_ref(), Some(CredentialsError::User(_))), "{source}");
}

#[tokio::test]
async fn the_same_device_supersedes_itself_and_another_one_stays() {
    let node = server(Memory::new()).await;
    let to = || ServerConnection::to(node.addr()).register_or_login("alice", "correct horse");
    let identity = Arc::new(Identity::generate());
    let (enters, entered) = tokio::sync::oneshot::channel();
    let enters = Arc::new(parking_lot::Mutex::new(Some(enters)));
    // Would reconnect for ever, but for this reason never.
    let stays = Prefab::new(to().reconnect(Reconnect::FOREVER), move |mut connection| {
        let enters = Arc::clone(&enters);
        async move {
            connection.channel.send("here").await?;
            connection.channel.recv().await?;
            if let Some(enters) = enters.lock().take() {
                enters.send(()).unwrap();
            }
            connection.channel.recv().await?;
            Ok(())
        }
    });
    let older = NodeBuilder::new(stays).identity(Arc::clone(&identity)).start().await.unwrap();
    entered.await.unwrap();
    assert!(hello(&Arc::new(Identity::generate()), to()).await.unwrap().is_clean());
    assert_eq!(node.sessions().len(), 1);
    assert!(hello(&identity, to()).await.unwrap().is_clean());
    let Err(NodeError::Kernel { report, .. }) = older.await.map(drop) else { panic!("superseded") };
    assert_eq!(report.sessions.len(), 1, "{report}");
    assert_eq!(report.sessions[0].reason(), &CloseReason::Superseded);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_asks_about_its_account_and_an_administrator_resets_and_deletes_it() {
    let node = server(Memory::new()).await;
    let to = || ServerConnection::to(node.addr());
    let identity = Arc::new(Identity::generate());
    let account = to().register("alice", "correct horse").names("Alice", "a laptop");
    let asks = Prefab::new(account, |connection| async move {
        let account = AccountClient::new(connection.session.clone());
        assert_eq!(account.profile().await?.display_name.as_str(), "Alice");
        assert_eq!(account.devices().await?.len(), 1);
        Ok(())
    });
    let client = NodeBuilder::new(asks).identity(Arc::clone(&identity)).start().await.unwrap();
    assert!(client.await.unwrap().1.is_clean());

    let accounts = node.accounts().unwrap();
    let alice = accounts.find(&UserName::new("alice").unwrap()).await.unwrap();
    accounts.reset_password(alice.cid, Password::new("new horse").unwrap(), true).await.unwrap();
    assert_eq!(refused(hello(&identity, to().login("alice")).await), RefusalCode::CREDENTIALS);
    let other = Arc::new(Identity::generate());
    assert!(hello(&other, to().add_device("alice", "new horse")).await.is_ok());
    assert!(accounts.delete(alice.cid).await.unwrap());
    assert_eq!(refused(hello(&other, to().login("alice")).await), RefusalCode::CREDENTIALS);
    node.shutdown().await.unwrap();
}
