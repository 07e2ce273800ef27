//! All deployments of a configuration, sharing connections where their transport is the same.
#![cfg(feature = "config")]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gatepass_config::Config;
use gatepass_core::{Registry, TransportSettings};
use gatepass_transport::Connector;

use crate::caller::{Caller, Connections};
use crate::error::{Error, ErrorKind};

/// The methods that this crate was built with.
///
/// ```
/// assert!(gatepass_client::registry().factory("custom").is_some());
/// ```
#[must_use]
pub fn registry() -> Registry {
    let registry = Registry::builtin();
    #[cfg(feature = "oauth")]
    let registry = registry.with(gatepass_oauth::OAuthFactory::default());
    registry
}

/// Calls the deployments of a configuration by name.
///
/// ```no_run
/// # async fn call() -> Result<(), Box<dyn std::error::Error>> {
/// let client = gatepass_client::Client::from_config("gatepass.toml")?;
/// let reply = client.deployment("churn")?.post("").body("{}").send().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Client {
    config: Config,
    connector: Connector,
    /// One pool of connections for each distinct transport.
    pools: Mutex<Vec<(TransportSettings, bool, Connections)>>,
}

impl Client {
    /// Reads a file with the methods this crate was built with.
    ///
    /// # Errors
    /// Every problem of the file, at once.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, gatepass_config::ConfigError> {
        let path = path.as_ref().to_owned();
        let config = Config::load(&[path], &registry())?;
        Ok(Self::new(config))
    }

    /// Calls the deployments of a configuration that was read already.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            connector: Connector::default(),
            pools: Mutex::default(),
        }
    }

    /// Starts connections from reqwest builders of your own; see
    /// [`Builder::client_builder`](crate::Builder::client_builder).
    #[must_use]
    pub fn client_builder(
        mut self,
        make: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.connector = Connector::new(make);
        self
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The deployment of this name, ready to be called. Keep it: it is cheap to clone.
    ///
    /// # Errors
    /// When there is none, or its certificate files cannot be used.
    pub fn deployment(&self, name: &str) -> Result<Caller, Error> {
        let found = self.config.deployment(name);
        let deployment =
            found.map_err(|cause| Error::new(ErrorKind::Definition, name, cause.to_string()))?;
        let tls = deployment.origin().is_https();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(settings, of, _): &&(TransportSettings, bool, Connections)| {
            settings == deployment.transport() && *of == tls
        };
        if let Some((_, _, connections)) = pools.iter().find(same) {
            return Ok(Caller::with(deployment.clone(), connections.clone()));
        }
        let caller = Caller::new(deployment.clone(), self.connector.clone())?;
        pools.push((
            deployment.transport().clone(),
            tls,
            caller.connections().clone(),
        ));
        Ok(caller)
    }
}
