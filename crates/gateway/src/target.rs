//! How an upstream is reached: its address, trust and identity, proxy, time to connect.

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{Deployment, TransportSettings};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use rustls_pki_types::ServerName;

use crate::tls;

/// How an upstream is reached; deployments that agree in all of it share connections.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Scheme, host and port, as a URL the connector takes.
    pub(crate) url: Uri,
    /// Whom the certificate must be for, and how that is proved; plain http without.
    pub(crate) tls: Option<(ServerName<'static>, Arc<rustls::ClientConfig>)>,
    pub(crate) proxy: Option<Through>,
    pub(crate) connect_timeout: Duration,
    settings: TransportSettings,
    /// Digest of the certificate files: a renewed one makes another target.
    files: [u8; 32],
}

impl Target {
    /// # Errors
    /// A sentence with cause and fix, when certificate files cannot be used.
    pub(crate) fn of(deployment: &Deployment) -> Result<Self, String> {
        let (origin, settings) = (deployment.origin(), deployment.transport());
        let text = format!("{}://{}:{}/", origin.scheme(), origin.host(), origin.port());
        let url: Uri = text
            .parse()
            .map_err(|_| "its URL does not parse: check it")?;
        let bare = origin.host().trim_start_matches('[').trim_end_matches(']');
        let tls = if origin.is_https() {
            let name = ServerName::try_from(bare.to_owned());
            let name = name.map_err(|_| "no certificate can be for its host: check the URL")?;
            Some((name, tls::client_config(settings)?))
        } else {
            None
        };
        let proxy = proxy(deployment, &url)?;
        Ok(Self {
            url,
            tls,
            proxy,
            connect_timeout: settings.connect_timeout,
            settings: settings.clone(),
            files: tls::digest(settings),
        })
    }

    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        self.url == other.url
            && self.settings == other.settings
            && self.proxy == other.proxy
            && self.files == other.files
    }
}

/// A proxy that connections go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Through {
    pub(crate) url: Uri,
    /// User and password, ready to be sent.
    pub(crate) authorization: Option<HeaderValue>,
}

/// The deployment's own proxy, else that of the environment: for https beyond this machine, because
/// plain http would show the credential to it.
fn proxy(deployment: &Deployment, to: &Uri) -> Result<Option<Through>, String> {
    let origin = deployment.origin();
    let (matcher, named) = match &deployment.transport().proxy {
        Some(secret) => (Matcher::builder().all(secret.expose()).build(), "proxy"),
        None if origin.is_https() && !origin.is_loopback() => (Matcher::from_env(), "HTTPS_PROXY"),
        None => return Ok(None),
    };
    let Some(found) = matcher.intercept(to) else {
        return match &deployment.transport().proxy {
            Some(_) => Err("proxy is not a proxy URL: write http://host:port".to_owned()),
            None => Ok(None),
        };
    };
    if found.uri().scheme_str() != Some("http") {
        let what = format!("{named} is no http:// URL, and the gateway speaks to no other proxies");
        return Err(format!("{what}: give the proxy's http address in `proxy`"));
    }
    let mut authorization = found.basic_auth().cloned();
    if let Some(value) = &mut authorization {
        value.set_sensitive(true);
    }
    let url = found.uri().clone();
    Ok(Some(Through { url, authorization }))
}
