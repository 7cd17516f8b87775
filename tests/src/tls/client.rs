//! The client side of TLS: what a test wants to show and to see, and a connection made of that.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::certs::Files;
use crate::conn::Conn;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// An encrypted stream.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// What a client brings along. Connections of one client may resume each other's sessions.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    /// Trusts an authority, and shows a certificate if there is one.
    pub fn new(authority: &Path, own: Option<&Files>) -> Result<Client> {
        Client::with_versions(authority, own, rustls::ALL_VERSIONS)
    }

    /// The same with some versions of the protocol only.
    pub fn with_versions(
        authority: &Path,
        own: Option<&Files>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_file_iter(authority)? {
            roots.add(cert?)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.cert)?.collect();
                builder.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_file(&files.key)?)?
            }
        };
        Ok(Client { config: Arc::new(config) })
    }

    /// A stream whose handshake is done, as far as the client can tell.
    pub fn stream(&self, port: u16) -> Result<Stream> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connect to port {port}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        socket.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
        let mut tls = ClientConnection::new(self.config.clone(), ServerName::try_from("localhost")?)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(tls, socket))
    }

    /// A connection that has had an answer.
    pub fn conn(&self, port: u16) -> Result<Conn> {
        let mut conn = Conn::over_tls(self.stream(port)?);
        // In TLS 1.3 a refusal of the client's certificate comes after its side of the handshake.
        let reply = conn.line("PING")?;
        ensure!(reply == crate::resp::Reply::Simple(b"PONG".to_vec()), "PING: {}", crate::show::show(&reply));
        Ok(conn)
    }
}
