//! Writes the seeds of the fuzz targets: `cargo run -p citadel_tests --example fuzz_seeds`.
//!
//! The seeds are committed. They are made anew when a wire format changes.

use bytes::BytesMut;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Cid, ClientConfig, ClientProof, DeviceName, DisplayName, Grant, HandshakeConfig, Instance, Limits,
    Password, Psk, PskHint, Refusal, RefusalCode, Refused, Request, ResumeRequest, ServerConfig, ServerProof,
    SessionKind, Trust, UserName, VerdictBody,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::record::{Frame, RecordHeader, RecordKind};
use citadel_crypt::ratchets::rekey::{self, Body, CancelReason, Message, Side, Version};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::SEED_LEN;
use citadel_crypt::suite::{CryptoProvider, Suite};
use citadel_crypt::wire::encode;
use citadel_crypt::wire::rekey::encode_message;
use citadel_crypt::{SecrecyMode, Timestamp};
use citadel_proto::CloseReason;
use citadel_proto::accounts::{AskError, RequestBody, ResponseBody, wire};
use citadel_proto::backend::{
    Device, Entry, Expect, Redb, RedbConfig, SealScope, SealingKey, Table, UnixTime, ValuePage, ValueVersion,
    Versioned,
};
use citadel_proto::frames::{
    ChannelId, FinishedBy, Part, put_ack, put_channel_credit, put_close, put_closing, put_credit, put_data,
    put_finish, put_open, put_ping, put_pong, put_rekey, put_reset, put_session_credit, put_stop,
};
use citadel_proto::peers::wire::{LaneOpen, decode_answer, encode_answer, encode_ask, encode_lane};
use citadel_proto::peers::{ConsentError, Party, PeerAnswer, PeerAsk, PeerAskError, Who};
use citadel_proto::record::Header;
use citadel_tests::backend_script::{Model, script};
use citadel_tests::crash_disk::CrashDisk;
use citadel_tests::memory_pair::MemoryPair;
use citadel_tests::seeded::SeededProvider;
use citadel_tests::sources;
use citadel_tests::tamper::Pair;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = sources::root().join("citadel_tests/fuzz/seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn identity(provider: &SeededProvider) -> io::Result<Identity> {
    Identity::from_seed(provider, Secret::copy_from(&[7; SEED_LEN])).map_err(io::Error::other)
}

fn names() -> io::Result<()> {
    let identity = identity(&SeededProvider::new(7))?;
    let peer = identity.peer_id();
    write("addresses", "peer", peer.to_string().as_bytes())?;
    for (name, place) in
        [("name", "host-1.example:443"), ("v4", "127.0.0.1:0"), ("v6", "[fe80::1%eth0]:65535")]
    {
        write("addresses", name, format!("{peer}@{place}").as_bytes())?;
    }
    write("identities", "stored", &identity.to_bytes())?;
    write("identities", "public", identity.public().as_bytes())?;
    let signature = identity.sign("citadel/1 seed", &[b"seed"]).map_err(io::Error::other)?;
    write("identities", "signature", signature.as_bytes())
}

/// Every flight of one handshake with a pre-shared key and a `Retry`, and the bodies that stand encrypted in them.
fn flights() -> io::Result<()> {
    let provider = SeededProvider::new(7);
    let identity = Arc::new(identity(&provider)?);
    let common = HandshakeConfig::new(Arc::new(provider), Arc::clone(&identity), SessionKind::C2S);
    let psk = || Psk::new(PskHint([7; 16]), &[1; 32]).map_err(io::Error::other);
    let mut client = ClientConfig::new(common.clone(), Trust::Peer(identity.peer_id()));
    client.psk = Some(Arc::new(psk()?));
    let mut server = ServerConfig::new(common).map_err(io::Error::other)?;
    server.psks = Arc::from([psk()?]);
    let pair = Pair::new(client, &Arc::new(server), b"source", true, Timestamp::from_nanos(1_000_000_000));
    for (number, (_, flight)) in pair.map_err(io::Error::other)?.run().flights.iter().enumerate() {
        write("flights", &format!("flight_{number}"), flight)?;
    }
    let signature = identity.sign("citadel/1 seed", &[]).map_err(io::Error::other)?;
    let (public, request) = (identity.public().clone(), Request::Identity.encode());
    let proof = ServerProof { identity: public.clone(), signature: signature.clone(), mac: [3; 32] };
    write("flights", "server_proof", &proof.encode())?;
    let proof = ClientProof { identity: public, signature, request: request.clone(), mac: [4; 32] };
    write("flights", "client_proof", &proof.encode())?;
    write("flights", "request", &request)?;
    requests()?;
    write("flights", "refusal", &Refusal { code: RefusalCode::BUSY }.encode())?;
    write(
        "flights",
        "accepted",
        &VerdictBody::Accepted { limits: Limits::default(), grant: Grant::default() }.encode(),
    )
}

/// A request of each kind, and what a server says to them.
fn requests() -> io::Result<()> {
    let user = || UserName::new("alice").map_err(io::Error::other);
    let password = || Password::new("correct horse").map_err(io::Error::other);
    let device = || DeviceName::new("laptop").map_err(io::Error::other);
    let display_name = DisplayName::new("Alice").map_err(io::Error::other)?;
    let resume = ResumeRequest { instance: Instance::of(&[1; 32]), path: 1, proof: [2; 32] };
    let requests = [
        (
            "register",
            Request::Register { user: user()?, display_name, password: password()?, device: device()? },
        ),
        ("login", Request::Login { user: user()? }),
        ("add_device", Request::AddDevice { user: user()?, password: password()?, device: device()? }),
        ("transient", Request::Transient),
        ("resume", Request::Resume(resume)),
    ];
    for (name, request) in requests {
        write("flights", &format!("request_{name}"), &request.encode())?;
    }
    let grant = Grant { cid: Some(Cid(7)), resume: Duration::from_secs(60) };
    write("flights", "granted", &VerdictBody::Accepted { limits: Limits::default(), grant }.encode())?;
    let refused = Refused::after(RefusalCode::RATE_LIMITED, Duration::from_secs(2));
    write("flights", "refused", &VerdictBody::Refused(refused).encode())
}

/// Every message of one round, and a `Cancel`.
fn rekey_messages() -> io::Result<()> {
    let provider: Arc<dyn CryptoProvider> = Arc::new(SeededProvider::new(7));
    let mut pair = MemoryPair::new(&provider, Suite::DEFAULT, SecrecyMode::BestEffort);
    let mut messages = pair.recorded_round(Side::Initiator);
    let round = messages[0].header.round;
    let header = rekey::Header { round, floor: round.attempt, latest: Version(0), earliest: Version(0) };
    messages.push(Message { header, body: Body::Cancel { reason: CancelReason::Withdrawn } });
    for (number, message) in messages.iter().enumerate() {
        write("rekey_messages", &format!("{number}_{:?}", message.kind()), &encode_message(message))?;
    }
    Ok(())
}

fn manager_records() -> io::Result<()> {
    let header = RecordHeader { version: 0xAB, kind: RecordKind::Control, counter: 0x0102_0304 };
    write("manager_records", "header", &header.encode())?;
    let frames = [Frame::Rekey(b"message"), Frame::Credit(1 << 40), Frame::Stop, Frame::Close { code: 7 }];
    for (number, frame) in frames.iter().enumerate() {
        let mut body = BytesMut::new();
        frame.encode(&mut body);
        write("manager_records", &format!("frame_{number}"), &body)?;
    }
    Ok(())
}

/// A frame of each type, some of them together, and a stream of two records.
fn frames_and_records() -> io::Result<()> {
    let channel = ChannelId(2);
    let instance = Instance::of(&[1; 32]);
    let local = CloseReason::application(7, "done");
    type Put<'a> = &'a dyn Fn(&mut BytesMut);
    let puts: [(&str, Put<'_>); 15] = [
        ("ping", &|out| put_ping(out, 1 << 40)),
        ("pong", &|out| put_pong(out, 7)),
        ("open", &|out| put_open(out, channel, b"name")),
        ("whole", &|out| put_data(out, ChannelId(0), 0, Part::Whole, b"message")),
        ("first", &|out| put_data(out, ChannelId(0), 0, Part::First { total: 9 }, b"mess")),
        ("last", &|out| put_data(out, ChannelId(0), 68, Part::Last, b"age 1")),
        ("finish", &|out| put_finish(out, ChannelId(0), 0, FinishedBy::Application)),
        ("reset", &|out| put_reset(out, ChannelId(0), 0, 3)),
        ("stop", &|out| put_stop(out, ChannelId(0), 3)),
        ("ack", &|out| put_ack(out, ChannelId(0), 0, 0)),
        ("credit", &|out| put_credit(out, ChannelId(0), 1 << 20)),
        ("session_credit", &|out| put_session_credit(out, 1 << 20)),
        ("channel_credit", &|out| put_channel_credit(out, 32)),
        ("closing", &|out| put_closing(out, &local, instance)),
        ("close", &|out| put_close(out, &local, instance)),
    ];
    let mut all = BytesMut::new();
    for (name, put) in puts {
        let mut frame = BytesMut::new();
        put(&mut frame);
        write("frames", name, &frame)?;
        put(&mut all);
    }
    write("frames", "all", &all)?;
    let message = fs::read(sources::root().join("citadel_tests/fuzz/seeds/rekey_messages/0_AliceToBob"))?;
    let mut rekey = BytesMut::new();
    put_rekey(&mut rekey, &message);
    write("frames", "rekey", &rekey)?;
    let record =
        |len: usize| [&Header { version_bits: 1, body_len: len }.encode()[..], &vec![7; len]].concat();
    write("records", "two", &[record(17), record(40)].concat())?;
    write("records", "half", &record(60)[..30])
}

/// The shortest record of each table of a store after a script, plain and sealed.
fn stored_records() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let key = SealingKey::from_bytes(&[7; 32]).map_err(io::Error::other)?;
    let sealed = RedbConfig { scope: SealScope::All, ..RedbConfig::sealed(key) };
    for (form, config) in [("plain", RedbConfig::default()), ("sealed", sealed)] {
        let (disk, mut model) = (CrashDisk::default(), Model::default());
        let backend = Redb::with_storage(disk.clone(), config).map_err(io::Error::other)?;
        for op in script(7, 60) {
            let _answer = runtime.block_on(op.run(&backend, &model));
            model.apply(&op);
        }
        drop(backend);
        let database = redb::Builder::new().create_with_backend(disk).map_err(io::Error::other)?;
        let read = database.begin_read().map_err(io::Error::other)?;
        for (number, table) in (0_u8..).zip(Table::ALL) {
            let definition = TableDefinition::<&[u8], &[u8]>::new(table.name());
            let records = read.open_table(definition).map_err(io::Error::other)?;
            let mut all = Vec::new();
            for entry in records.iter().map_err(io::Error::other)? {
                all.push(entry.map_err(io::Error::other)?.1.value().to_vec());
            }
            if let Some(record) = all.into_iter().min_by_key(Vec::len) {
                write(
                    "stored_records",
                    &format!("{}_{form}", table.name()),
                    &[&[number], &record[..]].concat(),
                )?;
            }
        }
    }
    Ok(())
}

/// Every request of a handshake to a server with accounts, every request of a session, and answers.
fn accounts() -> io::Result<()> {
    let user = |name: &str| UserName::new(name).map_err(io::Error::other);
    let password = |word: &str| Password::new(word).map_err(io::Error::other);
    let device = DeviceName::new("phone").map_err(io::Error::other)?;
    let name = DisplayName::new("Al").map_err(io::Error::other)?;
    let entries = [
        ("identity", Request::Identity),
        ("transient", Request::Transient),
        ("login", Request::Login { user: user("owner")? }),
        (
            "register",
            Request::Register {
                user: user("new")?,
                display_name: name.clone(),
                password: password("secret")?,
                device: device.clone(),
            },
        ),
        (
            "add_device",
            Request::AddDevice {
                user: user("owner")?,
                password: password("password")?,
                device: device.clone(),
            },
        ),
    ];
    for (file, request) in entries {
        write("account_entries", file, &request.encode())?;
    }
    let (peer, key, about) = (PeerId([1; 32]), b"key".to_vec(), Some(Cid(7)));
    let (expect, value) = (Expect::Version(ValueVersion(1)), b"value".to_vec());
    let requests = [
        RequestBody::Profile,
        RequestBody::Devices,
        RequestBody::RevokeDevice { peer },
        RequestBody::ChangePassword {
            old: password("password")?,
            new: password("other")?,
            revoke_others: true,
        },
        RequestBody::SetDisplayName { display_name: name },
        RequestBody::Deregister,
        RequestBody::Get { about, key: key.clone() },
        RequestBody::Put { about: None, key: key.clone(), value: value.clone(), expect: Expect::Absent },
        RequestBody::Delete { about, key: key.clone(), expect },
        RequestBody::List { about: None, prefix: key.clone(), after: Some(key.clone()), limit: 10 },
    ];
    for request in &requests {
        let bytes = wire::encode_request(7, request).map_err(io::Error::other)?;
        write("account_messages", &format!("request_{request:?}"), &bytes)?;
    }
    let versioned = Versioned { version: ValueVersion(1), value };
    let entry = Entry { key, versioned: versioned.clone() };
    let answers = [
        ("devices", ResponseBody::Devices(vec![Device::new(peer, device, UnixTime(1))])),
        ("done", ResponseBody::Done),
        ("was", ResponseBody::Was(true)),
        ("value", ResponseBody::Value(Some(versioned))),
        ("version", ResponseBody::Version(ValueVersion(1))),
        ("page", ResponseBody::Page(ValuePage { entries: vec![entry], more: true })),
        ("failed", ResponseBody::Failed(AskError::Version(None))),
    ];
    for (file, answer) in &answers {
        let bytes = wire::encode_response(7, answer).map_err(io::Error::other)?;
        write("account_messages", &format!("answer_{file}"), &bytes)?;
    }
    Ok(())
}

/// Statements without key and signature, behind the length of their heads; and what is said of peers.
fn peers() -> io::Result<()> {
    let (account, transient) = (Party::Account(Cid(7)), Party::Transient(PeerId([1; 32])));
    let (server, device) = (PeerId([2; 32]), PeerId([3; 32]));
    let head = |kind: u8, from: Party, to: Party| {
        let head = [&[kind][..], server.as_bytes(), &from.to_bytes(), &to.to_bytes()].concat();
        [&[u8::try_from(head.len()).unwrap_or_default()], &head[..]].concat()
    };
    let number = 9_u64.to_le_bytes();
    let statements = [
        ("request", [&head(1, account, transient)[..], &[7; 16], &[0]].concat()),
        (
            "request_of_a_device",
            [&head(1, transient, account)[..], &[7; 16], &[1], device.as_bytes()].concat(),
        ),
        ("acceptance", [&head(2, transient, account)[..], &[7; 32], device.as_bytes()].concat()),
        ("vouch", [&head(3, account, account)[..], device.as_bytes(), &number].concat()),
        ("disown", [&head(4, account, account)[..], device.as_bytes(), &number].concat()),
    ];
    for (name, bytes) in statements {
        write("peer_statements", name, &bytes)?;
    }
    let user = UserName::new("bob").map_err(io::Error::other)?;
    let (to, statement) = (transient, b"statement".to_vec());
    let asks = [
        ("find_user", PeerAsk::Find(Who::User(user))),
        ("find_party", PeerAsk::Find(Who::Party(account))),
        ("ask", PeerAsk::Ask { to, statement: statement.clone() }),
        ("accept", PeerAsk::Accept { to, statement: statement.clone() }),
        ("decline", PeerAsk::Decline(to)),
        ("remove", PeerAsk::Remove(account)),
        ("block", PeerAsk::Block { to, blocked: true }),
        ("vouch", PeerAsk::Vouch(statement)),
        ("watch", PeerAsk::Watch),
    ];
    for (name, ask) in asks {
        let bytes = encode_ask(7, &ask).map_err(io::Error::other)?;
        write("peer_messages", &format!("request_{name}"), &bytes)?;
    }
    let answers = [
        ("found", PeerAnswer::Found(account)),
        ("done", PeerAnswer::Done),
        ("was", PeerAnswer::Was(true)),
        ("limited", PeerAnswer::Failed(PeerAskError::RateLimited(Duration::from_secs(2)))),
        ("refused", PeerAnswer::Failed(ConsentError::NoRequest.into())),
        ("presence", PeerAnswer::Presence { party: account, online: vec![device, server] }),
        ("synced", PeerAnswer::Synced),
    ];
    for (name, answer) in answers {
        let bytes = encode_answer(0, &answer).map_err(io::Error::other)?;
        write("peer_messages", &format!("answer_{name}"), &bytes)?;
    }
    // A view, which servers alone make: of peers, with a statement of each, a device and a vouch.
    let (names, peers) = ((Some("bob"), Some("Bob")), (4_u32, &b"mine"[..], &b"theirs"[..]));
    let view = (0_u64, 4_u32, account, names, peers, false, vec![device.0], vec![&b"vouch"[..]]);
    let bytes = encode(&view).map_err(io::Error::other)?;
    if !matches!(decode_answer(&bytes), Ok((0, PeerAnswer::View(_)))) {
        return Err(io::Error::other("this is no view any more"));
    }
    write("peer_messages", "answer_view", &bytes)?;
    let lane = encode_lane(&LaneOpen { to, device }).map_err(io::Error::other)?;
    write("peer_messages", "lane", &lane)
}

fn main() -> io::Result<()> {
    names()?;
    accounts()?;
    peers()?;
    flights()?;
    rekey_messages()?;
    manager_records()?;
    frames_and_records()?;
    stored_records()
}
