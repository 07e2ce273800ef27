//! How a deployment is reached: trust, identity, proxy and time limits. Data only.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// Transport settings of one deployment, for its upstream and for its token endpoint alike.
///
/// ```
/// let settings = gatepass_core::TransportSettings::default();
/// assert_eq!(settings.connect_timeout.as_secs(), 3);
/// assert_eq!(settings.total_timeout, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportSettings {
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate chain.
    pub client_cert: Option<PathBuf>,
    /// PEM file of the client certificate's private key.
    pub client_key: Option<PathBuf>,
    /// Proxy URL; may hold a password, so it is a secret.
    pub proxy: Option<Secret>,
    /// Limit for establishing a connection.
    pub connect_timeout: Duration,
    /// Limit from sending the request to the head of the response.
    pub first_byte_timeout: Duration,
    /// Limit between two pieces of the response body.
    pub idle_timeout: Duration,
    /// Limit for the whole call; none by default, because generation is slow.
    pub total_timeout: Option<Duration>,
    /// The longest body, in bytes, that is sent once more after a rejected token.
    pub replay_body_limit: u64,
    /// Permits plain http beyond loopback.
    pub allow_insecure_http: bool,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client_cert: None,
            client_key: None,
            proxy: None,
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            total_timeout: None,
            replay_body_limit: 8 * 1024 * 1024,
            allow_insecure_http: false,
        }
    }
}
