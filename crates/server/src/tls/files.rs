//! Certificates and private keys from their files.

use kinovar_io::net::error_text;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::pem::PemLabel;
use pkcs8::der::{Decode, SecretDocument};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;

/// A larger file is none of certificates or keys.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The contents of a file, for whom `what` says.
fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    let failed = |reason: String| format!("The {what} can't be loaded from {}: {reason}", path.display());
    let size = std::fs::metadata(path).map_err(|error| failed(error_text(&error)))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(format!("it has {size} bytes, which is too many")));
    }
    std::fs::read(path).map_err(|error| failed(error_text(&error)))
}

/// All certificates of a PEM file, at least one.
pub fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("The {what} can't be loaded from {}: it holds no PEM certificate", path.display())),
        Err(error) => Err(format!("The {what} can't be loaded from {}: {error}", path.display())),
    }
}

/// The private key of a PEM file, which a password may protect.
pub fn private_key(path: &Path, password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |reason: &str| format!("The private key can't be loaded from {}: {reason}", path.display());
    let text = read("private key", path)?;
    let has = |needle: &str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
    if has(&format!("-----BEGIN {}-----", EncryptedPrivateKeyInfoRef::PEM_LABEL)) {
        if password.is_empty() {
            return Err(failed("it is encrypted, and tls-key-file-pass is not set"));
        }
        let key = decrypted(&text, password).map_err(|reason| failed(&reason))?;
        return Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec())));
    }
    if has("Proc-Type: 4,ENCRYPTED") {
        return Err(failed(
            "it is encrypted in the old form of PEM, which is not supported; 'openssl pkcs8 -topk8' makes PKCS #8 of it",
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| failed(&error.to_string()))
}

fn decrypted(text: &[u8], password: &[u8]) -> Result<SecretDocument, String> {
    let label = EncryptedPrivateKeyInfoRef::PEM_LABEL;
    let text = String::from_utf8_lossy(text);
    let (start, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let from = text.find(&start).ok_or("it does not begin")?;
    let length = text[from..].find(&end).ok_or("it does not end")? + end.len();
    let (_, document) =
        SecretDocument::from_pem(&text[from..from + length]).map_err(|error| format!("bad PEM: {error}"))?;
    let encrypted =
        EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|error| format!("bad PKCS #8: {error}"))?;
    encrypted.decrypt(password).map_err(|_| "the password is wrong, or the cipher is not supported".to_owned())
}

/// The authorities whose certificates clients may have: those of a file, and of all files of a directory.
pub fn authorities(file: Option<&Path>, directory: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let what = "certificates of authorities";
    if let Some(path) = file {
        for certificate in certificates(what, path)? {
            roots.add(certificate).map_err(|error| format!("The {what} of {}: {error}", path.display()))?;
        }
    }
    if let Some(directory) = directory {
        let failed = |error: std::io::Error| format!("The {what} in {}: {}", directory.display(), error_text(&error));
        let entries = std::fs::read_dir(directory).map_err(failed)?;
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            // Other things may lie there; OpenSSL looks at names only and leaves them alone as well.
            if path.is_file()
                && let Ok(found) = certificates(what, &path)
            {
                roots.add_parsable_certificates(found);
            }
        }
    }
    Ok(roots)
}
