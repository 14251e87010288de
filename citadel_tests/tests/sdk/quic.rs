//! What is particular to QUIC: its TLS, its listener, the end of its streams.

use super::transports::{Over, dialer, meet, transport};
use citadel_crypt::handshake::{HandshakeError, Trust};
use citadel_proto::driver::{EstablishError, Listener, Quic, Transport};
use citadel_tests::resumable::Ends;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, VarInt};
use rstest::rstest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn listen() -> (Box<dyn Listener>, SocketAddr) {
    let listener = Quic::new().listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// TLS as others would configure it: takes any certificate, as ours does, so that the group alone decides.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn strangers_config(groups: &[&'static dyn SupportedKxGroup], alpn: &[u8]) -> quinn::ClientConfig {
    let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// Dials as a stranger while the listener accepts.
async fn dial(
    groups: &[&'static dyn SupportedKxGroup],
    alpn: &[u8],
) -> Result<quinn::Connection, ConnectionError> {
    let (mut listener, address) = listen().await;
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let connecting = endpoint.connect_with(strangers_config(groups, alpn), address, "anything").unwrap();
    tokio::select! {
        connection = connecting => connection,
        arrived = listener.accept() => panic!("{arrived:?} without a stream"),
    }
}

#[tokio::test]
async fn only_the_hybrid_group_is_spoken() {
    let hybrid = aws_lc_rs::kx_group::X25519MLKEM768;
    assert!(dial(&[hybrid], b"citadel/1").await.is_ok());
    let classical = [aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    for refused in [dial(&classical, b"citadel/1").await, dial(&[hybrid], b"h3").await] {
        assert!(matches!(refused, Err(ConnectionError::ConnectionClosed(_))), "{refused:?}");
    }
}

#[rstest]
#[tokio::test]
async fn what_was_written_arrives_although_its_writer_is_dropped_at_once(
    #[values(false, true)] by_server: bool,
) {
    let (mut listener, address) = listen().await;
    let client = Quic::new();
    let mut near = client.connect("127.0.0.1", address.port()).await.unwrap();
    near.write_all(b"first").await.unwrap();
    let mut far = listener.accept().await.unwrap().io;
    far.read_exact(&mut [0; 5]).await.unwrap();
    let (mut writer, mut reader) = if by_server { (far, near) } else { (near, far) };
    let bytes: Vec<u8> = (0..400_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    writer.write_all(&bytes).await.unwrap();
    drop(writer);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).await.unwrap();
    assert!(read == bytes, "{} of {} bytes", read.len(), bytes.len());
}

#[tokio::test]
async fn a_shutdown_is_ready_when_the_other_end_has_everything() {
    let (mut listener, address) = listen().await;
    let client = Quic::new();
    let mut near = client.connect("127.0.0.1", address.port()).await.unwrap();
    near.write_all(b"all there is").await.unwrap();
    near.shutdown().await.unwrap();
    near.shutdown().await.unwrap();
    let mut far = listener.accept().await.unwrap().io;
    let mut read = Vec::new();
    far.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"all there is");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    read.clear();
    near.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"answer");
}

/// The peer id is proven inside the connection: whose certificate it is does not matter, whose identity it is does.
#[tokio::test]
async fn a_server_with_another_identity_is_refused() {
    let (ends, other) = (Ends::new(Duration::ZERO), Ends::new(Duration::ZERO));
    let transport = transport(Over::Quic);
    let (_opened, _accepted, acceptor) = meet(&ends, &transport).await;
    let mut config = ends.client.clone();
    config.trust = Trust::Peer(other.bob.peer_id());
    let dialer = dialer(&transport, acceptor.local_addrs()[0]);
    let refused = tokio::select! {
        refused = ends.client_hub.connect_with(dialer, config, ends.session.clone(), None) => refused,
        () = async { while let Some(incoming) = acceptor.accept().await { let _refused = incoming.accept().await; } } => panic!(),
    };
    assert!(
        matches!(&refused, Err(EstablishError::Handshake(HandshakeError::WrongPeer { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn garbage_and_silent_clients_hold_up_nobody() {
    let (mut listener, address) = listen().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in [1, 20, 1_200, 1_400_usize] {
        for first in [0x00, 0x40, 0xC0, 0xFF] {
            let mut packet = vec![0x5A; len];
            packet[0] = first;
            socket.send_to(&packet, address).unwrap();
        }
    }
    // These finish TLS and open no stream.
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let config = strangers_config(&[aws_lc_rs::kx_group::X25519MLKEM768], b"citadel/1");
    let silent = futures::future::join_all(
        (0..80).map(|_| endpoint.connect_with(config.clone(), address, "x").unwrap()),
    );
    let honest = async {
        let silent = silent.await;
        assert!(silent.iter().all(Result::is_ok), "from the 65th on they prove their address first");
        let client = Quic::new();
        let mut near = client.connect("127.0.0.1", address.port()).await.unwrap();
        near.write_all(b"honest").await.unwrap();
        (silent, near)
    };
    let (arrived, _kept) = tokio::join!(listener.accept(), honest);
    let mut read = [0; 6];
    arrived.unwrap().io.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"honest");
    endpoint.close(VarInt::from_u32(0), b"");
}

#[tokio::test]
async fn a_dropped_listener_takes_nobody_and_keeps_its_connections() {
    let (mut listener, address) = listen().await;
    let client = Quic::new();
    let mut near = client.connect("127.0.0.1", address.port()).await.unwrap();
    near.write_all(b"1").await.unwrap();
    let mut far = listener.accept().await.unwrap().io;
    drop(listener);
    let mut config = strangers_config(&[aws_lc_rs::kx_group::X25519MLKEM768], b"citadel/1");
    // Nobody answers: how long the dialler waits is its own affair.
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(VarInt::from_u32(300).into())).initial_rtt(Duration::from_millis(10));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    assert!(endpoint.connect_with(config, address, "x").unwrap().await.is_err());
    far.write_all(b"still here").await.unwrap();
    drop(far);
    let mut read = Vec::new();
    near.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"still here");
}

#[tokio::test]
async fn a_host_that_is_none_is_an_error() {
    assert!(Quic::new().connect("host.invalid", 1).await.is_err());
    assert!(Quic::new().listen("not an address").await.is_err());
}
