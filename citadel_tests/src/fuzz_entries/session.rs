//! What a path carries: records before they are opened, frames after, and a session that is fed with them.

use crate::memory_pair::initial_secrets;
use crate::seeded::SeededProvider;
use bytes::{Bytes, BytesMut};
use citadel_crypt::handshake::{Established, Grant, Instance, Limits, ResumptionKey, SessionKind};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::{Side, Timestamp, Version};
use citadel_crypt::ratchets::{PathId, Toolset};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::SEED_LEN;
use citadel_crypt::suite::{CryptoProvider, Suite};
use citadel_crypt::{SecrecyMode, suite::TAG_LEN};
use citadel_proto::frames::Frames;
use citadel_proto::record::{self, HEADER_LEN, Header, KIND_FRAMES, MAX_PAYLOAD, RawRecord};
use citadel_proto::session::{Input, SessionMachine};
use citadel_proto::{ChannelId, PathLoss, SessionConfig, Taken};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

/// Longest packet of its paths.
const PACKET: usize = 1_200;

static PROVIDER: LazyLock<Arc<dyn CryptoProvider>> = LazyLock::new(|| Arc::new(SeededProvider::new(1)));
static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    let identity = Identity::from_seed(&**PROVIDER, Secret::copy_from(&[7; SEED_LEN]));
    Arc::new(identity.expect("every seed makes a key"))
});

/// A stream of bytes, cut into records.
pub fn records(data: &[u8]) {
    let mut received = BytesMut::from(data);
    let mut taken = 0;
    while let Ok(Some(record)) = record::split(&mut received) {
        let header = Header::parse(record.header).expect("a record that was split has a header");
        assert_eq!(header.body_len, record.body.len());
        assert_eq!(header.encode(), record.header, "a header has one form");
        taken += HEADER_LEN + record.body.len();
    }
    assert_eq!(&data[taken..], &received[..], "what is not a whole record stays");
    let complete = record::missing(&received) == 0;
    assert_eq!(complete, record::split(&mut received).is_err(), "what cannot become a record is an error");
}

/// The plaintext of a record into the parser of frames, and into a session under its right keys.
pub fn frames(data: &[u8]) {
    let frames = Frames::new(Bytes::copy_from_slice(data));
    assert!(frames.take(data.len() + 1).count() <= data.len(), "each frame takes a byte at least");
    if data.len() <= MAX_PAYLOAD {
        feed(data);
    }
}

/// A session gets `frames` as its peer would seal them: half of them in a record on its first path, all of them on the next.
fn feed(frames: &[u8]) {
    let (suite, mode) = (Suite::DEFAULT, SecrecyMode::BestEffort);
    let (mut peer, _) = initial_secrets(suite).into_parts(Arc::clone(&PROVIDER), Side::Initiator, mode, None);
    let initial = initial_secrets(suite);
    let established = Established {
        side: Side::Responder,
        kind: SessionKind::C2S,
        session_id: initial.session_id,
        instance: Instance::of(&initial.session_id),
        suite,
        mode,
        window: 4,
        peer: IDENTITY.public().clone(),
        app_protocol: None,
        peer_limits: Limits::default(),
        psk: false,
        grant: Grant::default(),
        resumption: Arc::new(ResumptionKey::of(&initial)),
        initial,
    };
    let resume = Duration::from_secs(60);
    let config = SessionConfig { resume, services: true, ..SessionConfig::default() };
    let provider = Arc::clone(&PROVIDER);
    let mut session = SessionMachine::new(established, provider, Arc::clone(&IDENTITY), &config, NOW);
    let next = PathId(1);
    let half = frames.get(..frames.len() / 2).unwrap_or_default();
    let _asked = session.ask_for_datagrams();
    let _lane = peer.add_path(packets_of(PathId::FIRST));
    // Something of its own is in flight, so that acknowledgements and a new path have something to be about.
    let _accepted = session.try_send(ChannelId(0), Bytes::from_static(&[7; 200]));
    for (path, frames) in [(PathId::FIRST, half), (next, frames)] {
        if path == next {
            session.handle(NOW, Input::PathLost(PathLoss::Ended));
            session.handle(NOW, Input::PathAttached { path });
            let _new = [records_of(path), packets_of(path)].map(|lane| peer.add_path(lane));
        }
        if let Some(raw) = seal(&mut peer, path, frames) {
            session.handle(NOW, Input::Record(raw));
        }
        run(&mut session);
        // As packets: what anybody may send, and what the peer would.
        session.carry_packets(Some(PACKET));
        session.handle(NOW, Input::Packet(BytesMut::from(frames)));
        if let Some(packet) = seal_packet(&mut peer, path, frames) {
            session.handle(NOW, Input::Packet(packet));
        }
        run(&mut session);
    }
    if let Some((when, _)) = session.poll_timeout() {
        session.handle(when, Input::Timeout);
        run(&mut session);
    }
}

/// The lane of a path's records: each path has two.
const fn records_of(path: PathId) -> PathId {
    PathId(path.0 * 2)
}

/// The lane of its packets.
const fn packets_of(path: PathId) -> PathId {
    PathId(path.0 * 2 + 1)
}

/// A packet with `datagram` on `path`.
fn seal_packet(peer: &mut Toolset, path: PathId, datagram: &[u8]) -> Option<BytesMut> {
    let version_bits = Version(0).low_bits();
    let mut body = BytesMut::from(datagram);
    let sealed = peer.seal(packets_of(path), &[version_bits], &mut body).ok()?;
    let mut packet = BytesMut::from(&[version_bits][..]);
    packet.extend_from_slice(&sealed.counter.to_be_bytes());
    packet.extend_from_slice(&body);
    packet.extend_from_slice(&sealed.tag);
    Some(packet)
}

/// A record of `frames` on `path`.
fn seal(peer: &mut Toolset, path: PathId, frames: &[u8]) -> Option<RawRecord> {
    let mut body = BytesMut::with_capacity(1 + frames.len() + TAG_LEN);
    body.extend_from_slice(&[KIND_FRAMES]);
    body.extend_from_slice(frames);
    let header = Header { version_bits: Version(0).low_bits(), body_len: body.len() + TAG_LEN }.encode();
    let sealed = peer.seal(records_of(path), &header, &mut body).ok()?;
    body.extend_from_slice(&sealed.tag);
    Some(RawRecord { header, body })
}

/// The application takes what there is, and the writer writes it all.
fn run(session: &mut SessionMachine) {
    while session.poll_output().is_some() {}
    while session.accept_channel().is_some() {}
    while session.accept_service_channel().is_some() {}
    while matches!(session.take(|| NOW, ChannelId(0)).0, Taken::Message(_)) {}
    while let Some(datagram) = session.take_datagram() {
        // It answers with what it got.
        let _sent = session.send_datagram(datagram);
    }
    while session.poll_packet(NOW).is_some() {}
    let mut out = BytesMut::new();
    while session.poll_transmit(NOW, &mut out, 1 << 16) {
        out.clear();
    }
    while session.poll_output().is_some() {}
}
