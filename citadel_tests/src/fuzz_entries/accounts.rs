//! What a proven client asks a server with accounts for: requests of the handshake, and those of a session.

use crate::quick_hasher::Quick;
use crate::seeded::SeededProvider;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, Password, RefusalCode, Request, UserName};
use citadel_crypt::suite::CryptoProvider;
use citadel_proto::accounts::{
    Accounts, AccountsConfig, Actor, AskError, RateLimits, RequestBody, ResponseBody, SystemClock, wire,
};
use citadel_proto::backend::Memory;
use citadel_proto::driver::Hub;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The device of the account that always exists.
const OWNER: PeerId = PeerId([1; 32]);
const STRANGER: PeerId = PeerId([2; 32]);

struct Server {
    runtime: Runtime,
    accounts: Accounts,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let provider: Arc<dyn CryptoProvider> = Arc::new(SeededProvider::new(1));
    let config = AccountsConfig { rates: RateLimits::none(), ..AccountsConfig::default() };
    let clock = Arc::new(SystemClock::new());
    let (backend, hasher) = (Arc::new(Memory::new()), Arc::new(Quick));
    let accounts = Accounts::with_parts(Hub::new(), backend, config, provider, hasher, clock);
    Server {
        runtime: Builder::new_current_thread().build().expect("a runtime without drivers needs nothing"),
        accounts: accounts.expect("a seeded provider has randomness"),
    }
});

impl Server {
    /// The owner's account; made anew when a request removed it.
    async fn owner(&self) -> Cid {
        let request = Request::Register {
            user: UserName::new("owner").expect("a name"),
            display_name: DisplayName::new("").expect("a name"),
            password: Password::new("password").expect("a password"),
            device: DeviceName::new("").expect("a name"),
        };
        match self.accounts.find(&UserName::new("owner").expect("a name")).await {
            Ok(account) => account.cid,
            Err(_) => {
                let made = self.accounts.decide(OWNER, &request, SOURCE).await;
                made.ok().and_then(|decision| decision.grant.cid).expect("the name is free")
            }
        }
    }
}

/// A request of a handshake, from the owner's device and from a stranger: nobody gets into the owner's account but by its
/// device or its password.
pub fn account_entries(data: &[u8]) {
    let Ok(request) = Request::parse(data) else { return };
    SERVER.runtime.block_on(async {
        let accounts = &SERVER.accounts;
        let owner = SERVER.owner().await;
        let by_password = matches!(&request, Request::AddDevice { password, .. } | Request::Register { password, .. }
            if password.expose() == b"password");
        let stranger = accounts.decide(STRANGER, &request, SOURCE).await;
        let cid = stranger.as_ref().ok().and_then(|decision| decision.grant.cid);
        assert!(cid != Some(owner) || by_password, "a stranger is in the owner's account");
        match accounts.decide(OWNER, &request, SOURCE).await {
            Ok(decision) => assert!(decision.grant.cid.is_some(), "bare sessions are off"),
            Err(refused) => assert_ne!(refused.code, RefusalCode::INTERNAL),
        }
        // The account and its devices stay few, whatever was asked for.
        if let Some(cid) = cid {
            accounts.delete(cid).await.expect("memory does not fail");
        }
        accounts.delete(owner).await.expect("memory does not fail");
    });
}

/// A request or an answer on the service channel, into its parser; and what a session may ask is answered.
pub fn account_messages(data: &[u8]) {
    if let Ok((id, body)) = wire::decode_response(data) {
        let again = wire::encode_response(id, &body).expect("what was short enough is");
        assert_eq!(again, data, "an answer has one form");
    }
    let Ok((id, body)) = wire::decode_request(data) else { return };
    let again = wire::encode_request(id, &body).expect("what was short enough is");
    assert_eq!(&again[..], data, "a request has one form");
    let is_last = matches!(body, RequestBody::Deregister | RequestBody::ChangePassword { .. });
    SERVER.runtime.block_on(async {
        let accounts = &SERVER.accounts;
        let owner = SERVER.owner().await;
        let transient = accounts.handle(&Actor::Transient { peer: OWNER }, body.clone()).await;
        assert_eq!(transient, ResponseBody::Failed(AskError::Denied));
        let stranger = Actor::Device { cid: owner, peer: STRANGER };
        let gone = accounts.handle(&stranger, body.clone()).await;
        assert_eq!(gone, ResponseBody::Failed(AskError::Gone));
        let answer = accounts.handle(&Actor::Device { cid: owner, peer: OWNER }, body).await;
        let bytes = wire::encode_response(id, &answer).expect("every answer fits");
        assert_eq!(wire::decode_response(&bytes), Ok((id, answer)));
        if is_last {
            accounts.delete(owner).await.expect("memory does not fail");
        }
    });
}
