//! The TLS of the peers that sessions are measured beside.

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider};
use std::sync::Arc;

/// TLS 1.3 with X25519MLKEM768 and AES-256-GCM only.
fn provider() -> Arc<CryptoProvider> {
    use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
    Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![kx_group::X25519MLKEM768],
        ..default_provider()
    })
}

/// Configurations of both ends, each with a P-256 certificate that the other one trusts. Every handshake is a whole one: no
/// tickets are given, none is kept.
pub(crate) fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certificate = || {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        (cert.der().clone(), key)
    };
    let roots = |certificate: &CertificateDer<'static>| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate of our own");
        Arc::new(roots)
    };
    let ((client, client_key), (server, server_key)) = (certificate(), certificate());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots(&client), provider()).build();
    let mut server_config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier.expect("a root"))
        .with_single_cert(vec![server.clone()], server_key)
        .expect("a key that fits");
    let mut client_config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots(&server))
        .with_client_auth_cert(vec![client], client_key)
        .expect("a key that fits");
    server_config.send_tls13_tickets = 0;
    client_config.resumption = Resumption::disabled();
    (Arc::new(client_config), Arc::new(server_config))
}
