//! TLS under QUIC: a cipher for the path, no proof of identity.

use quinn::TransportConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::io;
use std::sync::Arc;

/// Same for every server and not sent: names say nothing here.
pub(super) const SERVER_NAME: &str = "citadel";
/// What is spoken over the connection (RFC 7301).
const ALPN: &[u8] = b"citadel/1";

/// Connections that wait to be looked at; beyond it quinn refuses them.
const MAX_WAITING: usize = 256;

/// AWS-LC, with the hybrid group alone: without it there is no handshake, so none falls back to a classical one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: vec![kx_group::X25519MLKEM768], ..default_provider() })
}

pub(super) fn client_config(transport: Arc<TransportConfig>) -> io::Result<quinn::ClientConfig> {
    let provider = provider();
    let verifier = Arc::new(AnyCertificate { provider: Arc::clone(&provider) });
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    // Tickets would let a server, and whoever reads its tickets, link one path to the next.
    tls.resumption = Resumption::disabled();
    let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(transport);
    Ok(config)
}

/// With a new self-signed certificate: TLS wants one, nobody looks at it.
pub(super) fn server_config(transport: Arc<TransportConfig>) -> io::Result<quinn::ServerConfig> {
    let certified = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).map_err(io::Error::other)?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .map_err(io::Error::other)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.send_tls13_tickets = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport);
    // A path is replaced by the session, which proves the new one; QUIC's own migration would change it underneath.
    config.migration(false);
    // What waits to be taken, and the bytes that come with it, are bounded before anything is proven.
    config.max_incoming(MAX_WAITING).incoming_buffer_size(64 << 10).incoming_buffer_size_total(4 << 20);
    Ok(config)
}

/// Takes any certificate: the peer id is proven by the handshake of the session, inside this connection (R-EST-1). Checks
/// that the server holds the key of the one it showed.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
