//! A reqwest client from a deployment's transport settings.
//!
//! One place for both users, the token exchange and the calls to deployments: what works for one
//! works for the other. Redirects, referers and retries of reqwest are always off, because reqwest
//! takes only five header names off a request that leaves its origin.
//!
//! ```
//! use gatepass_core::TransportSettings;
//! let client = gatepass_transport::Connector::default().connect(&TransportSettings::default(), true)?;
//! # drop(client); Ok::<(), gatepass_transport::ConnectError>(())
//! ```

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use gatepass_core::{TransportSettings, is_loopback};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy, Proxy};
use url::Url;
use zeroize::Zeroizing;

mod environment; // the proxy of the environment
mod trouble; // why a server was not reached

pub use trouble::Trouble;

/// Makes reqwest clients; a builder of your own may be passed in, called once for each client.
#[derive(Clone)]
pub struct Connector {
    make: Arc<dyn Fn() -> ClientBuilder + Send + Sync>,
    /// With a builder of the user's own, its proxies are the user's business.
    environment_proxy: bool,
}

impl Connector {
    /// Starts from the builders that `make` returns; what guards credentials is set on top.
    #[must_use]
    pub fn new(make: impl Fn() -> ClientBuilder + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(make),
            environment_proxy: false,
        }
    }

    /// A client for these settings. `tls` says whether https may be needed at all: without it a
    /// machine that has no certificate authorities still serves plain http on loopback.
    ///
    /// # Errors
    /// When a certificate file cannot be read or used, or the proxy is no proxy.
    pub fn connect(&self, settings: &TransportSettings, tls: bool) -> Result<Client, ConnectError> {
        let first = self.builder(settings)?.build();
        match first {
            Ok(client) => Ok(client),
            Err(_) if !tls && settings.ca_file.is_none() => {
                let builder = self.builder(settings)?.tls_certs_only(Vec::new());
                builder
                    .build()
                    .map_err(|cause| ConnectError(root_cause(&cause)))
            }
            Err(cause) => {
                let why = root_cause(&cause);
                let fix = "if this system has no certificate authorities, install ca-certificates or set ca_file";
                Err(ConnectError(format!("TLS cannot be set up ({why}): {fix}")))
            }
        }
    }

    fn builder(&self, settings: &TransportSettings) -> Result<ClientBuilder, ConnectError> {
        let mut builder = (self.make)()
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect_timeout);
        if let Some(proxy) = &settings.proxy {
            let proxy = Proxy::all(proxy.expose()).map_err(|_| {
                ConnectError("proxy is not a proxy URL: write http://host:port".into())
            })?;
            builder = builder.no_proxy().proxy(proxy);
        } else if self.environment_proxy {
            builder = builder.no_proxy();
            if let Some(url) = environment::https_proxy() {
                builder = builder.proxy(https_only(url));
            }
        }
        if let Some(path) = &settings.ca_file {
            let certificates = Certificate::from_pem_bundle(&read("ca_file", path)?)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| unusable("ca_file", path, "holds no PEM certificate"))?;
            builder = builder.tls_certs_only(certificates);
        }
        if let (Some(cert), Some(key)) = (&settings.client_cert, &settings.client_key) {
            let mut pem = read("client_cert", cert)?;
            pem.push(b'\n');
            pem.extend_from_slice(&read("client_key", key)?);
            let identity = Identity::from_pem(&pem).map_err(|_| {
                unusable(
                    "client_cert",
                    cert,
                    "and client_key are not a PEM certificate and its key",
                )
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            make: Arc::new(Client::builder),
            environment_proxy: true,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Plain http would show the credential to the proxy, and loopback has no business there.
fn https_only(proxy: Url) -> Proxy {
    let choose =
        move |url: &Url| (url.scheme() == "https" && !is_loopback(url)).then(|| proxy.clone());
    Proxy::custom(choose).no_proxy(NoProxy::from_env())
}

fn read(key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    fs::read(path).map(Zeroizing::new).map_err(|cause| {
        unusable(
            key,
            path,
            &format!("cannot be read ({}): check path and rights", cause.kind()),
        )
    })
}

fn unusable(key: &str, path: &Path, what: &str) -> ConnectError {
    ConnectError(format!("{key} {} {what}", path.display()))
}

/// The innermost cause: reqwest's own text may hold a URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Transport settings that make no client: which one, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);
