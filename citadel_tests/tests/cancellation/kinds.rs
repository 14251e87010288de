//! Every future of a public function is `Send`, and `'static` as far as its arguments are; so is every public type that an
//! application may hold. Both lists are held against the sources: what is public and not named here fails the test.
//!
//! A future of a `&self` method is taken for a handle that lives for ever: what it borrows is `'static` then, and the
//! handle itself is on the list of types.

use super::kinds_of_sdk::SDK;
use bytes::Bytes;
use citadel_crypt::addr::{NodeAddr, PeerId};
use citadel_crypt::handshake::{Cid, ClientConfig, RefusalCode, ServerConfig};
use citadel_crypt::ratchets::messenger::{MessageReceiver, MessageSender, Messenger};
use citadel_crypt::ratchets::ratchet_manager::{Events, RatchetManager};
use citadel_crypt::ratchets::{self, HybridAgreement, end, manager_config, ratchet_manager, record, rekey};
use citadel_proto::SessionConfig;
use citadel_proto::accounts::{self, AccountClient, Accounts};
use citadel_proto::backend::{Backend, Expect};
use citadel_proto::driver::{
    self, Acceptor, Channel, Datagrams, Hub, Identified, Incoming, Listener, RecvHalf, SendHalf, Session,
    SessionEvents, Tcp, Transport, TrustPolicy, memory,
};
use citadel_proto::peers::{self, PeerClient, PeerEvents, PinStore};
use citadel_sdk::prefabs::client::{Broadcast, PeerResults};
use citadel_sdk::prefabs::server::EmptyKernel;
use citadel_sdk::{
    Endpoint, EndpointConfig, Identity, KernelResult, NetKernel, Node, NodeBuilder, NodeRemote, Who,
};
use citadel_tests::sources::{self, CRATES, Function, SourceFile};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::io::DuplexStream;

/// A function of these arguments.
trait Gives<Arguments> {
    /// What it returns: a future, or what holds some.
    type Given;
}

macro_rules! functions_of {
    ($($argument:ident)*) => {
        impl<Function, Given, $($argument),*> Gives<($($argument,)*)> for Function
        where
            Function: FnOnce($($argument),*) -> Given,
        {
            type Given = Given;
        }
    };
}

functions_of!(A);
functions_of!(A B);
functions_of!(A B C);
functions_of!(A B C D);
functions_of!(A B C D E);
functions_of!(A B C D E F);

const fn is_send<Arguments, Function: Gives<Arguments>>(_: &Function)
where
    Function::Given: Send + 'static,
{
}

pub(super) const fn is_held<T: Send + 'static>() {}

/// Checks functions by their paths, and lists these. Arguments are told where the compiler cannot tell by itself.
macro_rules! futures {
    ($($function:expr $(=> $arguments:ty)?),+ $(,)?) => {
        const FUTURES: &[&str] = &[$(stringify!($function)),+];
        const _: () = { $(futures!(@one $function $(, $arguments)?);)+ };
    };
    (@one $function:expr) => { is_send::<_, _>(&$function) };
    (@one $function:expr, $arguments:ty) => { is_send::<$arguments, _>(&$function) };
}

macro_rules! types {
    ($list:ident: $($kind:ty),+ $(,)?) => {
        pub(super) const $list: &[&str] = &[$(stringify!($kind)),+];
        const _: () = { $(is_held::<$kind>();)+ };
    };
}
pub(super) use types;

futures![
    RatchetManager::rekey,
    RatchetManager::trigger_rekey,
    RatchetManager::wait_for,
    RatchetManager::withdraw,
    RatchetManager::halt,
    RatchetManager::close,
    RatchetManager::closed,
    Events::next,
    Messenger::send => (&'static Messenger, Bytes),
    Messenger::recv,
    Messenger::close,
    MessageSender::send => (&'static MessageSender, Bytes),
    MessageReceiver::recv,
    Channel::send => (&'static mut Channel, Bytes),
    Channel::recv,
    Channel::finish,
    Channel::acknowledged,
    Channel::reserve,
    SendHalf::send => (&'static mut SendHalf, Bytes),
    SendHalf::finish,
    SendHalf::acknowledged,
    SendHalf::reserve,
    RecvHalf::recv,
    Datagrams::recv,
    Session::request => (&'static Session, Bytes),
    Session::open_channel,
    Session::open_named_channel => (&'static Session, Bytes),
    Session::accept_channel,
    Session::accept_service_channel,
    Session::rekey,
    Session::closed,
    Session::close,
    Session::shutdown,
    SessionEvents::next,
    Identified::accept,
    Identified::accept_with,
    Identified::resume,
    Identified::refuse => (Identified, RefusalCode),
    Hub::connect => (&'static Hub, DuplexStream, ClientConfig, SessionConfig, Option<TrustPolicy>),
    Hub::connect_with,
    Hub::resume => (&'static Hub, &'static Session, DuplexStream),
    Hub::identify => (&'static Hub, DuplexStream, &'static [u8], Arc<ServerConfig>, SessionConfig, bool),
    Hub::close,
    Acceptor::accept,
    Incoming::identify,
    Incoming::accept,
    <dyn Transport>::connect,
    <dyn Transport>::listen,
    <dyn Listener>::accept,
    Accounts::admit,
    Accounts::serve,
    Accounts::serve_beside => (&'static Accounts, &'static Session, fn(Channel) -> Option<Channel>),
    Accounts::decide,
    Accounts::handle,
    Accounts::list,
    Accounts::find,
    Accounts::devices,
    Accounts::reset_password,
    Accounts::set_blocked,
    Accounts::revoke_device,
    Accounts::delete,
    AccountClient::profile,
    AccountClient::devices,
    AccountClient::revoke_device,
    AccountClient::change_password,
    AccountClient::set_display_name,
    AccountClient::deregister,
    AccountClient::get => (&'static AccountClient, Option<Cid>, Bytes),
    AccountClient::put => (&'static AccountClient, Option<Cid>, Bytes, Bytes, Expect),
    AccountClient::delete => (&'static AccountClient, Option<Cid>, Bytes, Expect),
    AccountClient::list => (&'static AccountClient, Option<Cid>, Bytes, Option<Vec<u8>>, u64),
    <dyn Backend>::create_account,
    <dyn Backend>::account,
    <dyn Backend>::account_by_user,
    <dyn Backend>::accounts,
    <dyn Backend>::update_account,
    <dyn Backend>::remove_account,
    <dyn Backend>::device,
    <dyn Backend>::devices,
    <dyn Backend>::add_device,
    <dyn Backend>::revoke_device,
    <dyn Backend>::push_mail,
    <dyn Backend>::mail,
    <dyn Backend>::remove_mail,
    <dyn Backend>::value,
    <dyn Backend>::put_value,
    <dyn Backend>::delete_value,
    <dyn Backend>::list_values,
    <dyn Backend>::member,
    <dyn Backend>::member_by_user,
    <dyn Backend>::pair,
    <dyn Backend>::pairs,
    <dyn Backend>::outlines,
    <dyn Backend>::put_pair,
    <dyn Backend>::put_vouch,
    <dyn Backend>::vouches,
    <dyn Backend>::put_ticket,
    <dyn Backend>::take_ticket,
    <dyn Backend>::purge_tickets,
    <dyn Backend>::flush,
    PeerClient::new,
    PeerClient::attach,
    PeerClient::find => (&'static PeerClient, PeerId),
    PeerClient::ask,
    PeerClient::accept,
    PeerClient::decline,
    PeerClient::remove,
    PeerClient::set_blocked,
    PeerClient::registered,
    PeerClient::answered,
    PeerClient::online,
    PeerClient::mark_verified,
    PeerClient::vouch,
    PeerClient::disown,
    PeerClient::connect,
    PeerClient::connect_with,
    PeerClient::accept_session,
    PeerClient::accept_session_of,
    PeerEvents::next,
    <dyn PinStore>::load,
    <dyn PinStore>::put,
    <dyn NetKernel>::on_start,
    <dyn NetKernel>::run,
    <dyn NetKernel>::on_identified,
    <dyn NetKernel>::on_session,
    <dyn NetKernel>::on_stop,
    PeerResults::next,
    Broadcast::send => (&'static Broadcast, Bytes),
    Broadcast::joined,
    NodeBuilder::start => (NodeBuilder<EmptyKernel>,),
    Node::shutdown => (Node<EmptyKernel>,),
    Node::into_future => (Node<EmptyKernel>,),
    NodeRemote::connect,
    NodeRemote::peers,
    NodeRemote::handle => (&'static NodeRemote, Session, std::future::Ready<KernelResult>),
    NodeRemote::disconnect => (&'static NodeRemote, Who, u32, &'static str),
    NodeRemote::stopping,
    Endpoint::bind => (Identity, String),
    Endpoint::bind_with => (Identity, String, EndpointConfig),
    Endpoint::accept,
    Endpoint::connect,
    Endpoint::connect_over => (&'static Endpoint, Tcp, NodeAddr),
    Endpoint::connect_io => (&'static Endpoint, DuplexStream, PeerId),
    Endpoint::connect_io_with => (&'static Endpoint, DuplexStream, TrustPolicy),
    Endpoint::accept_io => (&'static Endpoint, DuplexStream),
    Endpoint::identify_io => (&'static Endpoint, DuplexStream),
    Endpoint::close,
];

types![RATCHETS:
    ratchets::Identities,
    ratchets::HybridAgreement,
    ratchets::OfferSecret,
    ratchets::HybridOffer,
    ratchets::HybridAnswer,
    ratchets::ConfirmTag,
    ratchets::Candidate,
    end::EndReason,
    end::RekeyError,
    end::SendError,
    end::TrySendError,
    end::RecvError,
    manager_config::ManagerConfig,
    manager_config::RoundPolicy,
    Messenger,
    MessageSender,
    MessageReceiver,
    ratchets::Ratchet,
    ratchets::SecrecyMode,
    ratchets::PathId,
    ratchets::KeyLimits,
    ratchets::RatchetConfig,
    ratchets::SealError,
    ratchets::OpenError,
    ratchets::OpenPath,
    ratchets::Sealed,
    ratchets::SealPath,
    ratchet_manager::BoxError,
    ratchet_manager::SessionKeys,
    RatchetManager,
    ratchet_manager::Observed,
    Events,
    ratchet_manager::ManagerStats,
    record::RecordKind,
    record::RecordHeader,
    record::MalformedRecord,
    record::Frame<'static>,
    record::Finish,
    rekey::AgreementError,
    rekey::RekeyConfig,
    rekey::Timing,
    rekey::Reauth,
    rekey::TokenBucket,
    rekey::Fatal,
    rekey::Violation,
    rekey::Version,
    rekey::Side,
    rekey::Attempt,
    rekey::RoundId,
    rekey::Role,
    rekey::Input<HybridAgreement>,
    rekey::Verdict,
    rekey::Refusal,
    rekey::Ignored,
    rekey::Output<HybridAgreement>,
    rekey::RekeyOutcome,
    rekey::Event,
    rekey::CancelCause,
    rekey::RekeyMachine<HybridAgreement>,
    rekey::Message<HybridAgreement>,
    rekey::Header,
    rekey::Body<HybridAgreement>,
    rekey::CancelReason,
    rekey::MessageKind,
    rekey::Owed<HybridAgreement>,
    rekey::RekeyStats,
    rekey::Timestamp,
    rekey::TimerReason,
    rekey::View,
    rekey::Phase,
    rekey::Lifecycle,
    ratchets::InitialSecrets,
    ratchets::Exporter,
    ratchets::ExportError,
    ratchets::Toolset,
    ratchets::PathReused,
];

types![DRIVER:
    driver::Acceptor,
    driver::Incoming,
    driver::HandshakeCaps,
    driver::Admission,
    driver::AdmissionPermit,
    driver::Channel,
    driver::SendHalf,
    driver::RecvHalf,
    driver::Datagrams,
    driver::TrustPolicy,
    driver::EstablishError,
    driver::ExchangeError,
    driver::Hub,
    driver::Ending,
    driver::Identified,
    driver::ChannelIo,
    memory::Faults,
    memory::Network,
    memory::PacketNetwork,
    memory::Pipe,
    driver::Permit<'static>,
    driver::Quic,
    driver::Dialer,
    driver::Session,
    driver::WeakSession,
    driver::SessionEvent,
    driver::SessionEvents,
    driver::Tcp,
    driver::ReadHalf,
    driver::WriteHalf,
    driver::Halves,
    driver::BoxedIo,
    driver::Arrived,
];

types![ACCOUNTS:
    accounts::Actor,
    accounts::Action,
    accounts::Resource,
    accounts::Denied,
    accounts::Rate,
    accounts::RateLimits,
    accounts::Policy,
    accounts::AccountsConfig,
    accounts::Hashing,
    accounts::AdminError,
    accounts::AdmitError,
    accounts::CallError,
    accounts::AccountClient,
    accounts::SystemClock,
    accounts::Accounts,
    accounts::AccountsSetupError,
    accounts::Decision,
    accounts::RequestBody,
    accounts::Profile,
    accounts::ResponseBody,
    accounts::AskError,
    accounts::Argon2Params,
    accounts::ParamsOutOfRange,
    accounts::Verified,
    accounts::HashError,
    accounts::Argon2id,
];

types![PEERS:
    peers::Switchboard,
    peers::Attendance,
    peers::Standing,
    peers::PeerInfo,
    peers::Pinned,
    peers::PeerEvent,
    PeerEvents,
    peers::PeersConfig,
    peers::PeersError,
    PeerClient,
    peers::ConnectError,
    peers::PeerSession,
    peers::PinKey,
    peers::PinStoreError,
    peers::MemoryPins,
    peers::FilePins,
    peers::LaneError,
    peers::PeersCallError, peers::Direct, peers::DirectConfig, peers::Observer, peers::ObserverError, peers::PortMapping,
    peers::MappingConfig,
];

/// As the reader of sources names it: `Backend::account` for `<dyn Backend>::account`, `Node` for `citadel_sdk::Node<_>`.
fn function_name(path: &str) -> String {
    let path: String = path.split_whitespace().collect();
    path.replace("<dyn", "").replace(">::", "::")
}

fn type_name(path: &str) -> String {
    let path = path.split('<').next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default().trim().to_owned()
}

/// Functions whose futures an application gets, by anything public in that file.
fn futures_of(file: &SourceFile) -> Vec<String> {
    let is_public = |it: &Function| it.is_public || it.in_public_trait || it.name == "into_future";
    let functions = sources::functions(&file.text).into_iter().filter(|it| !it.in_tests);
    let named = |it: Function| match it.owner {
        Some(owner) => format!("{owner}::{}", it.name),
        None => it.name,
    };
    functions.filter(|it| is_public(it) && it.gives_future()).map(named).collect()
}

#[test]
fn every_future_of_a_public_function_is_send_and_static() {
    let needed: BTreeSet<String> = CRATES[..3]
        .iter()
        .flat_map(|name| sources::crate_sources(name))
        .flat_map(|file| futures_of(&file))
        .collect();
    let checked: BTreeSet<String> = FUTURES.iter().map(|path| function_name(path)).collect();
    let missing: Vec<_> = needed.difference(&checked).collect();
    assert!(missing.is_empty(), "not checked in tests/cancellation/kinds.rs: {missing:#?}");
    let unknown: Vec<_> = checked.difference(&needed).collect();
    assert!(unknown.is_empty(), "checked, and not found in the sources: {unknown:#?}");
    assert!(needed.len() > 90, "only {} functions found: the reader is broken", needed.len());
}

#[test]
fn every_public_type_that_is_held_is_send_and_static() {
    for (folder, checked) in [
        ("citadel_crypt/src/ratchets", RATCHETS),
        ("citadel_proto/src/driver", DRIVER),
        ("citadel_proto/src/accounts", ACCOUNTS),
        ("citadel_proto/src/peers/driver", PEERS),
        ("citadel_sdk/src", SDK),
    ] {
        let needed: BTreeSet<String> = sources::files(folder, &[".rs"])
            .iter()
            .flat_map(|file| sources::public_types(&file.text))
            .collect();
        let checked: BTreeSet<String> = checked.iter().map(|path| type_name(path)).collect();
        assert!(needed.len() > 15, "only {} types found in {folder}: the reader is broken", needed.len());
        assert_eq!(needed, checked, "{folder} and tests/cancellation/kinds.rs");
    }
}

#[test]
fn owners_of_futures_are_held_themselves() {
    let held: BTreeSet<String> =
        [RATCHETS, DRIVER, ACCOUNTS, PEERS, SDK].concat().iter().map(|path| type_name(path)).collect();
    for path in FUTURES.iter().filter(|path| !path.contains("dyn")) {
        let owner = path.split("::").next().unwrap_or_default().trim();
        assert!(held.contains(owner), "{path}: its owner is on no list of types");
    }
}

#[test]
fn the_list_is_read_from_whatever_gives_a_future() {
    let text = "impl Lane { pub async fn send(&self) {} pub(crate) async fn hidden(&self) {}\n\
                pub fn ends(&self) -> Vec<BoxFuture<'static, u8>> { vec![] } pub fn new(f: fn() -> Future) -> Self {} }\n\
                impl IntoFuture for Lane { fn into_future(self) -> Self::IntoFuture { self.0 } }\n\
                pub trait Door: Send { async fn open(&self); }\n\
                pub fn dial() -> impl Future<Output = u8> { ready(1) }\n\
                #[cfg(test)]\nmod tests { pub async fn helper() {} }";
    let file = SourceFile { path: "lane.rs".to_owned(), text: text.to_owned() };
    assert_eq!(futures_of(&file), ["Lane::send", "Lane::ends", "Lane::into_future", "Door::open", "dial"]);
}
