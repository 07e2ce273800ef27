//! One deployment, ready to be called.

use std::sync::{Arc, OnceLock};

use gatepass_core::{Clock, Deployment, SystemClock};
use gatepass_transport::Connector;
use http::{HeaderMap, Method};

use crate::error::{Error, ErrorKind};
use crate::request::RequestBuilder;

/// A deployment, ready to be called; cheap to clone, clones share connections and tokens.
///
/// ```no_run
/// # async fn call() -> Result<(), gatepass_client::Error> {
/// let churn = gatepass_client::bearer("s3cr3t").base_url("https://models.example.com/v1").build()?;
/// let status = churn.get("/ready").send().await?.status();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deployment: Arc<Deployment>,
    connections: Connections,
    clock: Arc<dyn Clock>,
}

/// Connections to a deployment, and to wherever it redirects.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    own: reqwest::Client,
    /// Without the client certificate, which is a credential too; made when first needed.
    foreign: OnceLock<reqwest::Client>,
    connector: Connector,
}

impl Connections {
    /// For the deployment's own origin.
    pub(crate) fn own(&self) -> &reqwest::Client {
        &self.0.own
    }

    /// For any other origin a redirect leads to.
    pub(crate) fn foreign(&self, deployment: &Deployment) -> Result<&reqwest::Client, Error> {
        if deployment.transport().client_cert.is_none() && deployment.origin().is_https() {
            return Ok(&self.0.own);
        }
        if let Some(client) = self.0.foreign.get() {
            return Ok(client);
        }
        let mut settings = deployment.transport().clone();
        settings.client_cert = None;
        settings.client_key = None;
        let client = connect(&self.0.connector, deployment.name(), &settings, true)?;
        Ok(self.0.foreign.get_or_init(|| client))
    }
}

fn connect(
    connector: &Connector,
    name: &str,
    settings: &gatepass_core::TransportSettings,
    tls: bool,
) -> Result<reqwest::Client, Error> {
    connector
        .connect(settings, tls)
        .map_err(|cause| Error::new(ErrorKind::Definition, name, cause.to_string()))
}

impl Caller {
    /// Calls a deployment through connections of its own.
    ///
    /// # Errors
    /// When its certificate files cannot be used.
    pub fn new(deployment: Arc<Deployment>, connector: Connector) -> Result<Self, Error> {
        let tls = deployment.origin().is_https();
        let own = connect(&connector, deployment.name(), deployment.transport(), tls)?;
        let pools = Pools {
            own,
            foreign: OnceLock::new(),
            connector,
        };
        Ok(Self::with(deployment, Connections(Arc::new(pools))))
    }

    pub(crate) fn with(deployment: Arc<Deployment>, connections: Connections) -> Self {
        Self(Arc::new(Inner {
            deployment,
            connections,
            clock: Arc::new(SystemClock),
        }))
    }

    /// The same by another clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            deployment: Arc::clone(&self.0.deployment),
            connections: self.0.connections.clone(),
            clock,
        }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.deployment.name()
    }

    /// Its definition.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.0.deployment
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// A call; `path` is appended to the base URL, an empty one means the deployment's `url`.
    /// What is wrong with the path is said when the call is sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, path)
    }

    /// A GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// The same place without its methods, on the same connections: what it answers tells whether it
    /// wants a credential.
    ///
    /// ```
    /// let gpt = gatepass_client::bearer("abc").url("https://models.example.com/").build()?;
    /// assert!(gpt.anonymous().deployment().credentials().owned().headers.is_empty());
    /// # Ok::<(), gatepass_client::Error>(())
    /// ```
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let bare = Arc::new(self.deployment().anonymous());
        Self::with(bare, self.connections().clone())
    }

    /// The headers a call needs now, for people with an HTTP client of their own. Ask again for
    /// every call, send them to this deployment's origin only, and switch redirects off.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let gpt = gatepass_client::custom("api-key", "abcd1234").url("https://models.example.com/").build()?;
    /// assert_eq!(gpt.header().await?["api-key"], "abcd1234");
    /// # Ok::<(), gatepass_client::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// When the credential is not to be had, or each request must be signed.
    pub async fn header(&self) -> Result<HeaderMap, Error> {
        let headers = self.deployment().headers(self.clock()).await;
        headers.map_err(|error| Error::of_auth(error, self.name()))
    }
}
