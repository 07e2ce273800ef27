//! What is asked for, and by whom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{Secret, TransportSettings};
use sha2::{Digest, Sha256};
use url::Url;

use crate::client_auth::ClientAuth;

/// The scope that is asked for when none is set.
///
/// ```
/// assert_eq!(gatepass_oauth::Scope::Default.sent(), Some(gatepass_oauth::DEFAULT_SCOPE));
/// ```
pub const DEFAULT_SCOPE: &str = "all-apis";

/// The lifetime of a token whose reply does not state one.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// Which scope is asked for (RFC 6749 s3.3).
///
/// ```
/// use gatepass_oauth::Scope;
/// assert_eq!(Scope::Custom("ml".into()).sent(), Some("ml"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Not set: [`DEFAULT_SCOPE`] is sent, and errors say so.
    #[default]
    Default,
    /// This one.
    Custom(String),
    /// None is sent.
    None,
}

impl Scope {
    /// The scope a definition means: absent is the default, empty sends none.
    ///
    /// ```
    /// use gatepass_oauth::Scope;
    /// assert_eq!(Scope::of(None).sent(), Some("all-apis"));
    /// assert_eq!(Scope::of(Some("")).sent(), None);
    /// assert_eq!(Scope::of(Some("ml")).sent(), Some("ml"));
    /// ```
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        match text {
            None => Self::Default,
            Some("") => Self::None,
            Some(text) => Self::Custom(text.to_owned()),
        }
    }

    /// What is sent.
    #[must_use]
    pub fn sent(&self) -> Option<&str> {
        match self {
            Self::Default => Some(DEFAULT_SCOPE),
            Self::Custom(text) => Some(text),
            Self::None => None,
        }
    }
}

/// A client's credentials with everything that shapes its token requests.
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::Secret;
/// use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// let credential = ClientCredentials {
///     token_url: "https://auth.example.com/oauth/token".parse().unwrap(),
///     client_auth: Arc::new(Basic),
///     client_id: Secret::new("id"),
///     client_secret: Secret::new("s3cr3t"),
///     scope: Scope::None,
///     assume_bearer: false,
///     default_lifetime: std::time::Duration::from_secs(300),
/// };
///
/// assert!(!format!("{credential:?}").contains("s3cr3t"));
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    /// Where tokens are handed out (RFC 6749 s3.2).
    pub token_url: Url,
    /// How the client proves itself.
    pub client_auth: Arc<dyn ClientAuth>,
    /// The client's name there.
    pub client_id: Secret,
    /// The client's secret.
    pub client_secret: Secret,
    /// What is asked for.
    pub scope: Scope,
    /// Take a reply without `token_type` for a bearer token.
    pub assume_bearer: bool,
    /// The lifetime of a token whose reply does not state one.
    pub default_lifetime: Duration,
}

impl ClientCredentials {
    /// The token endpoint without its query, which may carry keys.
    pub(crate) fn endpoint(&self) -> &str {
        &self.token_url[..url::Position::AfterPath]
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_url", &self.endpoint())
            .field("client_auth", &self.client_auth)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What tells credentials apart: SHA-256 over every input, each prefixed with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(
        credential: &ClientCredentials,
        transport: &TransportSettings,
        transport_id: u64,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(credential.token_url.as_str().as_bytes());
        field(credential.client_auth.name().as_bytes());
        field(credential.client_id.expose().as_bytes());
        field(credential.client_secret.expose().as_bytes());
        field(format!("{:?}", credential.scope).as_bytes());
        field(&[u8::from(credential.assume_bearer)]);
        field(&credential.default_lifetime.as_nanos().to_be_bytes());
        field(
            format!(
                "{:?}",
                (
                    &transport.ca_file,
                    &transport.client_cert,
                    &transport.client_key
                )
            )
            .as_bytes(),
        );
        field(
            transport
                .proxy
                .as_ref()
                .map_or("", Secret::expose)
                .as_bytes(),
        );
        field(&transport.connect_timeout.as_nanos().to_be_bytes());
        field(&transport_id.to_be_bytes());
        Self(hash.finalize().into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
