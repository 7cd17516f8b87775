//! From parameters to what rustls makes connections of.

use super::files;
use super::sessions::Sessions;
use super::suites::{self, Choice};
use crate::config::{TlsAuth, TlsSettings};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::sync::Arc;

/// Reads all files and builds the configuration of connections.
///
/// # Errors
/// What is wrong, for the log.
pub fn build(settings: &TlsSettings) -> Result<ServerConfig, String> {
    let cert_file = settings.cert_file.as_deref().ok_or("tls-cert-file is not set")?;
    let key_file = settings.key_file.as_deref().ok_or("tls-key-file is not set")?;
    let versions = versions(&settings.protocols)?;
    let provider = Arc::new(suites::provider(all_suites(settings, &versions)?));
    let chain = files::certificates("certificate", cert_file)?;
    let key = files::private_key(key_file, &settings.key_file_pass)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| format!("The private key of {} can't be used: {error}", key_file.display()))?;
    if let Some(public) = key.public_key()
        && !contains(&chain[0], &public)
    {
        let (cert, key) = (cert_file.display(), key_file.display());
        return Err(format!("The private key of {key} is not that of the certificate of {cert}"));
    }
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols and tls-ciphers leave nothing to talk: {error}"))?
        .with_client_cert_verifier(verifier(settings, provider)?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
    config.ignore_client_order = settings.prefer_server_ciphers;
    config.session_storage = if settings.session_caching {
        Arc::new(Sessions::new(settings.session_cache_size, settings.session_cache_timeout_s))
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    Ok(config)
}

/// Whether the public key stands in the certificate. Certificates of version 1, which `openssl x509 -req` makes unless told
/// otherwise, are good enough for clients, and rustls cannot take them apart.
fn contains(certificate: &CertificateDer<'_>, public_key: &[u8]) -> bool {
    certificate.windows(public_key.len()).any(|window| window == public_key)
}

fn versions(protocols: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    for word in protocols.split([' ', ',']).filter(|word| !word.is_empty()) {
        if word.eq_ignore_ascii_case("TLSv1.2") {
            versions.push(&version::TLS12);
        } else if word.eq_ignore_ascii_case("TLSv1.3") {
            versions.push(&version::TLS13);
        } else if word.eq_ignore_ascii_case("TLSv1") || word.eq_ignore_ascii_case("TLSv1.1") {
            return Err(format!("tls-protocols: {word} is obsolete (RFC 8996) and not supported"));
        } else {
            return Err(format!("tls-protocols: '{word}' is unknown; there are TLSv1.2 and TLSv1.3"));
        }
    }
    if versions.is_empty() {
        versions = vec![&version::TLS13, &version::TLS12];
    }
    Ok(versions)
}

fn all_suites(
    settings: &TlsSettings,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Vec<rustls::SupportedCipherSuite>, String> {
    let mut chosen = Vec::new();
    let lists = [
        ("tls-ciphersuites", &version::TLS13, suites::tls13(&settings.ciphersuites)),
        ("tls-ciphers", &version::TLS12, suites::tls12(&settings.ciphers)),
    ];
    for (parameter, version, Choice { suites, without_effect }) in lists {
        if !without_effect.is_empty() {
            let words = without_effect.join(" ");
            crate::log::warning(&format!("{parameter}: there is nothing here that is called {words}"));
        }
        if suites.is_empty() {
            return Err(format!("{parameter} selects no cipher suite that is supported"));
        }
        if versions.contains(&version) {
            chosen.extend(suites);
        }
    }
    Ok(chosen)
}

fn verifier(settings: &TlsSettings, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    if settings.auth_clients == TlsAuth::No {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    if settings.ca_cert_file.is_none() && settings.ca_cert_dir.is_none() {
        return Err("tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir, unless it is 'no'".to_owned());
    }
    let roots = files::authorities(settings.ca_cert_file.as_deref(), settings.ca_cert_dir.as_deref())?;
    if roots.is_empty() {
        return Err("tls-ca-cert-file and tls-ca-cert-dir hold no certificate of an authority".to_owned());
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.auth_clients {
        TlsAuth::Optional => builder.allow_unauthenticated(),
        _ => builder,
    };
    builder.build().map_err(|error| format!("Certificates of clients can't be verified: {error}"))
}
