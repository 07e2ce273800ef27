//! Trust and identity: towards upstreams by their transport settings, towards callers by the gateway's
//! own certificate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gatepass_core::TransportSettings;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;
use sha2::{Digest, Sha256};

/// A client configuration that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// A sentence with cause and fix, when a file cannot be used.
pub(crate) fn client_config(settings: &TransportSettings) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS cannot be set up: report it".to_owned())?;
    let verified = match &settings.ca_file {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_platform_verifier().map_err(|cause| {
            format!(
                "TLS cannot be set up ({cause}): if this system has no certificate authorities, install ca-certificates or set ca_file"
            )
        })?,
    };
    let mut config = match (&settings.client_cert, &settings.client_key) {
        (Some(cert), Some(key)) => {
            let unusable = |_| {
                let cert = cert.display();
                format!("client_cert {cert} and client_key do not belong together: check both")
            };
            verified
                .with_client_auth_cert(
                    certificates("client_cert", cert)?,
                    private_key("client_key", key)?,
                )
                .map_err(unusable)?
        }
        _ => verified.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A server configuration with this certificate that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// A sentence with cause and fix, when a file cannot be used.
pub(crate) fn server_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let chain = certificates("tls_cert", cert)?;
    if chain.is_empty() {
        let cert = cert.display();
        return Err(format!(
            "tls_cert {cert} holds no PEM certificate: check it"
        ));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS cannot be set up: report it".to_owned())?
        .with_no_client_auth()
        .with_single_cert(chain, private_key("tls_key", key)?)
        .map_err(|_| {
            let cert = cert.display();
            format!("tls_cert {cert} and tls_key do not belong together: check both")
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates("ca_file", path)?);
    if added == 0 {
        let path = path.display();
        return Err(format!("ca_file {path} holds no PEM certificate: check it"));
    }
    Ok(store)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.map_err(|_| format!("{key} {} is no PEM file: check it", path.display()))
}

fn private_key(key: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = zeroize::Zeroizing::new(read(key, path)?);
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| format!("{key} {} holds no PEM key: check it", path.display()))
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|cause| {
        let (path, cause) = (path.display(), cause.kind());
        format!("{key} {path} cannot be read ({cause}): check path and rights")
    })
}

/// Of the contents of all certificate files.
pub(crate) fn digest(settings: &TransportSettings) -> [u8; 32] {
    let mut digest = Sha256::new();
    for path in [
        &settings.ca_file,
        &settings.client_cert,
        &settings.client_key,
    ] {
        let content = path.as_ref().and_then(|path| fs::read(path).ok());
        let content = content.unwrap_or_default();
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(&content);
    }
    digest.finalize().into()
}
